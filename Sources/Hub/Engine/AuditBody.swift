import Model
import ResourceKit

/// Request bodies as the audit log may hold them.
enum AuditBody {
    /// The body with its secrets replaced, the passwords in URLs among them. What is not an object is not kept.
    static func redacted(_ body: JSONValue, _ fields: [Field]) -> JSONValue {
        guard let members = body.objectValue else { return body.isNull ? .null : "[redacted]" }
        return withoutURLPasswords(.object(fields.redacted(members)))
    }

    private static func withoutURLPasswords(_ value: JSONValue) -> JSONValue {
        switch value {
        case .string(let text): .string(withoutURLPassword(text))
        case .array(let values): .array(values.map(withoutURLPasswords))
        case .object(let members): .object(members.mapValues(withoutURLPasswords))
        default: value
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
