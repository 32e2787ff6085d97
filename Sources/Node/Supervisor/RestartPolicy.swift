import Model

/// When an application that ended is started again: exponential backoff, started over after a stable run. Pure.
struct RestartPolicy {
    private let firstMs: Int
    private let maxMs: Int
    private let stableAfterMs: Int
    private let crashLoopAfter: Int
    private(set) var failures = 0

    init(_ spec: UnitSpec) {
        firstMs = spec.backoffFirstMs
        maxMs = spec.backoffMaxMs
        stableAfterMs = spec.stableAfterMs
        crashLoopAfter = spec.crashLoopAfter
    }

    /// - Parameter ranMs: How long the run that just ended was; 0 when it could not even start.
    /// - Returns: How long to wait, and what to call that.
    mutating func ended(afterMs ranMs: Int) -> (pauseMs: Int, phase: UnitRecord.Phase) {
        failures = ranMs >= stableAfterMs ? 1 : failures + 1
        let pause = failures > 30 ? maxMs : min(maxMs, firstMs << (failures - 1))
        return failures >= crashLoopAfter ? (maxMs, .crashLoop) : (pause, .backoff)
    }
}
