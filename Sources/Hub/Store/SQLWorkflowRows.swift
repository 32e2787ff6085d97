import Model
import Workflow

/// Workflow runs, row by row.
extension SQLTransaction {
    static let runColumns = """
        id, workflow, version, state, input, output, error, owner, fence, wake_at, mailbox, cancel, idle_starts, seed, \
        round, created_at, started_at, updated_at, finished_at
        """
    static let stepColumns = """
        path, sequence, kind, name, state, attempts, result, error, wake_at, started_at, finished_at, undo, \
        undo_attempts, undo_error
        """

    static let stepUpdates = """
        sequence = excluded.sequence, kind = excluded.kind, name = excluded.name, state = excluded.state,
        attempts = excluded.attempts, result = excluded.result, error = excluded.error, wake_at = excluded.wake_at,
        started_at = excluded.started_at, finished_at = excluded.finished_at, undo = excluded.undo,
        undo_attempts = excluded.undo_attempts, undo_error = excluded.undo_error
        """

    private static func time(_ milliseconds: Int64?) -> Timestamp? {
        milliseconds.map(Timestamp.init(millisecondsSinceEpoch:))
    }

    private static func optionalJSON(_ text: String?) throws -> JSONValue? { try text.map { try json($0) } }

    static func run(_ row: SQLRow) throws -> RunRecord {
        guard let state = RunState(rawValue: row[3]) else {
            throw Problem(.storage, "A stored run cannot be read.", context: row[0] as String)
        }
        return RunRecord(
            id: row[0], workflow: row[1], version: row[2], state: state, input: try json(row[4]),
            output: try optionalJSON(row[5]), error: try optionalJSON(row[6]).map(Problem.init(journaled:)),
            owner: row[7], fence: row[8], wakeAt: time(row[9]), mailbox: row[10], isCancelRequested: row[11],
            idleStarts: row[12], seed: row[13], round: row[14], createdAt: Timestamp(millisecondsSinceEpoch: row[15]),
            startedAt: time(row[16]), updatedAt: Timestamp(millisecondsSinceEpoch: row[17]), finishedAt: time(row[18]))
    }

    private static func step(_ row: SQLRow) throws -> StepRecord {
        guard let kind = StepKind(rawValue: row[2]), let state = StepState(rawValue: row[4]) else {
            throw Problem(.storage, "A stored step cannot be read.", context: row[0] as String)
        }
        let undo: String? = row[11]
        return StepRecord(
            path: row[0], sequence: row[1], kind: kind, name: row[3], state: state, attempts: row[5],
            result: try optionalJSON(row[6]), error: try optionalJSON(row[7]).map(Problem.init(journaled:)),
            wakeAt: time(row[8]), startedAt: Timestamp(millisecondsSinceEpoch: row[9]), finishedAt: time(row[10]),
            undo: undo.flatMap(UndoState.init), undoAttempts: row[12],
            undoError: try optionalJSON(row[13]).map(Problem.init(journaled:)))
    }

    func workflowRun(_ id: String) throws -> RunRecord? {
        try row("SELECT \(Self.runColumns) FROM workflow_runs WHERE id = ?", [id]).map(Self.run)
    }

    func requiredRun(_ id: String) throws -> RunRecord {
        guard let run = try workflowRun(id) else { throw Problem(.notFound, "There is no run \(id).") }
        return run
    }

    func openRun(_ id: String) throws -> RunRecord {
        let run = try requiredRun(id)
        guard !run.state.isFinal else {
            throw Problem(.conflict, "The run has ended already: it is \(run.state.rawValue).")
        }
        return run
    }

    func workflowHistory(_ run: RunRecord) throws -> RunHistory {
        let steps = try rows("SELECT \(Self.stepColumns) FROM workflow_steps WHERE run = ?", [run.id])
        return RunHistory(
            run: run, steps: try steps.map(Self.step).sorted(by: StepRecord.precedes), signals: try unread(run.id))
    }

    func unread(_ runId: String) throws -> [SignalRecord] {
        try rows(
            """
            SELECT id, number, name, payload, sent_at FROM workflow_signals WHERE run = ? AND taken_by IS NULL
            ORDER BY number
            """, [runId]
        ).map { row in
            SignalRecord(
                id: row[0], number: row[1], name: row[2], payload: try Self.json(row[3]),
                sentAt: Timestamp(millisecondsSinceEpoch: row[4]))
        }
    }

