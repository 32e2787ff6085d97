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
struct PostgresWriter {
    /// What is known of a transaction whose connection broke.
    enum Fate { case committed, aborted }

    private let link: PostgresLink

    init(_ address: PostgresAddress, _ patience: Duration) { link = PostgresLink(address, patience: patience) }

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
            var sent: (transaction: String, failures: [(any Error)?])?
            do {
                return try commit(batch, connection) { sent = ($0, $1) }
            } catch let error as PostgresError {
                if !connection.isBroken { try connection.run("ROLLBACK") }
                if error.isConflict, PostgresLink.now() < deadline { continue }
                // A commit that was refused, e.g. for a full disk: nothing of it is there.
                if !error.isConnectionLoss { throw error.problem }
                link.drop()
                if let sent, try fate(of: sent.transaction, until: deadline) == .committed { return sent.failures }
                if PostgresLink.now() >= deadline { throw error.problem }
            }
        }
    }

    /// - Parameter commits: is told the transaction's number, and what it refused, right before its commit is sent.
    private func commit(
        _ batch: [PostgresJob], _ connection: PostgresConnection, _ commits: (String, [(any Error)?]) -> Void
    ) throws -> [(any Error)?] {
        try connection.run("BEGIN")
        let begin = try connection.query(
            "SELECT pg_current_xact_id()::text FROM pg_advisory_xact_lock(\(PostgresLocks.writer))", [])
        let number: String = begin.rows.first?[0] ?? ""
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
        commits(number, failures)
        try connection.run("COMMIT")
        return failures
    }

    /// Asks a new connection what became of a transaction.
    private func fate(of transaction: String, until deadline: Duration) throws -> Fate {
        while true {
            let connection = try link.ready(until: deadline)
            do {
                let answer = try connection.query("SELECT pg_xact_status(?::xid8)", [.text(transaction)]).rows.first
                let status: String? = answer?[0]
                switch status {
                case "committed": return .committed
                case "aborted": return .aborted
                default: if PostgresLink.now() >= deadline { throw Self.unknown }
                }
            } catch let error as PostgresError {
                link.drop()
                if PostgresLink.now() >= deadline { throw error.problem }
            }
        }
    }

    private static let unknown = Problem(
        .unavailable, "The database server went away while it stored this; whether it did is not known yet.")
}
