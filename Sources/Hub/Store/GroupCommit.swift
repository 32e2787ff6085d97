import GRDB
import Host
import Model

/// Runs write jobs on a thread of its own and commits those that wait together, with one sync of the disk for all.
///
/// Each job has a savepoint, so one that fails takes nothing with it.
final class GroupCommit: Sendable {
    typealias Job = any TransactionJob<Database>

    private static let batchMax = 128

    private let database: any DatabaseWriter
    private let jobs = WorkQueue<Job>()

    /// The thread keeps this object until it is closed and all jobs are done.
    /// - Throws: `unavailable` when the system has no threads left.
    init(_ database: any DatabaseWriter) throws(Problem) {
        self.database = database
        try NativeThread.detached("commits") { [self] in work() }
    }

    func submit(_ job: Job) {
        if !jobs.submit(job) { job.finish(Problem(.unavailable, "The hub is shutting down.")) }
    }

    /// Lets the thread end once the jobs that were submitted are done.
    func close() { jobs.close() }

    private func work() {
        var plan = GatheringPlan()
        while true {
            let batch = jobs.next(Self.batchMax, hopingFor: plan.hope, atMost: plan.patience)
            guard !batch.isEmpty else { return }
            let began = ContinuousClock.now
            if !commit(batch) {
                for job in batch { commitAlone(job) }
            }
            plan.note(batch.count, took: ContinuousClock.now - began)
        }
    }

    /// Commits all jobs that succeed. False when the shared transaction was lost and nobody was told anything.
    private func commit(_ batch: [Job]) -> Bool {
        guard batch.count > 1 else {
            commitAlone(batch[0])
            return true
        }
        do {
            let failures = try database.writeWithoutTransaction { db in
                try db.inWholeTransaction {
                    try batch.map { job -> (any Error)? in
                        do {
                            try db.savepoint { try job.run(db) }
                            return nil
                        } catch let error where db.isInsideTransaction {
                            return error
                        }
                    }
                }
            }
            for (job, failure) in zip(batch, failures) { job.finish(failure) }
            return true
        } catch {
            // Which job the commit failed for is unknown: each runs again alone and hears of its own error.
            return false
        }
    }

    private func commitAlone(_ job: Job) {
        do {
            try database.writeWithoutTransaction { db in try db.inWholeTransaction { try job.run(db) } }
            job.finish(nil)
        } catch {
            job.finish(error)
        }
    }
}

extension Database {
    /// Runs a body in a transaction; on any error everything is rolled back.
    func inWholeTransaction<Result>(_ body: () throws -> Result) throws -> Result {
        try cachedStatement(sql: "BEGIN IMMEDIATE").execute()
        do {
            let result = try body()
            try cachedStatement(sql: "COMMIT").execute()
            return result
        } catch {
            // SQLite has rolled back by itself after some errors (disk full).
            if isInsideTransaction { try cachedStatement(sql: "ROLLBACK").execute() }
            throw error
        }
    }

    func savepoint(_ body: () throws -> Void) throws {
        try cachedStatement(sql: "SAVEPOINT job").execute()
        do {
            try body()
            try cachedStatement(sql: "RELEASE job").execute()
        } catch {
            if isInsideTransaction {
                try cachedStatement(sql: "ROLLBACK TO job").execute()
                try cachedStatement(sql: "RELEASE job").execute()
            }
            throw error
        }
    }
}
