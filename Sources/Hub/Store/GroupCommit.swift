import GRDB
import Glibc
import Model

/// One transaction body that waits for its turn.
protocol WriteJob: AnyObject, Sendable {
    /// Runs the body and keeps its result. May be called again when the commit that it shared was lost.
    func run(_ db: Database) throws
    /// Hands the kept result, or the error, to whoever waits. Called once.
    func finish(_ error: (any Error)?)
}

/// Runs write jobs on a thread of its own and commits those that wait together, with one sync of the disk for all.
///
/// Each job has a savepoint, so one that fails takes nothing with it.
final class GroupCommit: @unchecked Sendable {
    // Unchecked: `jobs` and `isClosed` are only touched under `mutex`; the rest is immutable.
    private static let batchMax = 128

    private let database: any DatabaseWriter
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let wakeUp = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [any WriteJob] = []
    private var isClosed = false

    init(_ database: any DatabaseWriter) {
        self.database = database
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(wakeUp, nil)
        var thread = pthread_t()
        // The thread keeps this object until it is closed and all jobs are done.
        let retained = Unmanaged.passRetained(self).toOpaque()
        let code = pthread_create(
            &thread, nil,
            { argument in
                Unmanaged<GroupCommit>.fromOpaque(argument!).takeRetainedValue().work()
                return nil
            }, retained)
        precondition(code == 0, "a thread for the database could not be made")
        pthread_detach(thread)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(wakeUp)
        mutex.deallocate()
        wakeUp.deallocate()
    }

    func submit(_ job: any WriteJob) {
        pthread_mutex_lock(mutex)
        let isRefused = isClosed
        if !isRefused { jobs.append(job) }
        pthread_cond_signal(wakeUp)
        pthread_mutex_unlock(mutex)
        if isRefused { job.finish(Problem(.unavailable, "The hub is shutting down.")) }
    }

    /// Lets the thread end once the jobs that were submitted are done.
    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_signal(wakeUp)
        pthread_mutex_unlock(mutex)
    }

    private func next() -> [any WriteJob] {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while jobs.isEmpty, !isClosed { pthread_cond_wait(wakeUp, mutex) }
        let batch = Array(jobs.prefix(Self.batchMax))
        jobs.removeFirst(batch.count)
        return batch
    }

    private func work() {
        while true {
            let batch = next()
            guard !batch.isEmpty else { return }
            if !commit(batch) {
                for job in batch { commitAlone(job) }
            }
        }
    }

    /// Commits all jobs that succeed. False when the shared transaction was lost and nobody was told anything.
    private func commit(_ batch: [any WriteJob]) -> Bool {
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

    private func commitAlone(_ job: any WriteJob) {
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
