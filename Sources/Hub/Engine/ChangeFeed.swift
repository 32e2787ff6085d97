public import HubStore
import Synchronization

/// Tells subscribers what was committed. A slow subscriber costs a bounded amount of memory: equal changes that wait
/// are one, and when too many wait they become one ``HubChange/everything``.
public final class ChangeFeed: Sendable {
    /// Changes that may wait for one subscriber.
    static let waitingMax = 256

    private let registry = SubscriptionRegistry()

    init() {}

    /// Changes from now on. The stream ends when its task is cancelled.
    ///
    /// What a subscriber does not ask for costs it nothing: thousands of agents wait for a change of their own.
    public func subscribe(to interest: ChangeInterest = .all) -> AsyncStream<HubChange> {
        let subscription = registry.add(interest)
        return AsyncStream(unfolding: { await subscription.next() }, onCancel: { subscription.end() })
    }

    func publish(_ changes: [HubChange]) {
        guard !changes.isEmpty else { return }
        for subscription in registry.interested(in: changes) { subscription.add(changes) }
    }

    /// Number of subscribers, for the metrics.
    public var subscriberCount: Int { registry.count }
}

/// What a subscriber of the ``ChangeFeed`` wants to hear of. ``HubChange/everything`` reaches each.
public enum ChangeInterest: Sendable {
    case all
    case kinds(Set<String>)
    case changes(Set<HubChange>)

    fileprivate func contains(_ change: HubChange) -> Bool {
        if change == .everything { return true }
        return switch self {
        case .all: true
        case .kinds(let kinds): kinds.contains(change.kind)
        case .changes(let changes): changes.contains(change)
        }
    }
}

/// Finds the subscribers of a change without asking all of them. Both the feed and each subscription hold it; it holds
/// subscriptions weakly, and each takes itself off when its stream is gone.
private final class SubscriptionRegistry: Sendable {
    private struct Entry {
        weak var subscription: Subscription?
    }

    private struct State {
        var next = 0
        var all: [Int: Entry] = [:]
        var toAll: Set<Int> = []
        var byKind: [String: Set<Int>] = [:]
        var byChange: [HubChange: Set<Int>] = [:]
    }

    private let state = Mutex(State())

    var count: Int { state.withLock { $0.all.count } }

    func add(_ interest: ChangeInterest) -> Subscription {
        state.withLock { state in
            let number = state.next
            state.next += 1
            let subscription = Subscription(number: number, interest: interest, registry: self)
            state.all[number] = Entry(subscription: subscription)
            switch interest {
            case .all: state.toAll.insert(number)
            case .kinds(let kinds): for kind in kinds { state.byKind[kind, default: []].insert(number) }
            case .changes(let changes): for change in changes { state.byChange[change, default: []].insert(number) }
            }
            return subscription
        }
    }

    func remove(_ number: Int, _ interest: ChangeInterest) {
        state.withLock { state in
            state.all[number] = nil
            switch interest {
            case .all: state.toAll.remove(number)
            case .kinds(let kinds):
                for kind in kinds {
                    state.byKind[kind]?.remove(number)
                    if state.byKind[kind]?.isEmpty == true { state.byKind[kind] = nil }
                }
            case .changes(let changes):
                for change in changes {
                    state.byChange[change]?.remove(number)
                    if state.byChange[change]?.isEmpty == true { state.byChange[change] = nil }
                }
            }
        }
    }

    /// In the order in which they subscribed.
    func interested(in changes: [HubChange]) -> [Subscription] {
        // The references outlive the lock: the end of a subscription takes it too.
        state.withLock { state in
            if changes.contains(.everything) {
                return state.all.sorted { $0.key < $1.key }.compactMap(\.value.subscription)
            }
            var numbers = state.toAll
            for change in changes {
                if let some = state.byKind[change.kind] { numbers.formUnion(some) }
                if let some = state.byChange[change] { numbers.formUnion(some) }
            }
            return numbers.sorted().compactMap { state.all[$0]?.subscription }
        }
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
    private let number: Int
    private let interest: ChangeInterest
    private let registry: SubscriptionRegistry

    init(number: Int, interest: ChangeInterest, registry: SubscriptionRegistry) {
        self.number = number
        self.interest = interest
        self.registry = registry
    }

    deinit { registry.remove(number, interest) }

    func add(_ changes: [HubChange]) {
        let delivery = state.withLock { state -> (CheckedContinuation<HubChange?, Never>, HubChange)? in
            guard !state.isEnded else { return nil }
            for change in changes where interest.contains(change) && !state.waiting.contains(change) {
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
