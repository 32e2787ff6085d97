import Model
import ResourceKit

/// What happened: events of servers and services, and the audit log of changes.
enum TimelineCommands {
    private static let countStandard = 50

    private static let eventOptions: [OptionDeclaration] = .all(
        [
            .flag("follow", short: "f", "Go on with what comes, until interrupted."),
            OptionDeclaration("server", placeholder: "NAME", "Only events of this server."),
            OptionDeclaration("service", placeholder: "NAME", "Only events of this service."),
            OptionDeclaration("kind", placeholder: "KIND", "Only build, run, crash, config, health or security."),
            OptionDeclaration("limit", placeholder: "NUMBER", "At most this many; 50 when absent."), .json,
        ], .connection)

    static let events = CommandDeclaration(
        "events", "Show what happened on servers and in services.", options: eventOptions, run: events)

    /// The same in the form of the resource kinds.
    static let event = CommandDeclaration(
        "event", "Something that happened on a server or in a service.",
        subcommands: [CommandDeclaration("list", aliases: ["ls"], events.summary, options: eventOptions, run: events)])

    static let audit = CommandDeclaration(
        "audit", "Show who changed what.",
        options: .all(
            [
                OptionDeclaration("actor", placeholder: "NAME", "Only changes by this key or user."),
                OptionDeclaration("resource", placeholder: "NAME", "Only changes of this resource."),
                OptionDeclaration("action", placeholder: "ACTION", "Only this action, such as create."),
                OptionDeclaration("outcome", placeholder: "OUTCOME", "Only this outcome."),
                OptionDeclaration("since", placeholder: "TIME", "Only from this time on (RFC 3339)."),
                OptionDeclaration("until", placeholder: "TIME", "Only before this time (RFC 3339)."),
                OptionDeclaration("limit", placeholder: "NUMBER", "At most this many; 50 when absent."), .json,
            ], .connection), subcommands: [AuditCommands.verify, AuditCommands.export], run: audit)

    static let search = CommandDeclaration(
        "search", "Find resources by name, id or address.",
        parameters: [ParameterDeclaration("TEXT", "What to look for.")], options: .all([.json], .connection),
        run: search)

    private static func events(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        var path = "/events"
        var query: [(String, String)] = []
        if let server = invocation.arguments.value("server") {
            path = "/nodes/\(try await directory.resolve(try invocation.kind("node"), server).id)/events"
        }
        if let service = invocation.arguments.value("service") {
            query.append(("service", try await directory.resolve(try invocation.kind("service"), service).id))
        }
        if let kind = invocation.arguments.value("kind") { query.append(("kind", kind)) }
        let limit = try invocation.count("limit", in: 1...10_000) ?? countStandard
        let timeline = try await Timeline(
            "kind", width: 8, alarming: ["crash", "security"], invocation, directory)
        let newest = try await directory.client.list(path, query: query, limit: limit)
        let follows = invocation.arguments.has("follow")
        timeline.show(newest.reversed(), isFollowed: follows)
        guard follows else { return }
        try await timeline.follow(path, query, after: String(newest.first?["id"]?.intValue ?? 0))
    }

    private static func audit(_ invocation: Invocation) async throws {
        let client = try invocation.client()
        var query: [(String, String)] = []
        for name in ["actor", "resource", "action", "outcome", "since", "until"] {
            if let value = invocation.arguments.value(name) { query.append((name, value)) }
        }
        let limit = try invocation.count("limit", in: 1...10_000) ?? countStandard
        let entries = try await client.list("/audit-logs", query: query, limit: limit)
        if invocation.wantsJSON { return invocation.terminal.line(JSONValue.array(entries).prettyText()) }
        var table = Table(["TIME", "ACTOR", "ACTION", "RESOURCE", "OUTCOME", "FROM"])
        for entry in entries {
            func cell(_ names: String...) -> String {
                names.compactMap { entry[$0]?.shortText }.first { !$0.isEmpty } ?? "-"
            }
            let kind = entry["resource_kind"]?.stringValue ?? entry["kind"]?.stringValue ?? ""
            let id = cell("resource_id", "resource")
            table.rows.append([
                cell("time", "created_at"), cell("actor"), cell("action"), kind.isEmpty ? id : "\(kind)/\(id)",
                cell("outcome"), cell("address", "ip"),
            ])
        }
        invocation.terminal.print(table)
    }

    private static func search(_ invocation: Invocation) async throws {
        let query = [("q", try invocation.required("TEXT"))]
        let items = try await invocation.client().list("/search", query: query, limit: 1000)
        if invocation.wantsJSON { return invocation.terminal.line(JSONValue.array(items).prettyText()) }
        guard !items.isEmpty else { return invocation.terminal.note("Nothing was found.") }
        var table = Table(["KIND", "NAME", "STATUS", "ID"], statusColumns: [2])
        for item in items {
            let name = item["name"]?.stringValue ?? item["title"]?.stringValue ?? item["label"]?.stringValue ?? "-"
            let kind = item["kind"]?.stringValue ?? "-"
            table.rows.append([
                kind == "node" ? "server" : kind, name, item["status"]?.stringValue ?? "-",
                item["id"]?.stringValue ?? "-",
            ])
        }
        invocation.terminal.print(table)
    }
}
