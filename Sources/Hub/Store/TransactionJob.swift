import Synchronization

/// One transaction body that waits for its turn on a connection.
protocol TransactionJob<Connection>: AnyObject, Sendable {
    associatedtype Connection
    /// Runs the body and keeps its result. May be called again when the transaction was lost.
    func run(_ connection: Connection) throws
    /// Hands the kept result, or the error, to whoever waits. Called once.
    func finish(_ error: (any Error)?)
}

/// A body with the caller that waits for its result.
final class BodyJob<Connection, Result: Sendable>: TransactionJob {
    private let continuation: CheckedContinuation<Result, any Error>
    private let body: @Sendable (Connection) throws -> Result
    private let result = Mutex<Result?>(nil)

    init(
        continuation: CheckedContinuation<Result, any Error>,
        _ body: @escaping @Sendable (Connection) throws -> Result
    ) {
        self.continuation = continuation
        self.body = body
    }

    func run(_ connection: Connection) throws {
        let made = try body(connection)
        result.withLock { $0 = made }
    }

    func finish(_ error: (any Error)?) {
        if let error {
            continuation.resume(throwing: error)
        } else {
            continuation.resume(returning: result.withLock { $0! })
        }
    }
}
