import Model
import Workflow

/// Leases, mail and what people do with runs.
extension SQLTransaction {
    private func prolong(_ lease: HubLease) throws {
        try execute(
            """
            INSERT INTO workflow_hubs (hub, lease_until) VALUES (?, ?)
            ON CONFLICT (hub) DO UPDATE SET lease_until = excluded.lease_until
            """,
            [lease.hub, now.advanced(by: lease.duration).millisecondsSinceEpoch])
    }

    func claimRuns(_ request: ClaimRequest) throws -> [RunHistory] {
        try prolong(request.lease)
        let hub = request.lease.hub
        let time = now.millisecondsSinceEpoch
        let orphans = try rows(
            """
            SELECT \(Self.runColumns) FROM workflow_runs WHERE owner IS NOT NULL
            AND (owner NOT IN (SELECT hub FROM workflow_hubs WHERE lease_until > ?) OR (? = 1 AND owner = ?))
            """, [time, request.takesOwn, hub])
        let due = try rows(
            """
            SELECT \(Self.runColumns) FROM workflow_runs WHERE owner IS NULL AND wake_at IS NOT NULL AND wake_at <= ?
            ORDER BY wake_at LIMIT ?
            """, [time, request.limit + 100])
        var claimed: [RunHistory] = []
        for row in orphans + due where claimed.count < request.limit {
            let before = try Self.run(row)
            var run = before
            guard run.owner != hub || !request.holding.contains(run.id),
                let versions = request.workflows[run.workflow], let newest = versions.max(),
                run.version == 0 || versions.contains(run.version)
            else { continue }
            run.version = run.version == 0 ? newest : run.version
            run.owner = hub
            run.fence += 1
            run.idleStarts += 1
            run.wakeAt = nil
            run.state = run.state == .undoing ? .undoing : .running
            run.startedAt = run.startedAt ?? now
            run.updatedAt = now
            // Journal writes need no lock but the row's: it may have ended or been parked since it was read.
            let count = try execute(
                """
                UPDATE workflow_runs SET version = ?, owner = ?, fence = ?, idle_starts = ?, wake_at = NULL, state = ?,
                started_at = ?, updated_at = ? WHERE id = ? AND fence = ? AND state = ? AND updated_at = ?
                """,
                [
                    run.version, hub, run.fence, run.idleStarts, run.state.rawValue,
                    run.startedAt?.millisecondsSinceEpoch, time, run.id, before.fence, before.state.rawValue,
                    before.updatedAt.millisecondsSinceEpoch,
                ])
            guard count == 1 else { continue }
            claimed.append(try workflowHistory(run))
        }
        return claimed
    }

    func renewLease(_ lease: HubLease) throws -> [String: RunMail] {
        try prolong(lease)
        var mail: [String: RunMail] = [:]
        for row in try rows(
            "SELECT id, mailbox, cancel FROM workflow_runs WHERE owner = ? AND mailbox > 0", [lease.hub])
        {
            mail[row[0]] = RunMail(mailbox: row[1], isCancelRequested: row[2])
        }
        return mail
    }

    func sendSignal(_ signal: SignalRecord, to runId: String) throws -> Bool {
        let run = try requiredRun(runId)
        if try row("SELECT 1 FROM workflow_signals WHERE run = ? AND id = ?", [runId, signal.id]) != nil {
            return false
        }
        guard !run.state.isFinal else { throw Problem(.conflict, "The run has ended; it takes no signals.") }
        let count: Int =
            try row("SELECT count(*) FROM workflow_signals WHERE run = ? AND taken_by IS NULL", [runId])?[0] ?? 0
        guard count < WorkflowLimits.signalsMax else {
            throw Problem(.tooLarge, "The run's mailbox is full: \(count) signals wait.")
        }
        try execute(
            """
            INSERT INTO workflow_signals (run, id, number, name, payload, sent_at)
            VALUES (?, ?, (SELECT coalesce(max(number), 0) + 1 FROM workflow_signals WHERE run = ?), ?, ?, ?)
            """,
            [
                runId, signal.id, runId, signal.name, signal.payload.canonicalText,
                signal.sentAt.millisecondsSinceEpoch,
            ])
        try execute(
            """
            UPDATE workflow_runs SET mailbox = mailbox + 1, updated_at = ?,
            wake_at = CASE WHEN owner IS NULL AND state <> 'stalled' THEN ? ELSE wake_at END WHERE id = ?
            """, [now.millisecondsSinceEpoch, now.millisecondsSinceEpoch, runId])
        return true
    }

