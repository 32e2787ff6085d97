import Host
import Model
import Synchronization

/// Time that stands still until it is moved.
final class ManualClock: HostClock {
    private let offset = Mutex(Duration.zero)
    static let start = Timestamp(millisecondsSinceEpoch: 1_900_000_000_000)

    func move(_ duration: Duration) { offset.withLock { $0 += duration } }
    func now() -> Timestamp { Self.start.advanced(by: monotonic()) }
    func monotonic() -> Duration { offset.withLock { $0 } }
    func sleep(for duration: Duration) async throws { try await Task.sleep(for: duration) }
}

/// A clock whose sleepers wake when it is moved past their time.
final class SteppedClock: HostClock {
    private struct State {
        var offset = Duration.zero
        var sleeping: [UInt64: (until: Duration, continuation: CheckedContinuation<Void, any Error>)] = [:]
        var cancelled: Set<UInt64> = []
        var count: UInt64 = 0
    }

    private let state = Mutex(State())

    /// How many sleep now.
    var sleepers: Int { state.withLock { $0.sleeping.count } }
    func now() -> Timestamp { ManualClock.start.advanced(by: monotonic()) }
    func monotonic() -> Duration { state.withLock { $0.offset } }

    func move(_ duration: Duration) {
        let woken = state.withLock { state in
            state.offset += duration
            let woken = state.sleeping.filter { $0.value.until <= state.offset }
            for number in woken.keys { state.sleeping[number] = nil }
            return woken.values.map(\.continuation)
        }
        for continuation in woken { continuation.resume() }
    }

    func sleep(for duration: Duration) async throws {
        let number = state.withLock { state in
            state.count += 1
            return state.count
        }
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let isCancelled = state.withLock { state in
                    if state.cancelled.remove(number) != nil { return true }
                    state.sleeping[number] = (state.offset + duration, continuation)
                    return false
                }
                if isCancelled { continuation.resume(throwing: CancellationError()) }
            }
        } onCancel: {
            let sleeper = state.withLock { state in
                let sleeper = state.sleeping.removeValue(forKey: number)
                if sleeper == nil { state.cancelled.insert(number) }
                return sleeper
            }
            sleeper?.continuation.resume(throwing: CancellationError())
        }
    }
}

/// What a refused call throws.
func problem(_ body: () async throws -> Void) async throws -> Problem {
    do {
        try await body()
    } catch let problem as Problem {
        return problem
    }
    throw Problem(Problem.Code("not_refused"), "The call was not refused.")
}
