import CRoost
import Glibc
public import Model

/// A thread of the operating system, for work that blocks, or that no other thread may do.
public struct NativeThread: Sendable {
    private let handle: pthread_t

    private final class Body: Sendable {
        let name: String
        let run: @Sendable () -> Void
        init(_ name: String, _ run: @escaping @Sendable () -> Void) { (self.name, self.run) = (name, run) }
    }

    /// Starts it. What is not detached must be joined.
    /// - Parameters:
    ///   - name: as the system lists it, of which it keeps 15 bytes.
    ///   - stackBytes: the system's own size when nil.
    /// - Throws: `unavailable` when the system has no threads left.
    public init(
        _ name: String, stackBytes: Int? = nil, _ run: @escaping @Sendable () -> Void
    ) throws(Problem) {
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        if let stackBytes { pthread_attr_setstacksize(&attributes, stackBytes) }
        let body = Unmanaged.passRetained(Body(name, run))
        var started = pthread_t()
        let status = pthread_create(
            &started, &attributes,
            { argument in
                let body = Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue()
                croost_name_thread(body.name)
                body.run()
                return nil
            }, body.toOpaque())
        guard status == 0 else {
            body.release()
            throw Problem(
                .unavailable, "The system has no thread left for this.", hint: "Raise its limit of tasks.",
                context: "\(name): \(String(cString: strerror(status)))")
        }
        handle = started
    }

    /// Starts one that nobody waits for.
    /// - Throws: `unavailable` when the system has no threads left.
    public static func detached(
        _ name: String, stackBytes: Int? = nil, _ run: @escaping @Sendable () -> Void
    ) throws(Problem) {
        pthread_detach(try NativeThread(name, stackBytes: stackBytes, run).handle)
    }

    /// Runs what may block for long on a thread of its own: the cooperative pool must not be held up.
    /// - Throws: what `body` throws; `unavailable` when the system has no threads left.
    public static func run<Result: Sendable>(
        _ name: String, stackBytes: Int? = nil, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try await withCheckedThrowingContinuation { continuation in
            do {
                try detached(name, stackBytes: stackBytes) {
                    continuation.resume(with: Swift.Result(catching: body))
                }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Waits for its end; once only.
    public func join() { pthread_join(handle, nil) }
}
