import AsyncHTTPClient
import Model
import NIOCore
import ResourceKit

/// What happened: events of servers and services, and the audit log of changes.
enum TimelineCommands {
    private static let reconnectPause = Duration.seconds(1)
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
        let names = try await titles(directory)
        let newest = try await directory.client.list(path, query: query, limit: limit)
        let follows = invocation.arguments.has("follow")
        if invocation.wantsJSON, !follows {
            return invocation.terminal.line(JSONValue.array(newest.reversed()).prettyText())
        }
        show(newest.reversed(), names, invocation)
        guard follows else { return }
        var last = newest.first?["id"]?.intValue ?? 0
        while true {
            do {
                try await follow(path, query, &last, names, invocation, directory.client)
            } catch let problem as Problem where problem.code != .hubUnreachable && problem.code != .timeout {
                throw problem
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                // The hub restarts, or the connection broke; the timeline goes on after the last event that was shown.
            }
            try await Task.sleep(for: reconnectPause)
        }
    }

    private static func follow(
        _ path: String, _ query: [(String, String)], _ last: inout Int64, _ names: [String: String],
        _ invocation: Invocation, _ client: HubClient
    ) async throws {
        let response = try await client.stream(
            path, query: query + [("follow", "true")], headers: ["Last-Event-ID": String(last)])
        var reader = EventStreamReader()
        for try await piece in response.body {
            for message in reader.read(piece.readableBytesView) {
                let event = try JSONParser.parse(message.data)
                guard let id = event["id"]?.intValue, id > last else { continue }
                last = id
                show([event], names, invocation)
            }
            if reader.isBroken { throw Problem(.tooLarge, "The hub sent a line that is too long to be an event.") }
        }
    }

    private static func show(_ events: [JSONValue], _ names: [String: String], _ invocation: Invocation) {
        let terminal = invocation.terminal
        for event in events {
            if invocation.wantsJSON {
                terminal.line(event.canonicalText)
                continue
            }
            let time = event["time"]?.stringValue ?? ""
            let kind = event["kind"]?.stringValue ?? ""
            let place = ["node_id", "service_id"].compactMap { event[$0]?.stringValue.map { names[$0] ?? $0 } }
            let padded = kind + String(repeating: " ", count: max(0, 8 - kind.count))
            let style: Terminal.Style = kind == "crash" || kind == "security" ? .red : .cyan
            terminal.line(
                "\(terminal.styled(time, .dim))  \(terminal.styled(padded, style))  "
                    + (place.isEmpty ? "" : "\(printable(place.joined(separator: "/")))  ")
                    + printable(event["message"]?.stringValue ?? ""))
        }
    }

    private static func titles(_ directory: Directory) async throws -> [String: String] {
        var result: [String: String] = [:]
        for name in ["node", "service"] {
            result.merge(try await directory.readableTitles(try directory.named(name))) { $1 }
        }
        return result
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
        let answer = try await invocation.client().get("/search", query: [("q", try invocation.required("TEXT"))])
        if invocation.wantsJSON { return invocation.terminal.line(answer.prettyText()) }
        let items = answer["items"]?.arrayValue ?? answer["results"]?.arrayValue ?? []
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