    func cancelRun(_ runId: String) throws {
        _ = try openRun(runId)
        try execute(
            """
            UPDATE workflow_runs SET cancel = 1, mailbox = mailbox + 1, updated_at = ?,
            wake_at = CASE WHEN owner IS NULL THEN CAST(? AS BIGINT) END WHERE id = ?
            """, [now.millisecondsSinceEpoch, now.millisecondsSinceEpoch, runId])
    }

    func abandonRun(_ runId: String) throws {
        _ = try openRun(runId)
        let problem = Problem(.cancelled, "The run was abandoned; what it did was left as it was.")
        try execute(
            """
            UPDATE workflow_runs SET state = 'cancelled', error = ?, owner = NULL, fence = fence + 1, wake_at = NULL,
            updated_at = ?, finished_at = ? WHERE id = ?
            """,
            [problem.journaled.canonicalText, now.millisecondsSinceEpoch, now.millisecondsSinceEpoch, runId])
    }

    func retryRun(_ runId: String) throws {
        let run = try requiredRun(runId)
        guard run.state == .failed || run.state == .stalled else {
            throw Problem(.conflict, "Only a failed or stalled run can be tried again; it is \(run.state.rawValue).")
        }
        let history = try workflowHistory(run)
        let restart = RunRestart(history)
        if let first = restart.firstSequenceToRepeat {
            try execute(
                """
                UPDATE workflow_signals SET taken_by = NULL WHERE run = ? AND taken_by IN
                (SELECT path FROM workflow_steps WHERE run = ? AND sequence >= ?)
                """, [runId, runId, first])
            try execute("DELETE FROM workflow_steps WHERE run = ? AND sequence >= ?", [runId, first])
        }
        try execute(
            """
            UPDATE workflow_steps SET undo = NULL, undo_attempts = 0, undo_error = NULL, wake_at = NULL
            WHERE run = ? AND undo IN ('failed', 'retrying')
            """, [runId])
        try execute(
            """
            UPDATE workflow_runs SET state = ?, error = CASE WHEN ? = 1 THEN error END, wake_at = ?,
            idle_starts = 0, round = ?, fence = fence + 1, finished_at = NULL, updated_at = ? WHERE id = ?
            """,
            [
                restart.state.rawValue, restart.state == .undoing, now.millisecondsSinceEpoch, restart.round,
                now.millisecondsSinceEpoch, runId,
            ])
    }

    func workflowRuns(_ filter: RunFilter) throws -> [RunRecord] {
        var conditions = ["1 = 1"]
        var arguments: [(any SQLEncodable)?] = []
        if let workflow = filter.workflow {
            conditions.append("workflow = ?")
            arguments += [workflow]
        }
        if let states = filter.states {
            conditions.append("state IN (\(states.map { "'\($0.rawValue)'" }.sorted().joined(separator: ", ")))")
        }
        if let before = filter.before {
            conditions.append("(created_at, id) < (?, ?)")
            arguments += [before.createdAt.millisecondsSinceEpoch, before.id]
        }
        return try rows(
            """
            SELECT \(Self.runColumns) FROM workflow_runs WHERE \(conditions.joined(separator: " AND "))
            ORDER BY created_at DESC, id DESC LIMIT \(min(max(filter.limit, 1), 200))
            """, arguments
        ).map(Self.run)
    }

    func removeEndedRuns(before: Timestamp, limit: Int) throws -> Int {
        let ended = try rows(
            "SELECT id FROM workflow_runs WHERE finished_at < ? ORDER BY finished_at LIMIT ?",
            [before.millisecondsSinceEpoch, limit])
        for row in ended {
            let id: String = row[0]
            for table in ["workflow_steps", "workflow_signals"] {
                try execute("DELETE FROM \(table) WHERE run = ?", [id])
            }
            try execute("DELETE FROM workflow_runs WHERE id = ?", [id])
        }
        return ended.count
    }
}
