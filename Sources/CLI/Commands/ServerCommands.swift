import AgentProtocol
import Model
import ResourceKit

/// What servers have besides the generic commands: the line that lets one join.
enum ServerCommands {
    static let add = CommandDeclaration(
        "add", "Make a token and print the one line that lets a server join.",
        discussion: """
            Run the line as root on the server. The token works once (or --uses times) until it expires; the hub keeps
            only its hash, so it is shown this one time.
            """,
        options: .all(
            [
                OptionDeclaration("stack", placeholder: "NAME", "The stack that the server will run."),
                OptionDeclaration("expires-in", placeholder: "SPAN", "How long the token can be used; 1h when absent."),
                OptionDeclaration("uses", placeholder: "NUMBER", "How many servers may join with it; 1 when absent."),
                .flag("wait", "Wait until the server has joined."), .json, .plan,
            ], .connection), run: add)

    /// The generic commands of the kind with `add` in front.
    static func command(for kind: ResourceKind, in kinds: [ResourceKind]) -> CommandDeclaration {
        var command = KindCommands.command(for: kind, in: kinds)
        command.subcommands.insert(add, at: 0)
        return command
    }

    private static func add(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let scope = invocation.arguments.value("stack").map { ["stack": $0] } ?? [:]
        let stack = try await directory.oneOf(try invocation.kind("stack"), scope: scope)
        var body: [String: JSONValue] = ["stack_id": .string(stack.id)]
        if let span = invocation.arguments.value("expires-in") {
            guard Duration.parse(span) != nil else {
                throw UsageError("--expires-in must be a time span such as 30m or 24h.", path: invocation.path)
            }
            body["expires_in"] = Int64(span).map { .int($0) } ?? .string(span)
        }
        if let uses = try invocation.count("uses", in: 1...1000) { body["uses"] = .int(Int64(uses)) }
        if invocation.isPlan {
            let answer = try await directory.client.send(
                "POST", "/install-tokens", query: [("plan", "true")], body: .object(body))
            let changes = try await directory.titled(try PlannedChange.read(answer.body))
            for line in PlanRendering.lines(changes, invocation.terminal) { invocation.terminal.line(line) }
            return
        }
        let before = Set(try await directory.all(try invocation.kind("node"), scope: [:]).map(\.id))
        let answer = try await directory.client.send("POST", "/install-tokens", body: .object(body)).body
        if invocation.wantsJSON { return invocation.terminal.line(answer.prettyText()) }
        let line = try joinLine(answer, url: directory.client.connection.url)
        invocation.terminal.note("Run this as root on the server; it works once and is not shown again:")
        invocation.terminal.line(line)
        if invocation.arguments.has("wait") { try await waitForJoin(before, stack, directory, invocation) }
    }

    /// The hub knows best how it is reached; without its word, the line names the address that this command used.
    static func joinLine(_ answer: JSONValue, url: String) throws(Problem) -> String {
        for name in ["install_command", "join_command", "command"] {
            if let line = answer[name]?.stringValue { return printable(line) }
        }
        guard let token = answer["token"]?.stringValue,
            token.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_") })
        else { throw Problem(.internalError, "The hub answered without a token.") }
        return InstallLine.text(hubURL: url, token: token)
    }

    private static func waitForJoin(
        _ before: Set<String>, _ stack: Resource, _ directory: Directory, _ invocation: Invocation
    ) async throws {
        let kind = try invocation.kind("node")
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(3600)
        while clock.now < deadline {
            let joined = try await directory.all(kind, scope: [:])
                .first { !before.contains($0.id) && $0.value["stack_id"]?.stringValue == stack.id }
            if let joined { return invocation.terminal.line("Server \(printable(joined.title)) has joined.") }
            try await Task.sleep(for: .seconds(1))
        }
        throw Problem(.timeout, "No server joined within an hour.")
    }
}
