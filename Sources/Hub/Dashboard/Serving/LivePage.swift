import HTTPTypes
import Host
import HubCore
import HubStore
import Hummingbird
import Model
import NIOCore
import ResourceKit
import ServiceLifecycle

extension DashboardSite {
    /// Between two heartbeats of a stream; proxies and browsers give up on silent ones.
    static let heartbeat: Duration = .seconds(15)
    /// Changes within this time are told at once.
    static let gathering: Duration = .milliseconds(150)

    /// Server-Sent Events (WHATWG HTML section 9.2): which kinds of things changed, for the page to fetch its parts
    /// again, and which logs grew.
    func live(_ visit: Visit) -> PageAnswer {
        let topics = topics(visit)
        let stream = streams.open(session: visit.session.token)
        let changes = hub.changes.subscribe()
        let body = ResponseBody { writer in
            let feeder = Task {
                for await change in changes {
                    if change.kind == "*" || topics.contains(change.kind) {
                        stream.add(
                            kind: change.kind,
                            id: change.id)
                    }
                }
            }
            let clock = Task {
                while !Task.isCancelled {
                    try await Task.sleep(for: Self.heartbeat)
                    stream.beat()
                }
            }
            defer {
                feeder.cancel()
                clock.cancel()
                streams.close(stream)
            }
            try await withGracefulShutdownHandler {
                try await write(stream, visit, to: &writer)
            } onGracefulShutdown: {
                stream.end()
            }
            try await writer.finish(nil)
        }
        let headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .accelBuffering: "no",
        ]
        return PageAnswer(headers: headers, body: body)
    }

    @concurrent
    private func write(_ stream: LiveStream, _ visit: Visit, to writer: inout any ResponseBodyWriter) async throws {
        try await writer.write(ByteBuffer(string: "retry: 2000\n\n: connected\n\n"))
        var checked = hub.world.clock.monotonic()
        for await _ in stream.signals {
            let now = hub.world.clock.monotonic()
            if now - checked >= Self.heartbeat {
                checked = now
                // A logout, or the removal of the user, ends the stream as well.
                guard try await hub.session(visit.session.token, address: visit.principal.address) != nil
                else { return }
                try await writer.write(ByteBuffer(string: ": heartbeat\n\n"))
            }
            try await Task.sleep(for: Self.gathering)
            let news = stream.take()
            guard !news.isEmpty else { continue }
            try await writer.write(ByteBuffer(string: "event: change\ndata: \(Self.text(news))\n\n"))
        }
    }

    static func text(_ news: LiveStream.News) -> String {
        let message: JSONValue = [
            "kinds": .array(news.kinds.sorted().map { .string($0) }),
            "logs": .array(news.logs.sorted().map { .string($0) }),
        ]
        return message.canonicalText
    }

    /// What the page asked for, as far as the person may see it.
    private func topics(_ visit: Visit) -> Set<String> {
        let asked = (visit.query["topics"] ?? "").split(separator: " ").prefix(50).map(String.init)
        return Set(
            asked.filter { topic in
                switch topic {
                case "event": visit.principal.may("read", "events")
                case HubChange.workflowRun: mayReadRuns(visit)
                case "heartbeat": visit.principal.may("read", "nodes")
                case "log": visit.principal.may("read", "services") || visit.principal.may("read", "deployments")
                default: hub.kind(topic).map { maySee($0, visit) } ?? false
                }
            })
    }

    // MARK: Logs

    static let logBytesMax = 65_536
    static let wholeLogBytesMax = 16 << 20

    /// The text of a log from an offset on, as JSON for the script, or all that is kept, as text.
    func log(_ visit: Visit) async throws -> PageAnswer {
        let known = ["service": "service", "deployment": "build"]
        guard let name = visit.asked("kind"), let source = known[name], let kind = hub.kind(name),
            let id = visit.asked("id"), let node = visit.asked("node")
        else { throw Problem(.notFound, "There is no such log.") }
        try await hub.admit(kind, "read", id: id, as: visit.principal)
        let log = LogName(source: source, id: id, nodeId: node)
        if visit.query["whole"] != nil {
            return .text(try await hub.read { try $0.log(log, from: 0, bytesMax: Self.wholeLogBytesMax) }.text)
        }
        let offset = Int64(visit.asked("offset") ?? "") ?? 0
        let part = try await hub.read { try $0.log(log, from: offset, bytesMax: Self.logBytesMax) }
        let body: JSONValue = ["text": .string(part.text), "offset": .int(part.offset), "end": .int(part.end)]
        return .text(body.canonicalText, type: "application/json")
    }

    /// The ends of the logs of a service or deployment, one a server.
    func logModels(_ kindName: String, id: String, label: String, names: [String: String]) async throws -> [JSONValue] {
        let source = kindName == "deployment" ? "build" : kindName
        let logs = try await hub.read { transaction in
            try transaction.logNames(source: source, id: id).prefix(20).map { name in
                // An offset beyond the end answers where the end is.
                let end = try transaction.log(name, from: Int64.max, bytesMax: 0).end
                let from = max(0, end - Int64(Self.logBytesMax))
                return (name.nodeId, try transaction.log(name, from: from, bytesMax: Self.logBytesMax))
            }
        }
        return logs.map { node, log in
            let query = "/log?kind=\(kindName)&id=\(percentEncoded(id))&node=\(percentEncoded(node))"
            return [
                "label": .string("\(label) on \(names[node] ?? String(node.prefix(8)))"), "path": .string(query),
                "raw_path": .string(query + "&whole=1"), "id": .string(id), "end": .int(log.end),
                "text": .string(log.text), "empty": "No output yet.",
            ]
        }
    }
}

extension HTTPField.Name {
    static let accelBuffering = HTTPField.Name("X-Accel-Buffering")!
}
