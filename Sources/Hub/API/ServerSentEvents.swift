import HTTPTypes
import Host
import HubCore
import HubStore
import Hummingbird
import Model
import NIOCore
import ResourceKit
import Synchronization

/// How many streams are open; each costs a connection and a task for as long as its client likes.
final class StreamLimit: Sendable {
    private static let streamsMax = 512
    private let count = Mutex(0)

    func enter() throws(Problem) {
        let isAdmitted = count.withLock { count in
            guard count < Self.streamsMax else { return false }
            count += 1
            return true
        }
        guard isAdmitted else {
            throw Problem(.rateLimited, "Too many streams are open.", retryAfter: .seconds(10))
        }
    }

    func leave() { count.withLock { $0 -= 1 } }
}

/// One message of a stream (HTML Living Standard, "Server-sent events").
struct ServerSentEvent {
    var event: String
    var id: String
    /// One line: JSON text has no line breaks.
    var data: JSONValue

    var buffer: ByteBuffer { ByteBuffer(string: "event: \(event)\nid: \(id)\ndata: \(data.canonicalText)\n\n") }

    /// Keeps connections open, and finds out that they are gone.
    static let keepAlive = ByteBuffer(string: ": keep-alive\n\n")
}

extension HubAPI {
    private static let tick: Duration = .seconds(10)

    private enum Wake { case start, changed, tick }

    /// A stream that looks for news after each relevant change, and at least every ten seconds.
    ///
    /// - Parameter news: answers what is to be sent, or nil when the stream is at its end.
    private func stream(
        _ request: APIRequest, wakes: @escaping @Sendable (HubChange) -> Bool,
        _ news: @escaping @Sendable (_ isTick: Bool) async throws -> [ServerSentEvent]?
    ) throws -> Response {
        try streams.enter()
        let streams = streams
        // Leaves the count when the response is dropped, written or not.
        let place = StreamPlace { streams.leave() }
        let headers: HTTPFields = [
            .contentType: "text/event-stream", .cacheControl: "no-store", .init("X-Accel-Buffering")!: "no",
        ]
        return Response(
            status: .ok, headers: headers,
            body: ResponseBody { [self] writer in
                defer { place.leave() }
                try await writer.write(ByteBuffer(string: ": stream\n\n"))
                try await run(&writer, request, wakes, news)
                try await writer.finish(nil)
            })
    }

    @concurrent
    private func run(
        _ writer: inout any ResponseBodyWriter, _ request: APIRequest,
        _ wakes: @escaping @Sendable (HubChange) -> Bool,
        _ news: @Sendable (_ isTick: Bool) async throws -> [ServerSentEvent]?
    ) async throws {
        // One waiting wake is enough: whoever wakes looks at everything that is new.
        let (queue, wake) = AsyncStream.makeStream(of: Wake.self, bufferingPolicy: .bufferingNewest(1))
        let changes = hub.changes.subscribe()
        let clock = hub.world.clock
        let waker = Task {
            await withTaskGroup(of: Void.self) { group in
                group.addTask { for await change in changes where wakes(change) { wake.yield(.changed) } }
                group.addTask {
                    // Ends with the stream, whose task cancels it.
                    while (try? await clock.sleep(for: Self.tick)) != nil { wake.yield(.tick) }
                }
            }
        }
        defer {
            waker.cancel()
            wake.finish()
        }
        wake.yield(.start)
        for await reason in queue {
            // Whoever lost the right to read hears no more.
            if case .tick = reason, !(await isStillAllowed(request)) { return }
            var isTick = false
            if case .tick = reason { isTick = true }
            guard let events = try await news(isTick) else { return }
            for event in events { try await writer.write(event.buffer) }
            if isTick, events.isEmpty { try await writer.write(ServerSentEvent.keepAlive) }
        }
    }

    private func isStillAllowed(_ request: APIRequest) async -> Bool {
        do {
            return try await principal(of: request.request, request.address).scopes == request.principal.scopes
        } catch {
            return false
        }
    }

    /// Events after `filter.afterId`, for as long as the client listens.
    func eventStream(_ request: APIRequest, _ filter: EventFilter) throws -> Response {
        let hub = hub
        return try pagedStream(request, of: "event", from: filter.afterId ?? 0) { place in
            var next = filter
            next.afterId = place
            let events = try await hub.events(next, as: request.principal)
            let messages = events.map { ServerSentEvent(event: "event", id: String($0.id), data: $0.json) }
            return (messages, events.last?.id ?? place, !events.isEmpty)
        }
    }

