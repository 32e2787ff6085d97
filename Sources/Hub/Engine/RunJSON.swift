public import Model
public import Workflow

/// Runs of workflows as clients see them.
public enum RunJSON {
    /// A run without its steps.
    public static func run(_ run: RunRecord) -> JSONValue {
        let end = run.finishedAt ?? (run.state == .stalled ? run.updatedAt : nil)
        return [
            "id": .string(run.id), "workflow": .string(run.workflow), "version": .int(Int64(run.version)),
            "status": .string(run.state.rawValue), "status_message": message(run.error),
            "input": run.input, "output": run.output ?? .null, "error": error(run.error),
            "hub": run.owner.map { .string($0) } ?? .null, "is_cancel_requested": .bool(run.isCancelRequested),
            "wake_at": time(run.wakeAt), "created_at": time(run.createdAt), "started_at": time(run.startedAt),
            "updated_at": time(run.updatedAt), "finished_at": time(run.finishedAt),
            "duration_ms": span(run.startedAt, end),
        ]
    }

    /// A run with its steps, in the order of the program.
    ///
    /// - Parameter currentStep: what the hub that is asked does right now; the journal does not say.
    public static func history(_ history: RunHistory, currentStep: String? = nil) -> JSONValue {
        var json = run(history.run)
        json["steps"] = .array(history.steps.map(step))
        json["current_step"] = currentStep.map { .string($0) } ?? .null
        return json
    }

    private static func step(_ step: StepRecord) -> JSONValue {
        let undo: JSONValue =
            step.undo.map {
                [
                    "status": .string($0.rawValue), "attempts": .int(Int64(step.undoAttempts)),
                    "error": error(step.undoError),
                ]
            } ?? .null
        return [
            "path": .string(step.path), "name": .string(step.name), "kind": .string(step.kind.rawValue),
            "status": .string(step.state.rawValue), "attempts": .int(Int64(step.attempts)),
            "error": error(step.error), "started_at": time(step.startedAt), "finished_at": time(step.finishedAt),
            "next_attempt_at": step.state == .retrying ? time(step.wakeAt) : .null,
            "duration_ms": span(step.startedAt, step.finishedAt), "undo": undo,
        ]
    }

    private static func message(_ problem: Problem?) -> JSONValue { problem.map { .string($0.description) } ?? .null }

    /// The context of a problem is for the log alone.
    private static func error(_ problem: Problem?) -> JSONValue {
        problem.map { ["error": .string($0.description), "code": .string($0.code.rawValue)] } ?? .null
    }

    private static func time(_ time: Timestamp?) -> JSONValue { time.map { .string($0.rfc3339) } ?? .null }

    private static func span(_ begin: Timestamp?, _ end: Timestamp?) -> JSONValue {
        guard let begin, let end else { return .null }
        return .int(max(0, end.since(begin).milliseconds))
    }

    // MARK: pages

    /// The place of a run in the list.
    public static func cursor(_ run: RunRecord) -> String { "\(run.createdAt.millisecondsSinceEpoch)-\(run.id)" }

    /// The run that a cursor stands for, as far as the list needs it.
    /// - Throws: `invalid`.
    public static func place(_ cursor: String) throws -> RunRecord {
        let parts = cursor.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2, parts[0].utf8.count <= 15, let time = Int64(parts[0]), time >= 0, !parts[1].isEmpty,
            parts[1].utf8.count <= WorkflowLimits.nameBytesMax, !parts[1].utf8.contains(0)
        else { throw Problem.invalid("cursor", "does not belong to this list; start again without it") }
        let at = Timestamp(millisecondsSinceEpoch: time)
        return RunRecord(
            id: String(parts[1]), workflow: "", version: 0, state: .pending, input: .null, seed: 0, createdAt: at,
            updatedAt: at)
    }
}
