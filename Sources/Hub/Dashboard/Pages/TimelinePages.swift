import HubCore
import HubStore
import Model
import ResourceKit

/// Models of the event timeline and the audit log.
enum TimelinePages {
    static let eventKinds = ["build", "run", "crash", "config", "health", "security"]

    /// Tone of an event, from its kind and nothing else.
    static func tone(_ kind: String) -> String {
        switch kind {
        case "crash": "bad"
        case "security", "health": "warn"
        case "run": "ok"
        case "build": "busy"
        default: "idle"
        }
    }

    static func row(_ event: HubEvent, names: [String: String], now: Timestamp) -> JSONValue {
        func link(_ plural: String, _ id: String?) -> JSONValue {
            guard let id else { return .null }
            return ["path": .string("/\(plural)/\(id)"), "label": .string(names[id] ?? String(id.prefix(8)))]
        }
        let tone = tone(event.kind)
        // Nothing of the past is under way: what is only told has a dot.
        let glyph = tone == "busy" || tone == "idle" ? "glyph-dot" : PageParts.glyph(tone)
        return [
            "id": .int(event.id), "tone": .string(tone), "glyph": .string(glyph),
            "kind": .string(event.kind), "message": .string(event.message),
            "time": PageParts.time(event.time.rfc3339, now: now), "service": link("services", event.serviceId),
            "node": link("nodes", event.nodeId), "deployment": link("deployments", event.deploymentId),
        ]
    }

    static func logRow(_ line: LogLine, names: [String: String], now: Timestamp) -> JSONValue {
        let json = line.json
        func link(_ plural: String, _ name: String) -> JSONValue {
            guard let id = json[name]?.stringValue else { return .null }
            let label = names[id] ?? String(id.prefix(8))
            return ["path": .string("/\(plural)/\(percentEncoded(id))"), "label": .string(label)]
        }
        let tone = line.level == .error ? "bad" : line.level == .warning ? "warn" : "idle"
        return [
            "id": .string(line.place.text), "tone": .string(tone),
            "glyph": .string(tone == "idle" ? "glyph-dot" : PageParts.glyph(tone)),
            "kind": .string(line.level.rawValue), "message": .string(line.message),
            "time": PageParts.time(Timestamp(millisecondsSinceEpoch: line.place.timeMs).rfc3339, now: now),
            "service": link("services", "service_id"), "node": link("nodes", "node_id"),
            "deployment": link("deployments", "deployment_id"),
        ]
    }

    static func auditRow(_ entry: AuditEntry, paths: [String: String], now: Timestamp) -> JSONValue {
        let isFine = entry.outcome == "ok"
        let isEmpty = entry.body.isNull || entry.body == .object([:])
        return [
            "id": .int(entry.id), "time": PageParts.time(entry.time.rfc3339, now: now), "actor": .string(entry.actor),
            "address": .string(entry.address), "action": .string(entry.action),
            "resource_kind": .string(entry.resourceKind), "resource_id": entry.resourceId.json,
            "resource_path": entry.resourceId.flatMap { id in paths[entry.resourceKind].map { "/\($0)/\(id)" } }.json,
            "state": PageParts.state(isFine ? "ok" : "failed", label: entry.outcome),
            "body": isEmpty ? .null : .string(GenericPages.indented(entry.body)),
        ]
    }

    /// Options of a filter; the first stands for all.
    static func options(_ all: String, _ values: [(value: String, label: String)], selected: String?) -> JSONValue {
        let first: JSONValue = ["value": "", "label": .string(all), "is_selected": .bool(selected == nil)]
        return .array(
            [first]
                + values.map {
                    [
                        "value": .string($0.value), "label": .string($0.label),
                        "is_selected": .bool($0.value == selected),
                    ]
                })
    }
}
