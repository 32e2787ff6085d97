import Model

/// Reads, each in a snapshot.
struct PostgresReader {
    private let link: PostgresLink

    init(_ address: PostgresAddress, _ patience: Duration) { link = PostgresLink(address, patience: patience) }

    func work(_ queue: WorkQueue<PostgresJob>) {
        while let job = queue.next(1).first {
            do {
                try link.retrying { connection in
                    try connection.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    do {
                        try job.run(connection)
                        try connection.run("COMMIT")
                    } catch {
                        if !connection.isBroken { try connection.run("ROLLBACK") }
                        throw error
                    }
                }
                job.finish(nil)
            } catch {
                job.finish(error)
            }
        }
    }
}

/// Writes, many in one transaction; one that fails takes nothing with it.
///
/// Each transaction leaves a mark of its own, by which is told after a broken connection whether it came through. The
/// number that the server gives to a transaction would not do: one that was lost in a crash is given again.
struct PostgresWriter {
    /// What is known of a transaction whose connection broke.
    enum Fate { case committed, aborted }

    private let link: PostgresLink
    /// Where its marks are.
    private let name = Self.randomText()

    init(_ address: PostgresAddress, _ patience: Duration) { link = PostgresLink(address, patience: patience) }

    private static func randomText() -> String {
        [UInt64.random(in: .min ... .max), .random(in: .min ... .max)].map { String($0, radix: 36) }.joined()
    }

    func work(_ queue: WorkQueue<PostgresJob>) {
        while true {
            let batch = queue.next(PostgresStore.batchMax)
            guard !batch.isEmpty else { return }
            do {
                let failures = try commit(batch)
                for (job, failure) in zip(batch, failures) { job.finish(failure) }
            } catch {
                for job in batch { job.finish(error) }
            }
        }
    }

    /// - Returns: for each job why it was refused.
    private func commit(_ batch: [PostgresJob]) throws -> [(any Error)?] {
        let deadline = link.deadline()
        while true {
            let connection = try link.ready(until: deadline)
            var sent: (mark: String, failures: [(any Error)?])?
            do {
                return try commit(batch, connection) { sent = ($0, $1) }
            } catch let error as PostgresError {
                if !connection.isBroken { try connection.run("ROLLBACK") }
                if error.isConflict, PostgresLink.now() < deadline { continue }
                // A commit that was refused, e.g. for a full disk: nothing of it is there.
                if !error.isConnectionLoss { throw error.problem }
                link.drop()
                if let sent, try fate(of: sent.mark, until: deadline) == .committed { return sent.failures }
                if PostgresLink.now() >= deadline { throw error.problem }
            }
        }
    }

    /// - Parameter commits: is told the transaction's mark, and what it refused, right before its commit is sent.
    private func commit(
        _ batch: [PostgresJob], _ connection: PostgresConnection, _ commits: (String, [(any Error)?]) -> Void
    ) throws -> [(any Error)?] {
        try connection.run("BEGIN")
        _ = try connection.query("SELECT pg_advisory_xact_lock(\(PostgresLocks.writer))", [])
        var failures: [(any Error)?] = []
        for job in batch {
            try connection.run("SAVEPOINT job")
            do {
                try job.run(connection)
                try connection.run("RELEASE job")
                failures.append(nil)
            } catch {
                if connection.isBroken { throw PostgresError(state: nil, message: "\(error)") }
                if let error = error as? PostgresError, error.isConflict { throw error }
                try connection.run("ROLLBACK TO job; RELEASE job")
                failures.append(error)
            }
        }
        guard failures.contains(where: { $0 == nil }) else {
            try connection.run("ROLLBACK")
            return failures
        }
        let mark = Self.randomText()
        _ = try connection.query(Self.marking, [.text(name), .text("\"\(mark)\"")])
        commits(mark, failures)
        try connection.run("COMMIT")
        return failures
    }

    /// One row for each start of a hub. It does not expire: hubs tell the time each by its own clock.
    private static let marking = """
        INSERT INTO cells (space, key, value) VALUES ('writer', ?, ?)
        ON CONFLICT (space, key) DO UPDATE SET value = excluded.value
        """

    /// Asks a new connection what became of a transaction. The server may still be at it: it holds the lock until then.
    private func fate(of mark: String, until deadline: Duration) throws -> Fate {
        while true {
            let connection = try link.ready(until: deadline)
            do {
                try connection.run("BEGIN; SET LOCAL lock_timeout = '1s'")
                _ = try connection.query("SELECT pg_advisory_xact_lock(\(PostgresLocks.writer))", [])
                let found = try connection.query(
                    "SELECT value FROM cells WHERE space = 'writer' AND key = ?", [.text(name)])
                try connection.run("COMMIT")
                let last: String? = found.rows.first?[0]
                return last == "\"\(mark)\"" ? .committed : .aborted
            } catch let error as PostgresError {
                link.drop()
                guard PostgresLink.now() < deadline else { throw error.isConnectionLoss ? error.problem : Self.unknown }
            }
        }
    }

    private static let unknown = Problem(
        .unavailable, "The database server went away while it stored this; whether it did is not known yet.")
}
