import Model

/// Parts of page models: pure functions from values to what a template shows.
enum PageParts {
    /// A time: relative as text, exact as title. Null without a time.
    static func time(_ iso: String?, now: Timestamp) -> JSONValue {
        guard let iso, let time = Timestamp(rfc3339: iso) else { return .null }
        return ["iso": .string(iso), "exact": .string(exact(time)), "text": .string(relative(time, now: now))]
    }

    /// `2026-03-01 12:00:00 UTC`.
    static func exact(_ time: Timestamp) -> String {
        let text = time.rfc3339
        return "\(text.prefix(10)) \(text.dropFirst(11).prefix(8)) UTC"
    }

    /// "3 min ago"; the script of the page says the same.
    static func relative(_ time: Timestamp, now: Timestamp) -> String {
        let seconds = now.since(time).milliseconds / 1000
        let span = abs(seconds)
        guard span >= 5 else { return "just now" }
        let (size, unit): (Int64, String) =
            switch span {
            case 86_400...: (86_400, "d")
            case 3600...: (3600, "h")
            case 60...: (60, "min")
            default: (1, "s")
            }
        return seconds >= 0 ? "\(span / size) \(unit) ago" : "in \(span / size) \(unit)"
    }

    /// Tone (colour) and shape of a state: `ok`, `busy`, `warn`, `bad`, `idle`.
    static func tone(_ state: String) -> String {
        switch state {
        case "active", "running", "ok", "healthy", "online": "ok"
        case "provisioning", "deleting", "building", "starting", "fetching", "checking", "switching", "draining",
            "deploying":
            "busy"
        case "unhealthy", "backoff", "suspended", "silent", "partly", "superseded": "warn"
        case "failed", "crash_loop", "error": "bad"
        default: "idle"
        }
    }

    /// A state by shape, text and colour.
    static func state(_ name: String, label: String? = nil) -> JSONValue {
        let words = String(name.map { $0 == "_" ? " " : $0 })
        return ["tone": .string(tone(name)), "glyph": .string(glyph(tone(name))), "label": .string(label ?? words)]
    }

    static func glyph(_ tone: String) -> String { "glyph-\(tone)" }

    /// The first 10 characters of a commit.
    static func short(_ commit: String?) -> String { String((commit ?? "").prefix(10)) }

    /// At most `count` characters, the first line.
    static func excerpt(_ text: String?, _ count: Int) -> String {
        guard let line = text?.split(whereSeparator: \.isNewline).first else { return "" }
        return line.count > count ? line.prefix(count - 1) + "…" : String(line)
    }

    /// `850 ms`, `12.4 s`, `3 min 20 s`, `2 h 5 min`, `9 d 3 h`.
    static func span(milliseconds: Int64) -> String {
        switch milliseconds {
        case ..<1000: "\(max(milliseconds, 0)) ms"
        case ..<60_000: "\(milliseconds / 1000).\(milliseconds / 100 % 10) s"
        case ..<3_600_000: "\(milliseconds / 60_000) min \(milliseconds / 1000 % 60) s"
        case ..<172_800_000: "\(milliseconds / 3_600_000) h \(milliseconds / 60_000 % 60) min"
        default: "\(milliseconds / 86_400_000) d \(milliseconds / 3_600_000 % 24) h"
        }
    }

    /// A share as a bar, with words beside it.
    static func gauge(_ label: String, share: Double, text: String) -> JSONValue {
        let percent = Int64((min(max(share, 0), 1) * 100).rounded())
        let tone = percent >= 92 ? "bad" : percent >= 80 ? "warn" : "ok"
        return [
            "label": .string(label), "percent": .int(percent), "text": .string(text), "tone": .string(tone),
        ]
    }
}

extension JSONValue {
    /// Text of a member; nil when it is missing, no text, or empty.
    func text(_ key: String) -> String? { self[key]?.stringValue.flatMap { $0.isEmpty ? nil : $0 } }
    func int(_ key: String) -> Int64? { self[key]?.intValue }
    func flag(_ key: String) -> Bool { self[key]?.boolValue ?? false }
    func list(_ key: String) -> [JSONValue] { self[key]?.arrayValue ?? [] }
    var id: String { text("id") ?? "" }
    /// What people call it.
    var label: String {
        ["name", "email", "domain", "username", "label", "hostname", "address"].lazy.compactMap { text($0) }.first
            ?? String(id.prefix(8))
    }
}

extension String? {
    /// Text or null, for a model.
    var json: JSONValue { map(JSONValue.string) ?? .null }
}
