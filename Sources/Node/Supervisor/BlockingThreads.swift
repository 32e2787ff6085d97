import CRoost
import Glibc
import Synchronization

/// Runs blocking work on threads of its own, so that the cooperative pool is never held up.
///
/// Short work (file calls) shares at most `threadsMax` threads; waits get one each.
public final class BlockingThreads: Sendable {
    /// The process-wide instance for file calls.
    public static let shared = BlockingThreads(threadsMax: 8)

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
    public static func wait<Result: Sendable>(
        _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            startThread { continuation.resume(with: Swift.Result(catching: body)) }
        }
    }

    private func enqueue(_ job: @escaping @Sendable () -> Void) {
        let needsThread = state.withLock { state in
            state.queue.append(job)
            guard state.threads < threadsMax else { return false }
            state.threads += 1
            return true
        }
        if needsThread { Self.startThread { self.drain() } }
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

    private final class Body: Sendable {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func startThread(_ run: @escaping @Sendable () -> Void) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
        pthread_attr_setstacksize(&attributes, 2_097_152)
        var thread = pthread_t()
        let body = Unmanaged.passRetained(Body(run))
        let code = pthread_create(
            &thread, &attributes,
            { argument in
                croost_name_thread("blocking")
                Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
                return nil
            }, body.toOpaque())
        pthread_attr_destroy(&attributes)
        guard code != 0 else { return }
        // No thread to be had: better late than never, so the caller does the work.
        body.takeRetainedValue().run()
    }
}
