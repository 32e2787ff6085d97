import HubCore
import Model
import Workflow

/// Models of the pages about runs of workflows.
enum RunPages {
    static let section = Hub.runsPlural

    /// Tone of a run or step, as ``PageParts/tone(_:)`` gives it for resources.
    static func tone(_ state: String) -> String {
        switch state {
        case "succeeded", "done": "ok"
        case "running", "undoing", "retrying": "busy"
        case "stalled": "warn"
        case "failed": "bad"
        default: "idle"
        }
    }

    static func state(_ name: String) -> JSONValue {
        ["tone": .string(tone(name)), "glyph": .string(PageParts.glyph(tone(name))), "label": .string(name)]
    }

    static func row(_ run: JSONValue, now: Timestamp) -> JSONValue {
        [
            "id": .string(run.id), "path": .string("/\(section)/\(percentEncoded(run.id))"),
            "workflow": run.text("workflow").json, "short": .string(String(run.id.prefix(8))),
            "state": state(run.text("status") ?? ""),
            "message": .string(PageParts.excerpt(run.text("status_message"), 120)),
            "created": PageParts.time(run.text("created_at"), now: now), "took": .string(took(run)),
        ]
    }

    private static func took(_ value: JSONValue) -> String {
        value.int("duration_ms").map { PageParts.span(milliseconds: $0) } ?? ""
    }

    static func step(_ step: JSONValue, now: Timestamp) -> JSONValue {
        let status = step.text("status") ?? ""
        let undo = step["undo"]?.text("status")
        let depth = (step.text("path") ?? "").count { $0 == "." }
        return [
            "path": step.text("path").json, "name": step.text("name").json, "kind": step.text("kind").json,
            "is_inner": .bool(depth > 0), "state": state(status), "took": .string(took(step)),
            "attempts": .int(step.int("attempts") ?? 0), "started": PageParts.time(step.text("started_at"), now: now),
            "next": PageParts.time(step.text("next_attempt_at"), now: now),
            "error": (step["error"]?.text("error")).json,
            "undo": undo.map { state($0 == "done" ? "undone" : $0) } ?? .null,
            "undo_error": (step["undo"]?["error"]?.text("error")).json,
        ]
    }

    static func page(_ run: JSONValue, mayWrite: Bool, now: Timestamp) -> [String: JSONValue] {
        let status = run.text("status") ?? ""
        let steps = run.list("steps")
        let isFinal = RunState(rawValue: status)?.isFinal ?? false
        let facts: [(String, String?)] = [
            ("Hub", run.text("hub")), ("Input", run["input"].map { $0.canonicalText }), ("Took", took(run)),
            ("Id", run.id),
        ]
        return [
            "id": .string(run.id), "heading": run.text("workflow").json, "state": state(status),
            "message": run.text("status_message").json, "message_tone": .string(tone(status)),
            "current": run.text("current_step").json, "created": PageParts.time(run.text("created_at"), now: now),
            "finished": PageParts.time(run.text("finished_at"), now: now),
            "wake": PageParts.time(status == "waiting" ? run.text("wake_at") : nil, now: now),
            "steps": .array(steps.map { step($0, now: now) }), "has_steps": .bool(!steps.isEmpty),
            "facts": .array(
                facts.compactMap { label, text in
                    guard let text, !text.isEmpty else { return nil }
                    return ["label": .string(label), "plain": .string(text)]
                }),
            "is_cancelling": .bool(run.flag("is_cancel_requested") && !isFinal),
            "can_retry": .bool(mayWrite && (status == "failed" || status == "stalled")),
            "can_cancel": .bool(mayWrite && !isFinal && !run.flag("is_cancel_requested")),
        ]
    }
}
