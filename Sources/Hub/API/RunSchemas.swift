import Model
import Workflow

extension Schema {
    /// A run, and with `steps` when one is read.
    static let workflowRun: JSONValue = {
        let text: JSONValue = ["type": "string"]
        let time: JSONValue = ["type": ["string", "null"], "format": "date-time"]
        let error: JSONValue = [
            "type": ["object", "null"], "properties": ["error": text, "code": text], "required": ["error", "code"],
        ]
        let number: JSONValue = ["type": "integer"]
        let span: JSONValue = ["type": ["integer", "null"], "description": "Milliseconds from start to end."]
        func choice(_ words: [String]) -> JSONValue {
            ["type": "string", "enum": .array(words.map { .string($0) })]
        }
        let step: [String: JSONValue] = [
            "path": ["type": "string", "description": "Place in the program."], "name": text,
            "kind": choice(StepKind.allCases.map(\.rawValue)), "status": choice(StepState.allCases.map(\.rawValue)),
            "attempts": number, "error": error, "started_at": time, "finished_at": time, "next_attempt_at": time,
            "duration_ms": span,
            "undo": [
                "type": ["object", "null"],
                "properties": [
                    "status": choice(UndoState.allCases.map(\.rawValue)), "attempts": number, "error": error,
                ],
            ],
        ]
        let run: [String: JSONValue] = [
            "id": text, "workflow": text, "version": number, "status": choice(RunState.allCases.map(\.rawValue)),
            "status_message": ["type": ["string", "null"]], "input": ["description": "What it was started with."],
            "output": ["description": "What it answered."], "error": error,
            "hub": ["type": ["string", "null"], "description": "The hub that works on it."],
            "is_cancel_requested": ["type": "boolean"], "wake_at": time, "created_at": time, "started_at": time,
            "updated_at": time, "finished_at": time, "duration_ms": span,
        ]
        return [
            "type": "object", "description": "One run of a workflow.", "additionalProperties": false,
            "properties": .object(
                run.merging([
                    "steps": [
                        "type": "array", "items": ["type": "object", "properties": .object(step)],
                        "description": "In the order of the program; only of a single run.",
                    ],
                    "current_step": [
                        "type": ["string", "null"], "description": "What the hub that was asked does right now.",
                    ],
                ]) { $1 }), "required": .array(run.keys.sorted().map { .string($0) }),
        ]
    }()
}