    /// Lines of logs after `filter.after`, for as long as the client listens.
    func logLineStream(_ request: APIRequest, _ filter: LogFilter) throws -> Response {
        let hub = hub
        return try pagedStream(request, of: "log", from: filter.after) { place in
            var next = filter
            next.after = place
            let page = try await hub.logLines(next, as: request.principal)
            let messages = page.lines.map { ServerSentEvent(event: "line", id: $0.place.text, data: $0.json) }
            return (messages, page.end ?? place, page.hasMore)
        }
    }

    /// What comes page by page, from a place on, looked for when a kind changes.
    private func pagedStream<Place: Sendable>(
        _ request: APIRequest, of kind: String, from start: Place,
        page: @escaping @Sendable (Place) async throws -> (messages: [ServerSentEvent], end: Place, hasMore: Bool)
    ) throws -> Response {
        let position = Mutex(start)
        return try stream(request, wakes: { $0.kind == kind || $0 == .everything }) { _ in
            var result: [ServerSentEvent] = []
            // Bounded: the rest follows at the next wake.
            for _ in 0..<10 {
                let next = try await page(position.withLock { $0 })
                result += next.messages
                position.withLock { $0 = next.end }
                guard next.hasMore else { break }
            }
            return result
        }
    }

    func readLogs(
        _ request: APIRequest, _ kind: ResourceKind, _ cursor: LogCursor
    ) async throws -> [(nodeId: String, log: LogText)] {
        let all = try await hub.logs(of: kind, id: request.id, offsets: cursor.offsets, as: request.principal)
        return all.filter { cursor.node == nil || $0.nodeId == cursor.node }.map { nodeId, log in
            let isKnown = cursor.offsets[nodeId] != nil
            return (nodeId, isKnown || cursor.start == 0 ? log : log.dropped(upTo: cursor.start))
        }
    }

    /// Output as it appears. The stream of a deployment ends with it: `event: end`.
    func logStream(_ request: APIRequest, _ kind: ResourceKind, _ start: LogCursor) throws -> Response {
        let hub = hub
        let cursor = Mutex(start)
        let isOver = Mutex(false)
        let wakes: @Sendable (HubChange) -> Bool = { $0.id == request.id || $0 == .everything }
        return try stream(request, wakes: wakes) { [self] isTick in
            var result: [ServerSentEvent] = []
            for (nodeId, log) in try await readLogs(request, kind, cursor.withLock { $0 }) {
                let resume = cursor.withLock { cursor in
                    cursor.offsets[nodeId] = log.end
                    return cursor.text
                }
                guard !log.text.isEmpty else { continue }
                result.append(ServerSentEvent(event: "log", id: resume, data: Self.logJSON(nodeId, log)))
            }
            guard kind.name == "deployment", result.isEmpty else { return result }
            let status = try await hub.read(kind, id: request.id, as: request.principal)["status"] ?? .null
            guard status == "active" || status == "failed" else { return result }
            // The last lines can arrive after the status: the end comes one tick later.
            if isTick, isOver.withLock({ $0 }) { return nil }
            isOver.withLock { $0 = true }
            return [ServerSentEvent(event: "end", id: cursor.withLock { $0.text }, data: ["status": status])]
        }
    }
}

/// Where the readers of a log are: one offset a server.
struct LogCursor: Sendable {
    var node: String?
    /// Where servers without an offset begin.
    var start: Int64
    var offsets: [String: Int64] = [:]

    /// - Parameter resuming: ``text`` of an earlier stream; what cannot be read of it is left out.
    init(node: String?, offset: Int64, resuming: String?) {
        self.node = node
        start = offset
        for part in (resuming ?? "").split(separator: ",").prefix(1000) {
            let pair = part.split(separator: "=")
            if pair.count == 2, let offset = Int64(pair[1]), offset >= 0 { offsets[String(pair[0])] = offset }
        }
    }

    /// `node=offset,node=offset`, sorted.
    var text: String { offsets.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ",") }
}

extension LogText {
    /// The text from an offset on.
    func dropped(upTo start: Int64) -> LogText {
        guard start > offset else { return self }
        let rest = text.utf8.dropFirst(Int(min(start - offset, Int64(text.utf8.count))))
        return LogText(offset: min(start, end), text: String(decoding: rest, as: UTF8.self), end: end)
    }
}

/// Calls back once: when it is left, or when nobody holds it any more.
private final class StreamPlace: Sendable {
    private let leaving: Mutex<(@Sendable () -> Void)?>
    init(_ leave: @escaping @Sendable () -> Void) { leaving = Mutex(leave) }

    func leave() {
        let callback = leaving.withLock { held in
            defer { held = nil }
            return held
        }
        callback?()
    }

    deinit { leave() }
}
