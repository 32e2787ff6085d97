import Model
import ResourceKit

/// Shortcuts for the daily work with services.
enum DeployCommands {
    private static let stack = OptionDeclaration(
        "stack", placeholder: "NAME", "Stack of the service; needed only where several have one of this name.")
    private static let service = ParameterDeclaration("SERVICE", "Name or id of the service.")

    static let deploy = CommandDeclaration(
        "deploy", "Deploy the newest commit of a service and follow it until it is live.",
        discussion: "Ends with an error when the deployment fails; the release before it goes on serving.",
        parameters: [service], options: .all([stack, .plan], .wait, [.json], .connection)
    ) { try await run($0, action: "deploy") }

    static let restart = CommandDeclaration(
        "restart", "Replace the running instances of a service with new ones, without a gap.",
        parameters: [service], options: .all([stack, .plan], .wait, [.json], .connection)
    ) { try await run($0, action: "restart") }

    static let rollback = CommandDeclaration(
        "rollback", "Go back to an earlier deployment of a service.",
        discussion: "A service goes back to the last deployment that was live before the current one.",
        parameters: [ParameterDeclaration("SERVICE|DEPLOYMENT", "Name or id of a service, or id of a deployment.")],
        options: .all([stack, .plan], .wait, [.json], .connection), run: rollback)

    static let logs = CommandDeclaration(
        "logs", "Show the output of a service, or of the build of a deployment.",
        parameters: [ParameterDeclaration("SERVICE|DEPLOYMENT", "Name or id of a service, or id of a deployment.")],
        options: .all(
            [
                .flag("follow", short: "f", "Go on with what comes, until interrupted."),
                .flag("build", "Show the output of the service's newest build instead."),
                OptionDeclaration("tail", short: "n", placeholder: "LINES", "Only this many lines of what is there."),
                stack,
            ], .connection), run: logs)

    /// The generic commands of a kind, and shortcuts in the place where they are looked for as well.
    static func command(
        for kind: ResourceKind, in kinds: [ResourceKind], adding shortcuts: [CommandDeclaration]
    ) -> CommandDeclaration {
        var command = KindCommands.command(for: kind, in: kinds)
        command.subcommands += shortcuts
        return command
    }

    private static func run(_ invocation: Invocation, action name: String) async throws {
        let kind = try invocation.kind("service")
        guard let action = kind.actions.first(where: { $0.name == name }) else {
            throw Problem(.internalError, "A service has no action \(name).")
        }
        try await KindVerbs(kind: kind, invocation: invocation).perform(action)
    }

    private static func scope(_ invocation: Invocation) -> [String: String] {
        invocation.arguments.value("stack").map { ["stack": $0] } ?? [:]
    }

    private static func rollback(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let reference = try invocation.required("SERVICE|DEPLOYMENT")
        let kind = try invocation.kind("deployment")
        let target: Resource
        if let deployment = try await deployment(reference, directory) {
            target = deployment
        } else {
            let service = try await directory.resolve(
                try invocation.kind("service"), reference, scope: scope(invocation))
            target = try await previous(of: service, kind, directory)
        }
        let source = ["commit", "upload"].lazy.compactMap { name in
            target.value[name]?.stringValue.map { "\(name) \(printable(String($0.prefix(12))))" }
        }.first
        invocation.terminal.note("Going back to deployment \(target.id) (\(source ?? "no source")).")
        guard let action = kind.actions.first(where: { $0.name == "rollback" }) else {
            throw Problem(.internalError, "A deployment has no action rollback.")
        }
        var inner = invocation
        inner.arguments.parameters["DEPLOYMENT"] = target.id
        try await KindVerbs(kind: kind, invocation: inner).perform(action)
    }

    /// The newest deployment that once was live and has another commit or other settings than what serves now.
    private static func previous(
        of service: Resource, _ kind: ResourceKind, _ directory: Directory
    ) async throws -> Resource {
        let all = try await directory.list(kind, parentId: service.id)
            .sorted { ($0.value["created_at"]?.stringValue ?? "") > ($1.value["created_at"]?.stringValue ?? "") }
        let serving = service.value["serving_deployment_id"]?.stringValue
        let place = all.firstIndex { $0.id == serving } ?? -1
        guard let found = all[(place + 1)...].first(where: { $0.status == "active" }) else {
            throw Problem(
                .notFound, "There is no earlier deployment of \(printable(service.title)) that was live.",
                hint: "See roost deployment list --service \(printable(service.title)).")
        }
        return found
    }

    private static func deployment(_ reference: String, _ directory: Directory) async throws -> Resource? {
        guard Directory.isUUID(reference) else { return nil }
        do {
            return try await directory.get(try directory.named("deployment"), reference)
        } catch let problem as Problem where problem.code == .notFound {
            return nil
        }
    }

    private static func logs(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let reference = try invocation.required("SERVICE|DEPLOYMENT")
        let path: String
        if let deployment = try await deployment(reference, directory) {
            path = "/deployments/\(deployment.id)/logs"
        } else {
            let service = try await directory.resolve(
                try invocation.kind("service"), reference, scope: scope(invocation))
            path = try await logPath(of: service, invocation, directory)
        }
        let follower = LogFollower(
            client: directory.client, terminal: invocation.terminal, servers: try await directory.servers())
        let tail = try invocation.count("tail", in: 1...100_000)
        let position = try await follower.show(path, tail: tail)
        if invocation.arguments.has("follow") { try await follower.follow(path, from: position) }
    }

    private static func logPath(
        of service: Resource, _ invocation: Invocation, _ directory: Directory
    ) async throws -> String {
        guard invocation.arguments.has("build") else { return "/services/\(service.id)/logs" }
        let all = try await directory.list(try invocation.kind("deployment"), parentId: service.id)
        guard
            let newest = all.max(by: {
                ($0.value["created_at"]?.stringValue ?? "") < ($1.value["created_at"]?.stringValue ?? "")
            })
        else { throw Problem(.notFound, "\(printable(service.title)) was never deployed.") }
        return "/deployments/\(newest.id)/logs"
    }
}
