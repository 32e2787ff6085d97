import Model
import Synchronization

/// Gives an upstream a rest after too many failures. Lives across tables as long as its settings stay the same.
final class CircuitBreaker: Sendable {
    enum Verdict: Equatable {
        case pass
        /// This request tells whether it works again.
        case tryIt
        case refuse(retryAfterSeconds: Int)
    }

    private struct State {
        /// Times of the last failures, as a ring.
        var failures: [UInt64] = []
        var next = 0
    }

    let settings: EdgeBreaker
    /// Monotonic nanoseconds; 0 while it is closed.
    private let openUntil = Atomic<UInt64>(0)
    private let isTried = Atomic<Bool>(false)
    private let state = Mutex(State())

    init(_ settings: EdgeBreaker) { self.settings = settings }

    var isOpen: Bool { openUntil.load(ordering: .relaxed) != 0 }

    func verdict(now: UInt64) -> Verdict {
        let until = openUntil.load(ordering: .acquiring)
        if until == 0 { return .pass }
        if until <= now,
            isTried.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
        {
            return .tryIt
        }
        let left = until > now ? (until - now + 999_999_999) / 1_000_000_000 : 1
        return .refuse(retryAfterSeconds: Int(left))
    }

    /// - Parameter isTrial: this request was let through to try.
    func failed(now: UInt64, isTrial: Bool) {
        let opens = state.withLock { state in
            if isTrial { return true }
            if state.failures.count < settings.failures {
                state.failures.append(now)
            } else {
                state.failures[state.next] = now
            }
            state.next = (state.next + 1) % settings.failures
            guard state.failures.count == settings.failures else { return false }
            // The next to be replaced is the oldest.
            return now &- state.failures[state.next] <= UInt64(settings.windowMs) * 1_000_000
        }
        guard opens, isTrial || !isOpen else { return }
        openUntil.store(now &+ UInt64(settings.openMs) * 1_000_000, ordering: .releasing)
        if isTrial { isTried.store(false, ordering: .releasing) }
    }

    func succeeded(isTrial: Bool) {
        guard isTrial else { return }
        state.withLock { $0 = State() }
        openUntil.store(0, ordering: .releasing)
        isTried.store(false, ordering: .releasing)
    }

    /// The trial ended without a result, since the client left.
    func abandonTrial() { isTried.store(false, ordering: .releasing) }
}
