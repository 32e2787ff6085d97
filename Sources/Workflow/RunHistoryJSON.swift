public import Model

/// Runs as JSON: for the API, and for journals that tests keep.
extension RunRecord {
    /// Without the input and output, which can be large.
    public var summary: JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(id), "workflow": .string(workflow), "version": .int(Int64(version)),
            "state": .string(state.rawValue), "created_at": .string(createdAt.rfc3339),
            "updated_at": .string(updatedAt.rfc3339), "is_cancel_requested": .bool(isCancelRequested),
        ]
        if let error { members["error"] = ["code": .string(error.code.rawValue), "message": .string(error.message)] }
        if let owner { members["hub"] = .string(owner) }
        for (name, time) in [("wake_at", wakeAt), ("started_at", startedAt), ("finished_at", finishedAt)] {
            if let time { members[name] = .string(time.rfc3339) }
        }
        return .object(members)
    }
}

extension StepRecord {
    /// As the API shows it.
    public var json: JSONValue {
        var members: [String: JSONValue] = [
            "path": .string(path), "sequence": .int(Int64(sequence)), "kind": .string(kind.rawValue),
            "name": .string(name), "state": .string(state.rawValue), "attempts": .int(Int64(attempts)),
            "started_at": .string(startedAt.rfc3339), "undo_attempts": .int(Int64(undoAttempts)),
        ]
        if let result { members["result"] = result }
        if let error { members["error"] = error.journaled }
        if let undo { members["undo"] = .string(undo.rawValue) }
        if let undoError { members["undo_error"] = undoError.journaled }
        if let wakeAt { members["wake_at"] = .string(wakeAt.rfc3339) }
        if let finishedAt {
            members["finished_at"] = .string(finishedAt.rfc3339)
            members["duration_ms"] = .int(finishedAt.since(startedAt).milliseconds)
        }
        return .object(members)
    }

    /// - Throws: `invalid`.
    init(json: JSONValue) throws {
        guard let path = json["path"]?.stringValue, let kind = json["kind"]?.stringValue.flatMap(StepKind.init),
            let name = json["name"]?.stringValue, let state = json["state"]?.stringValue.flatMap(StepState.init),
            let started = json["started_at"]?.stringValue.flatMap(Timestamp.init(rfc3339:))
        else { throw Problem(.invalid, "A step of the history cannot be read.") }
        self.init(
            path: path, sequence: Int(json["sequence"]?.intValue ?? 0), kind: kind, name: name, state: state,
            attempts: Int(json["attempts"]?.intValue ?? 0), result: json["result"],
            error: json["error"].map(Problem.init(journaled:)),
            wakeAt: json["wake_at"]?.stringValue.flatMap(Timestamp.init(rfc3339:)), startedAt: started,
            finishedAt: json["finished_at"]?.stringValue.flatMap(Timestamp.init(rfc3339:)),
            undo: json["undo"]?.stringValue.flatMap(UndoState.init),
            undoAttempts: Int(json["undo_attempts"]?.intValue ?? 0),
            undoError: json["undo_error"].map(Problem.init(journaled:)))
    }
}

extension RunHistory {
    /// The run, its input and output, and every step.
    public var json: JSONValue {
        var run = run.summary
        run["input"] = self.run.input
        run["output"] = self.run.output
        run["seed"] = .int(self.run.seed)
        run["steps"] = .array(steps.map(\.json))
        run["signals"] = .array(
            signals.map { ["id": .string($0.id), "name": .string($0.name), "payload": $0.payload] })
        return run
    }

    /// Reads what ``json`` wrote, as far as a replay needs it.
    /// - Throws: `invalid`.
    public init(json: JSONValue) throws {
        guard let id = json["id"]?.stringValue, let workflow = json["workflow"]?.stringValue,
            let version = json["version"]?.intValue, let state = json["state"]?.stringValue.flatMap(RunState.init),
            let created = json["created_at"]?.stringValue.flatMap(Timestamp.init(rfc3339:)),
            let steps = json["steps"]?.arrayValue
        else { throw Problem(.invalid, "The history cannot be read.") }
        let run = RunRecord(
            id: id, workflow: workflow, version: Int(version), state: state, input: json["input"] ?? .null,
            output: json["output"], error: json["error"].map(Problem.init(journaled:)),
            seed: json["seed"]?.intValue ?? 0, createdAt: created, updatedAt: created)
        self.init(run: run, steps: try steps.map(StepRecord.init(json:)), signals: [])
    }
}
