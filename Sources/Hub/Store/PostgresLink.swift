import Glibc
import Model

/// The connection of one thread: opened when it is needed, and opened anew when PostgreSQL was restarted underneath.
final class PostgresLink {
    private let address: PostgresAddress
    /// How long to try before the caller hears that the database is away.
    private let patience: Duration
    private var connection: PostgresConnection?
    private let setUp: (PostgresConnection) throws -> Void

    init(
        _ address: PostgresAddress, patience: Duration, setUp: @escaping (PostgresConnection) throws -> Void = { _ in }
    ) {
        self.address = address
        self.patience = patience
        self.setUp = setUp
    }

    static func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    func deadline() -> Duration { Self.now() + patience }

    /// A connection that was fine a moment ago.
    /// - Throws: `unavailable` when none can be had until the deadline.
    func ready(until deadline: Duration) throws -> PostgresConnection {
        if let connection, !connection.isBroken { return connection }
        connection = nil
        var pause = Duration.milliseconds(20)
        while true {
            do {
                let new = try PostgresConnection(address)
                try setUp(new)
                connection = new
                return new
            } catch let error as PostgresError {
                let left = deadline - Self.now()
                guard error.isConnectionLoss, left > .zero else { throw error.problem }
                usleep(UInt32(min(pause, left).milliseconds * 1000))
                pause = min(pause * 2, .seconds(1))
            }
        }
    }

    func drop() { connection = nil }

    /// Does something in as many connections as it takes until the deadline. The body must bear being repeated.
    func retrying<Result>(_ body: (PostgresConnection) throws -> Result) throws -> Result {
        let deadline = deadline()
        while true {
            let connection = try ready(until: deadline)
            do {
                return try body(connection)
            } catch let error as PostgresError where error.isConnectionLoss {
                drop()
                if Self.now() >= deadline { throw error.problem }
            } catch let error as PostgresError where error.isConflict {
                if Self.now() >= deadline { throw error.problem }
            } catch let error as PostgresError {
                throw error.problem
            }
        }
    }
}
