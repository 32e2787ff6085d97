import Model
import ResourceKit

/// Lines of all logs, whatever wrote them.
enum LogCommands {
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
        let timeline = try await Timeline("level", width: 7, alarming: ["error"], invocation, directory)
        let lines = Array(try await directory.client.list("/logs", query: query, limit: limit).reversed())
        let follows = invocation.arguments.has("follow")
        timeline.show(lines, isFollowed: follows)
        guard follows else { return }
        // By the order of arrival, which a server that was away makes another one than that of times.
        let last = lines.compactMap { $0["id"]?.stringValue }.max { arrival($0).lexicographicallyPrecedes(arrival($1)) }
        try await timeline.follow("/logs", query, after: last ?? "0.0.0")
    }

    /// The part of a line's id that grows as lines arrive.
    private static func arrival(_ id: String) -> [Int64] {
        id.split(separator: ".").dropFirst().compactMap { Int64($0) }
    }
}
