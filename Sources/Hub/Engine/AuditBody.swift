import Model
import ResourceKit

/// Request bodies as the audit log may hold them.
///
/// What is kept is what fits the declaration and is not secret; everything else is replaced. A misspelt secret, or one
/// that stands in the wrong place, is a secret still.
enum AuditBody {
    private static let marker: JSONValue = "[redacted]"

    /// The body with its secrets replaced. What is not an object is not kept.
    static func redacted(_ body: JSONValue, _ fields: [Field]) -> JSONValue {
        guard let members = body.objectValue else { return body.isNull ? .null : marker }
        return redacted(members, fields)
    }

    private static func redacted(_ members: [String: JSONValue], _ fields: [Field]) -> JSONValue {
        var result: [String: JSONValue] = [:]
        for (name, value) in members {
            let field = fields.first { $0.name == name }
            result[name] = field.map { redacted(value, $0) } ?? marker
        }
        return .object(result)
    }

    private static func redacted(_ value: JSONValue, _ field: Field) -> JSONValue {
        if field.isSecret, !value.isNull { return marker }
        guard field.isConfidential else { return redacted(value, field.kind) }
        // Which names were set may be known.
        return value.objectValue.map { .object($0.mapValues { _ in marker }) } ?? (value.isNull ? .null : marker)
    }

    private static func redacted(_ value: JSONValue, _ kind: Field.Kind) -> JSONValue {
        switch (kind, value) {
        case (_, .null), (.json, _), (.boolean, .bool), (.integer, .int), (.number, .int), (.number, .double),
            (.duration, .int), (.duration, .double), (.size, .int):
            return value
        case (.string, .string(let text)), (.text, .string(let text)), (.reference, .string(let text)):
            return .string(withoutURLPassword(text))
        case (.choice(let choices), .string(let text)): return choices.contains(text) ? value : marker
        case (.duration, .string(let text)): return Duration.parse(text) == nil ? marker : value
        case (.size, .string(let text)): return ByteCount.parse(text) == nil ? marker : value
        case (.list(let element, _), .array(let values)): return .array(values.map { redacted($0, element) })
        case (.map(_, let element, _), .object(let members)):
            return .object(members.mapValues { redacted($0, element) })
        case (.object(let fields), .object(let members)): return redacted(members, fields)
        // Every variable's value, flagged as secret or not: people forget the flag.
        case (.environmentValue, .object(let members)):
            return .object(members.mapValues { $0.boolValue == nil ? marker : $0 })
        default: return marker
        }
    }

    /// `https://user:password@host/…` → `https://[redacted]@host/…`.
    static func withoutURLPassword(_ text: String) -> String {
        let bytes = Array(text.utf8)
        guard let colon = bytes.indices.dropLast(2).first(where: { bytes[$0...].starts(with: "://".utf8) }) else {
            return text
        }
        let authority = bytes[(colon + 3)...].prefix { $0 != UInt8(ascii: "/") }
        guard let at = authority.lastIndex(of: UInt8(ascii: "@")) else { return text }
        let isSSHUser = bytes[..<colon].elementsEqual("ssh".utf8) && !authority[..<at].contains(UInt8(ascii: ":"))
        guard !isSSHUser else { return text }
        return String(decoding: bytes[..<(colon + 3)], as: UTF8.self) + "[redacted]"
            + String(decoding: bytes[at...], as: UTF8.self)
    }
}
