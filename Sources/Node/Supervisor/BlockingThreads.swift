import Host
import Synchronization

/// Runs blocking work on threads of its own, so that the cooperative pool is never held up.
///
/// Short work (file calls) shares at most `threadsMax` threads; waits get one each.
public final class BlockingThreads: Sendable {
    /// The process-wide instance for file calls.
    public static let shared = BlockingThreads(threadsMax: 8)

    private static let name = "blocking"
    private static let stackBytes = 2_097_152

    private struct State {
        var queue: [@Sendable () -> Void] = []
        var threads = 0
    }

    private let state = Mutex(State())
    private let threadsMax: Int

    public init(threadsMax: Int) { self.threadsMax = threadsMax }

    /// Runs short blocking work.
    public func run<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            enqueue { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    /// Runs work that may block for long, on a thread of its own.
    /// - Throws: what `body` throws; `unavailable` when the system has no threads left.
    public static func wait<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await NativeThread.run(name, stackBytes: stackBytes, body)
    }

    private func enqueue(_ job: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.queue.append(job)
            guard state.threads < threadsMax else { return false }
            state.threads += 1
            return true
        }
        guard needsThread else { return }
        do {
            try NativeThread.detached(Self.name, stackBytes: Self.stackBytes) { self.drain() }
        } catch {
            // Better late than never: the caller does the work.
            drain()
        }
    }

    /// Works until the queue is empty. Threads are cheap enough (20 µs) not to be kept waiting.
    private func drain() {
        while true {
            let job = state.withLock { state -> (@Sendable () -> Void)? in
                if state.queue.isEmpty {
                    state.threads -= 1
                    return nil
                }
                return state.queue.removeFirst()
            }
            guard let job else { return }
            job()
        }
    }
}
