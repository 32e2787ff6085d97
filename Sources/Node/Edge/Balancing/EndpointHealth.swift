import Synchronization

/// What all event loops know of an endpoint's health. Lives across tables with its endpoint.
final class EndpointHealth: Sendable {
    enum Standing: Equatable {
        case well
        /// It failed not long ago, or its check says so.
        case out
        /// It was out for long enough: one request may try it.
        case mayTry
    }

    private let failures = Atomic<Int>(0)
    /// Monotonic nanoseconds; 0 while it is in.
    private let outUntil = Atomic<UInt64>(0)
    /// How often in a row it went out.
    private let spells = Atomic<UInt64>(0)
    private let isTried = Atomic<Bool>(false)
    /// Active checks that find it unwell.
    let checksFailing = Atomic<Int>(0)

    func standing(now: UInt64) -> Standing {
        if checksFailing.load(ordering: .relaxed) > 0 { return .out }
        let until = outUntil.load(ordering: .relaxed)
        if until == 0 { return .well }
        return until <= now && !isTried.load(ordering: .relaxed) ? .mayTry : .out
    }

    /// Claims the one request that tries it; false when another has.
    func beginTrial() -> Bool {
        isTried.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged
    }

    /// The trial ended without a result, since the client left.
    func abandonTrial() { isTried.store(false, ordering: .releasing) }

    /// No connection, no answer, or a broken one.
    func failed(now: UInt64, failuresMax: Int, outNanoseconds: UInt64) {
        guard failuresMax > 0 else { return }
        let until = outUntil.load(ordering: .acquiring)
        // Requests that were under way when it went out add nothing.
        if until > now { return }
        if until == 0, failures.add(1, ordering: .relaxed).newValue < failuresMax { return }
        let spell = spells.add(1, ordering: .relaxed).newValue
        let factor = spell > 4 ? 10 : UInt64(1) << (spell - 1)
        outUntil.store(now &+ outNanoseconds &* min(factor, 10), ordering: .releasing)
        failures.store(0, ordering: .relaxed)
        isTried.store(false, ordering: .releasing)
    }

    /// It answered.
    func succeeded() {
        if failures.load(ordering: .relaxed) != 0 { failures.store(0, ordering: .relaxed) }
        guard outUntil.load(ordering: .relaxed) != 0 else { return }
        outUntil.store(0, ordering: .relaxed)
        spells.store(0, ordering: .relaxed)
        isTried.store(false, ordering: .releasing)
    }
}
