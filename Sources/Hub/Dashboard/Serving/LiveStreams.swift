import Synchronization

/// The open event streams of all browsers. Bounded: one more than allowed ends the oldest, whose page connects again
/// when somebody looks at it.
final class LiveStreams: Sendable {
    static let totalMax = 512
    static let perSessionMax = 24

    private struct State {
        /// Oldest first.
        var open: [LiveStream] = []
    }

    private let state = Mutex(State())

    func open(session: String) -> LiveStream {
        let stream = LiveStream(session: session)
        let surplus = state.withLock { state -> LiveStream? in
            state.open.append(stream)
            let own = state.open.count { $0.session == session }
            let isSurplus: (LiveStream) -> Bool = { own <= Self.perSessionMax || $0.session == session }
            guard own > Self.perSessionMax || state.open.count > Self.totalMax,
                let oldest = state.open.firstIndex(where: isSurplus)
            else { return nil }
            // Out of the list at once: its writer may take a while to notice, and must not be chosen twice.
            return state.open.remove(at: oldest)
        }
        surplus?.end()
        return stream
    }

    func close(_ stream: LiveStream) {
        stream.end()
        state.withLock { $0.open.removeAll { $0 === stream } }
    }

    var count: Int { state.withLock { $0.open.count } }
}

/// What one browser has yet to be told. Changes of one kind that wait are one.
final class LiveStream: Sendable {
    struct News: Sendable, Equatable {
        var kinds: Set<String> = []
        /// Services and deployments whose log grew.
        var logs: Set<String> = []
        var isEmpty: Bool { kinds.isEmpty && logs.isEmpty }
    }

    /// Log names that may wait; beyond it every page looks at its logs again.
    static let logsMax = 100

    let session: String
    /// Wakes the writer: something waits, or it is time for a heartbeat.
    let signals: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation
    private let news = Mutex(News())

    init(session: String) {
        self.session = session
        (signals, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    func add(kind: String, id: String) {
        news.withLock { news in
            if kind == "log" {
                if news.logs.count < Self.logsMax { _ = news.logs.insert(id) } else { _ = news.kinds.insert("*") }
            } else {
                _ = news.kinds.insert(kind)
            }
        }
        wake.yield()
    }

    func beat() { wake.yield() }

    /// Ends the stream; the writer returns.
    func end() { wake.finish() }

    func take() -> News {
        news.withLock { news in
            defer { news = News() }
            return news
        }
    }
}
