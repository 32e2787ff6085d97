import Host
import Model
import ResourceKit
import Synchronization

/// What other hubs on the same database have committed, by LISTEN and NOTIFY. Notifications are part of the transaction
/// that they tell of.
final class PostgresFeed: Sendable {
    static let channel = "roost_changes"
    /// A notification holds less than 8000 bytes.
    static let payloadBytesMax = 7000

    private struct State {
        var isStarted = false
        var isClosed = false
        var listeners: [UInt64: AsyncStream<[HubChange]>.Continuation] = [:]
        var next: UInt64 = 0
    }

    private let address: PostgresAddress
    private let instance: String
    private let state = Mutex(State())

    init(_ address: PostgresAddress, instance: String) {
        self.address = address
        self.instance = instance
    }

    /// - Throws: `unavailable` when the system has no threads left.
    func stream() throws(Problem) -> AsyncStream<[HubChange]> {
        let (stream, continuation) = AsyncStream<[HubChange]>.makeStream(bufferingPolicy: .bufferingNewest(1024))
        let (number, starts) = state.withLock { state -> (UInt64, Bool) in
            state.next += 1
            state.listeners[state.next] = continuation
            defer { state.isStarted = true }
            return (state.next, !state.isStarted)
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.listeners[number] = nil }
        }
        guard starts else { return stream }
        do {
            try NativeThread.detached("pg-feed") { [self] in listen() }
        } catch {
            state.withLock { state in
                state.isStarted = false
                state.listeners[number] = nil
            }
            throw error
        }
        return stream
    }

    func close() {
        let listeners = state.withLock { state in
            state.isClosed = true
            return state.listeners.values.map { $0 }
        }
        for listener in listeners { listener.finish() }
    }

    private func tell(_ changes: [HubChange]) {
        for listener in state.withLock({ $0.listeners.values.map { $0 } }) { listener.yield(changes) }
    }

    private func listen() {
        let link = PostgresLink(address, patience: .seconds(1)) { try $0.run("LISTEN \(Self.channel)") }
        var wasAway = false
        while !state.withLock({ $0.isClosed }) {
            do {
                let connection = try link.ready(until: link.deadline())
                if wasAway {
                    // Whatever was told meanwhile is lost.
                    tell([HubChange(kind: "*", id: "*")])
                    wasAway = false
                }
                for payload in try connection.notifications(within: .milliseconds(500)) { receive(payload) }
            } catch {
                wasAway = true
                link.drop()
            }
        }
    }

    private func receive(_ payload: String) {
        // Only hubs write to the channel; what they did not write says that something changed.
        guard let json = try? JSONParser.parse(payload) else { return tell([HubChange(kind: "*", id: "*")]) }
        guard json["from"]?.stringValue != instance else { return }
        tell(
            (json["changes"]?.arrayValue ?? []).compactMap { pair in
                guard let kind = pair.arrayValue?.first?.stringValue, let id = pair.arrayValue?.last?.stringValue else {
                    return nil
                }
                return HubChange(kind: kind, id: id)
            })
    }
}

extension SQLTransaction {
    func announce(_ changes: [HubChange]) throws {
        guard isPostgres, !changes.isEmpty else { return }
        func payload(_ changes: [HubChange]) -> String {
            let pairs = changes.map { JSONValue.array([.string($0.kind), .string($0.id)]) }
            return JSONValue.object(["from": .string(announcer), "changes": .array(pairs)]).canonicalText
        }
        let text = payload(changes)
        let isLong = text.utf8.count > PostgresFeed.payloadBytesMax
        try execute(
            "SELECT pg_notify('\(PostgresFeed.channel)', ?)",
            [isLong ? payload([HubChange(kind: "*", id: "*")]) : text])
    }
}
