import AsyncHTTPClient
import Model
import NIOCore
import ResourceKit

/// Lines of all logs, whatever wrote them.
enum LogCommands {
    private static let reconnectPause = Duration.seconds(1)
    private static let countStandard = 50

    static let log = CommandDeclaration(
        "log", "Lines of the output of services and builds.",
        subcommands: [
            CommandDeclaration(
                "list", aliases: ["ls"], "Show lines of all logs, oldest first.",
                options: .all(
                    [
                        .flag("follow", short: "f", "Go on with what comes, until interrupted."),
                        OptionDeclaration("service", placeholder: "NAME", "Only lines of this service and its builds."),
                        OptionDeclaration("server", placeholder: "NAME", "Only lines of this server."),
                        OptionDeclaration("tenant", placeholder: "NAME", "Only lines of this tenant."),
                        OptionDeclaration("webroot", placeholder: "ID", "Only lines of this webroot."),
                        OptionDeclaration("cron-job", placeholder: "ID", "Only lines of this cron job."),
                        OptionDeclaration("type", placeholder: "TYPE", "Only lines of this type: service or build."),
                        OptionDeclaration(
                            "level", placeholder: "LEVEL", "Only lines of this level: error, warning, info or debug."),
                        OptionDeclaration("text", placeholder: "TEXT", "Only lines with this in them."),
                        OptionDeclaration("since", placeholder: "TIME", "Only from this time on (RFC 3339)."),
                        OptionDeclaration("until", placeholder: "TIME", "Only before this time (RFC 3339)."),
                        OptionDeclaration("limit", placeholder: "NUMBER", "At most this many; 50 when absent."), .json,
                    ], .connection), run: list)
        ])

    private static func query(_ invocation: Invocation, _ directory: Directory) async throws -> [(String, String)] {
        var query: [(String, String)] = []
        for (option, kind, name) in [
            ("service", "service", "service"), ("server", "node", "node"), ("tenant", "tenant", "tenant"),
        ] {
            guard let value = invocation.arguments.value(option) else { continue }
            query.append((name, try await directory.resolve(try invocation.kind(kind), value).id))
        }
        for (option, name) in [
            ("webroot", "webroot"), ("cron-job", "cron_job_id"), ("type", "log_type"), ("level", "level"),
            ("text", "text"), ("since", "since"), ("until", "until"),
        ] {
            if let value = invocation.arguments.value(option) { query.append((name, value)) }
        }
        return query
    }

    private static func list(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let query = try await query(invocation, directory)
        let limit = try invocation.count("limit", in: 1...10_000) ?? countStandard
        let names = try await titles(directory)
        let lines = Array(try await directory.client.list("/logs", query: query, limit: limit).reversed())
        let follows = invocation.arguments.has("follow")
        if invocation.wantsJSON, !follows {
            return invocation.terminal.line(JSONValue.array(lines).prettyText())
        }
        for line in lines { show(line, names, invocation) }
        guard follows else { return }
        // By the order of arrival, which a server that was away makes another one than that of times.
        var last = lines.compactMap { $0["id"]?.stringValue }.max { arrival($0).lexicographicallyPrecedes(arrival($1)) }
        while true {
            do {
                try await follow(query, &last, names, invocation, directory.client)
            } catch let problem as Problem where problem.code != .hubUnreachable && problem.code != .timeout {
                throw problem
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The hub restarts, or the connection broke; the next round goes on after the last line that was shown.
            }
            try await Task.sleep(for: reconnectPause)
        }
    }

    /// The part of a line's id that grows as lines arrive.
    private static func arrival(_ id: String) -> [Int64] {
        id.split(separator: ".").dropFirst().compactMap { Int64($0) }
    }

    private static func follow(
        _ query: [(String, String)], _ last: inout String?, _ names: [String: String], _ invocation: Invocation,
        _ client: HubClient
    ) async throws {
        let response = try await client.stream(
            "/logs", query: query + [("follow", "true")], headers: ["Last-Event-ID": last ?? "0.0.0"])
        var reader = EventStreamReader()
        for try await piece in response.body {
            for message in reader.read(piece.readableBytesView) {
                show(try JSONParser.parse(message.data), names, invocation)
                last = message.id ?? last
            }
            if reader.isBroken { throw Problem(.tooLarge, "The hub sent a line that is too long to be output.") }
        }
    }

    private static func show(_ line: JSONValue, _ names: [String: String], _ invocation: Invocation) {
        let terminal = invocation.terminal
        guard !invocation.wantsJSON else { return terminal.line(line.canonicalText) }
        let time = line["time"]?.stringValue ?? ""
        let level = line["level"]?.stringValue ?? ""
        let place = ["node_id", "service_id"].compactMap { line[$0]?.stringValue.map { names[$0] ?? $0 } }
        let padded = level + String(repeating: " ", count: max(0, 7 - level.count))
        let style: Terminal.Style = level == "error" ? .red : .cyan
        terminal.line(
            "\(terminal.styled(time, .dim))  \(terminal.styled(padded, style))  "
                + "\(printable(place.joined(separator: "/")))  " + printable(line["message"]?.stringValue ?? ""))
    }

    private static func titles(_ directory: Directory) async throws -> [String: String] {
        var result: [String: String] = [:]
        for name in ["node", "service"] {
            result.merge(try await directory.readableTitles(try directory.named(name))) { $1 }
        }
        return result
    }
}