    static let startSQL = """
        INSERT INTO workflow_runs (id, workflow, version, state, input, owner, fence, wake_at, mailbox, cancel,
        idle_starts, seed, round, created_at, started_at, updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, 0, ?, ?, ?) ON CONFLICT (id) DO NOTHING
        """

    static func startArguments(_ new: NewRun, _ now: Timestamp) -> [(any SQLEncodable)?] {
        let run = new.record(at: now)
        return [
            run.id, run.workflow, run.version, run.state.rawValue, run.input.canonicalText, run.owner, run.fence,
            run.wakeAt?.millisecondsSinceEpoch, run.seed, now.millisecondsSinceEpoch,
            run.startedAt?.millisecondsSinceEpoch, now.millisecondsSinceEpoch,
        ]
    }

    func startRun(_ new: NewRun) throws -> StartedRun {
        guard try execute(Self.startSQL, Self.startArguments(new, now)) > 0 else {
            return StartedRun(run: try requiredRun(new.id), isNew: false)
        }
        return StartedRun(run: new.record(at: now), isNew: true)
    }

    static func lost(_ hold: RunHold) -> Problem {
        Problem(.leaseLost, "Another hub has taken the run over.", context: hold.runId)
    }

    /// One transaction of a run's journal, if it is still held.
    func writeJournal(_ write: JournalWrite) throws -> RunMail {
        let hold = write.hold
        let held = try row(
            "SELECT mailbox, cancel FROM workflow_runs WHERE id = ? AND owner = ? AND fence = ?",
            [hold.runId, hold.owner, hold.fence])
        guard let held else { throw Self.lost(hold) }
        for step in write.steps { try putStep(step, hold.runId) }
        if let signal = write.takenSignal {
            try execute(
                "UPDATE workflow_signals SET taken_by = ? WHERE run = ? AND id = ?",
                [write.steps.first?.path, hold.runId, signal])
        }
        let mail = RunMail(mailbox: held[0], isCancelRequested: held[1])
        if let change = write.change {
            let (sql, arguments) = Self.changeSQL(change, now)
            try execute("UPDATE workflow_runs SET \(sql) WHERE id = ?", arguments + [hold.runId])
        }
        return mail
    }

    func workflowMailbox(_ runId: String) throws -> RunMailbox {
        let run = try requiredRun(runId)
        return RunMailbox(
            mail: RunMail(mailbox: run.mailbox, isCancelRequested: run.isCancelRequested), signals: try unread(runId))
    }

    private func putStep(_ step: StepRecord, _ runId: String) throws {
        try execute(
            """
            INSERT INTO workflow_steps (run, \(Self.stepColumns))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (run, path) DO UPDATE SET
            \(Self.stepUpdates)
            """,
            [runId] + Self.stepArguments(step))
    }

    static func stepArguments(_ step: StepRecord) -> [(any SQLEncodable)?] {
        [
            step.path, step.sequence, step.kind.rawValue, step.name, step.state.rawValue, step.attempts,
            step.result?.canonicalText, step.error?.journaled.canonicalText, step.wakeAt?.millisecondsSinceEpoch,
            step.startedAt.millisecondsSinceEpoch, step.finishedAt?.millisecondsSinceEpoch, step.undo?.rawValue,
            step.undoAttempts, step.undoError?.journaled.canonicalText,
        ]
    }

    /// What a change sets.
    static func changeSQL(_ change: RunChange, _ now: Timestamp) -> (String, [(any SQLEncodable)?]) {
        let time = now.millisecondsSinceEpoch
        switch change {
        case .progress: return ("idle_starts = 0, updated_at = ?", [time])
        case .undoing(let problem):
            return (
                "state = 'undoing', error = ?, idle_starts = 0, updated_at = ?",
                [problem.journaled.canonicalText, time]
            )
        case .park(let wakeAt, let seen, let isUndoing):
            return (
                """
                state = ?, owner = NULL, idle_starts = 0, updated_at = ?,
                wake_at = CASE WHEN mailbox > ? THEN CAST(? AS BIGINT) ELSE CAST(? AS BIGINT) END
                """,
                [isUndoing ? "undoing" : "waiting", time, seen, time, wakeAt?.millisecondsSinceEpoch]
            )
        case .end(let state, let output, let error):
            return (
                """
                state = ?, output = ?, error = ?, owner = NULL, wake_at = NULL, idle_starts = 0, updated_at = ?,
                finished_at = ?
                """,
                [
                    state.rawValue, output?.canonicalText, error?.journaled.canonicalText, time,
                    state.isFinal ? time : nil,
                ]
            )
        }
    }
}
