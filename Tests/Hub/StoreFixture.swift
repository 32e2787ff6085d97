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

/// What a refused call throws.
func problem(_ body: () async throws -> Void) async throws -> Problem {
    do {
        try await body()
    } catch let problem as Problem {
        return problem
    }
    throw Problem(Problem.Code("not_refused"), "The call was not refused.")
}
