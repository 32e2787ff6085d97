public import HubStore
import Synchronization

/// Tells subscribers what was committed. A slow subscriber costs a bounded amount of memory: equal changes that wait
/// are one, and when too many wait they become one ``HubChange/everything``.
public final class ChangeFeed: Sendable {
    /// Changes that may wait for one subscriber.
    static let waitingMax = 256

    private struct Subscribers {
        var next = 0
        var byNumber: [Int: WeakSubscription] = [:]
    }

    private struct WeakSubscription {
        weak var subscription: Subscription?
    }

    private let subscribers = Mutex(Subscribers())

    init() {}

    /// Changes from now on. The stream ends when its task is cancelled.
    public func subscribe() -> AsyncStream<HubChange> {
        let subscription = Subscription()
        subscribers.withLock {
            $0.byNumber[$0.next] = WeakSubscription(subscription: subscription)
            $0.next += 1
        }
        return AsyncStream(unfolding: { await subscription.next() }, onCancel: { subscription.end() })
    }

    func publish(_ changes: [HubChange]) {
        guard !changes.isEmpty else { return }
        let live = subscribers.withLock { state in
            state.byNumber = state.byNumber.filter { $0.value.subscription != nil }
            return state.byNumber.sorted { $0.key < $1.key }.compactMap(\.value.subscription)
        }
        for subscription in live { subscription.add(changes) }
    }

    /// Number of subscribers, for the metrics.
    public var subscriberCount: Int {
        subscribers.withLock { $0.byNumber.count { $0.value.subscription != nil } }
    }
}

extension HubChange {
    /// So much changed that a subscriber must look at everything it shows.
    public static let everything = HubChange(kind: "*", id: "*")
}

/// One subscriber's waiting changes.
private final class Subscription: Sendable {
    private struct State {
        var waiting: [HubChange] = []
        var reader: CheckedContinuation<HubChange?, Never>?
        var isEnded = false
    }

    private let state = Mutex(State())

    func add(_ changes: [HubChange]) {
        let delivery = state.withLock { state -> (CheckedContinuation<HubChange?, Never>, HubChange)? in
            guard !state.isEnded else { return nil }
            for change in changes where !state.waiting.contains(change) {
                if state.waiting == [.everything] { break }
                state.waiting.append(change)
                if state.waiting.count > ChangeFeed.waitingMax { state.waiting = [.everything] }
            }
            guard let reader = state.reader, !state.waiting.isEmpty else { return nil }
            state.reader = nil
            return (reader, state.waiting.removeFirst())
        }
        delivery?.0.resume(returning: delivery?.1)
    }

    func next() async -> HubChange? {
        await withCheckedContinuation { continuation in
            let answer = state.withLock { state -> HubChange?? in
                if state.isEnded { return .some(nil) }
                if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
                state.reader = continuation
                return nil
            }
            if let answer { continuation.resume(returning: answer) }
        }
    }

    func end() {
        let reader = state.withLock { state in
            state.isEnded = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }
}
