import Host
import Model
public import Workflow

/// One write of a run's journal that waits for its commit.
struct JournalJob: Sendable {
    enum Work: Sendable {
        case start(NewRun, CheckedContinuation<StartedRun?, any Error>)
        case write(JournalWrite, CheckedContinuation<RunMail, any Error>)
    }

    var work: Work
    var now: Timestamp

    func fail(_ error: any Error) {
        let error = (error as? PostgresError)?.problem ?? error
        switch work {
        case .start(_, let continuation): continuation.resume(throwing: error)
        case .write(_, let continuation): continuation.resume(throwing: error)
        }
    }
}

/// What workflows write all the time has lanes of its own; the rest of the journal goes the way of all transactions.
extension PostgresStore {
    /// Stores a new run unless there is one with this id; answers the stored one.
    public func start(_ run: NewRun) async throws -> StartedRun {
        let now = clock.now()
        let started = try await withCheckedThrowingContinuation { continuation in
            submit(JournalJob(work: .start(run, continuation), now: now))
        }
        if let started { return started }
        return try await readRows { StartedRun(run: try $0.requiredRun(run.id), isNew: false) }
    }

    public func write(_ write: JournalWrite) async throws -> RunMail {
        let now = clock.now()
        return try await withCheckedThrowingContinuation { continuation in
            submit(JournalJob(work: .write(write, continuation), now: now))
        }
    }

    private func submit(_ job: JournalJob) {
        if !journal.submit(job) { job.fail(Problem(.unavailable, "The hub is shutting down.")) }
    }
}

/// Commits the journal writes of many runs together: all statements of a batch are sent in one go, and one answer tells
/// that they are on the disk. They need no lock but that of their run's row.
struct PostgresJournalLane {
    private let link: PostgresLink

    init(_ address: PostgresAddress, _ patience: Duration) { link = PostgresLink(address, patience: patience) }

    func work(_ queue: WorkQueue<JournalJob>) {
        while true {
            let batch = queue.next(256)
            guard !batch.isEmpty else { return }
            do {
                try commit(batch)
            } catch {
                guard batch.count > 1, (error as? Problem)?.code != .unavailable else {
                    for job in batch { job.fail(error) }
                    continue
                }
                // Which of them the commit failed for is unknown: each goes again alone.
                for job in batch { do { try commit([job]) } catch { job.fail(error) } }
            }
        }
    }

    /// Repeating a write changes nothing, so a commit whose answer was lost is sent again. A start or an end that
    /// had come through looks as if somebody else had done it, which its caller finds out by reading.
    private func commit(_ batch: [JournalJob]) throws {
        var statements: [PostgresConnection.Statement] = [("BEGIN", [])]
        // For each job the number of the statement that answers it.
        var answering: [Int] = []
        for job in batch {
            answering.append(statements.count)
            statements += JournalStatements.statements(for: job)
        }
        statements.append(("COMMIT", []))
        let answers = try link.retrying { connection -> [PostgresAnswer] in
            let results = try connection.pipeline(statements)
            if let failure = results.lazy.compactMap({ result -> PostgresError? in
                if case .failure(let error) = result { error } else { nil }
            }).first {
                try connection.run("ROLLBACK")
                throw failure
            }
            return try results.map { try $0.get() }
        }
        for (job, index) in zip(batch, answering) { Self.answer(job, answers[index].rows.first) }
    }

    private static func answer(_ job: JournalJob, _ row: SQLRow?) {
        switch job.work {
        case .start(let new, let continuation):
            continuation.resume(returning: row.map { _ in StartedRun(run: new.record(at: job.now), isNew: true) })
        case .write(let write, let continuation):
            if let row {
                continuation.resume(returning: RunMail(mailbox: row[0], isCancelRequested: row[1]))
            } else {
                continuation.resume(throwing: SQLTransaction.lost(write.hold))
            }
        }
    }
}

/// The statements of a journal write. Each checks by itself that the run is still held.
enum JournalStatements {
    private static let start = SQLTransaction.startSQL + " RETURNING id"

    /// The lock keeps the run from being taken over between this check and the commit.
    private static let held = """
        held AS (SELECT id, mailbox, cancel FROM workflow_runs WHERE id = ? AND owner = ? AND fence = ? FOR SHARE)
        """

    private static let step = """
        WITH \(held), written AS (
        INSERT INTO workflow_steps (run, \(SQLTransaction.stepColumns))
        SELECT id, ?, ?::bigint, ?, ?, ?, ?::bigint, ?, ?, ?::bigint, ?::bigint, ?::bigint, ?, ?::bigint, ? FROM held
        ON CONFLICT (run, path) DO UPDATE SET \(SQLTransaction.stepUpdates))
        SELECT mailbox, cancel FROM held
        """

    private static let taken = """
        WITH \(held) UPDATE workflow_signals SET taken_by = ? FROM held
        WHERE workflow_signals.run = held.id AND workflow_signals.id = ?
        """

    static func statements(for job: JournalJob) -> [PostgresConnection.Statement] {
        switch job.work {
        case .start(let new, _): return [(start, SQLTransaction.startArguments(new, job.now).values)]
        case .write(let write, _):
            let hold: [SQLValue] = [.text(write.hold.runId), .text(write.hold.owner), .int(write.hold.fence)]
            var statements: [PostgresConnection.Statement] = write.steps.map { record in
                (step, hold + SQLTransaction.stepArguments(record).values)
            }
            if let signal = write.takenSignal, let first = write.steps.first {
                statements.append((taken, hold + [.text(first.path), .text(signal)]))
            }
            if let change = write.change {
                let (sql, arguments) = SQLTransaction.changeSQL(change, job.now)
                statements.append(
                    (
                        "UPDATE workflow_runs SET \(sql) WHERE id = ? AND owner = ? AND fence = ? "
                            + "RETURNING mailbox, cancel", arguments.values + hold
                    ))
            }
            return statements
        }
    }
}

extension [(any SQLEncodable)?] {
    var values: [SQLValue] { map { $0?.sqlValue ?? .null } }
}
