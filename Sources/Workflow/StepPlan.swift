import Model
import Synchronization

/// How a step is to be done.
struct StepPlan: Sendable {
    var name: String
    var retry: RetryPolicy
    var timeout: Duration
}

typealias StepBody = @Sendable (StepAttempt) async throws -> JSONValue
typealias UndoBody = @Sendable (JSONValue, StepAttempt) async throws -> Void

/// Counts from 1.
final class Counter: Sendable {
    private let value = Mutex(UInt64(0))

    func next() -> UInt64 {
        value.withLock {
            $0 += 1
            return $0
        }
    }
}
