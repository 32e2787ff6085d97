import AgentProtocol
import Host
import Model
public import ResourceKit

/// A secret that lets a program use the API.
public let apiKeyKind = ResourceKind(
    name: "api-key", plural: "api-keys", summary: "A secret that lets a program use the API.",
    identity: .uuid, isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field(
            "name", .string(check: nameFlaw), "What the key is for; shown in the audit log.", required: true,
            example: "deploy bot"),
        Field(
            "scopes", .list(of: .string(check: APIKey.scopeFlaw), countMax: 200),
            "What it may do: resource:action with the actions read, write and delete; * stands for all.",
            required: true, example: ["services:read", "services:write"]),
        Field(
            "brands", .list(of: .string(check: APIKey.brandFlaw), countMax: 1000),
            "Which brands it may touch; * is all.", required: true, example: ["*"]),
        Field(
            "expires_at", .string(check: timeFlaw), "When it ends, in UTC; never when absent.",
            example: "2030-01-01T00:00:00Z"),
        Field(
            "rate_limit", .integer(1...1_000_000), "Requests a minute that it may make; 60000 when absent.",
            example: 600),
    ],
    reported: [Field("last_used_at", .line, "When it was last used, to the minute.")],
    actions: [
        ResourceAction("rotate-key", "Make a new key with the same rights and show it once.", isDestructive: true)
    ],
    columns: ["name", "expires_at", "last_used_at"], searched: ["name"],
    validate: { spec, flaws in
        if spec["scopes"]?.arrayValue?.isEmpty == true { flaws.add("scopes", "must have at least one entry") }
        if spec["brands"]?.arrayValue?.isEmpty == true { flaws.add("brands", "must have at least one entry") }
    }, behaviour: APIKeyBehaviour())

@Sendable private func nameFlaw(_ text: String) -> String? {
    text.isEmpty ? "must not be empty" : Names.lineFlaw(text, bytesMax: 200)
}

@Sendable private func timeFlaw(_ text: String) -> String? {
    Timestamp(rfc3339: text) == nil ? "must be a time in UTC such as 2030-01-01T00:00:00Z" : nil
}

struct APIKeyBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try APIKey.checkEnd(of: record, known: nil, transaction)
        try APIKey.checkBrands(of: record, known: nil, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try APIKey.checkEnd(of: new, known: old, transaction)
        try APIKey.checkBrands(of: new, known: old, transaction)
    }

    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        let key = APIKey.text(id: record.id, secret: world.random.hex(16))
        record.state["key_sha256"] = .string(sha256Hex(Array(key.utf8)))
        return ["key": .string(key)]
    }
}

/// The text of API keys, and what may be in them.
public enum APIKey {
    /// `roost_<id>_<secret>`.
    public static func text(id: String, secret: String) -> String { "roost_\(id)_\(secret)" }

    /// The id in a key's text; nil for anything that is not a key.
    public static func id(in text: String) -> String? {
        guard text.utf8.count <= 200 else { return nil }
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "roost", !parts[1].isEmpty, parts[2].utf8.count == 32 else { return nil }
        return String(parts[1])
    }

    /// Why a text is no scope.
    @Sendable public static func scopeFlaw(_ text: String) -> String? {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        let actions: Set<Substring> = ["read", "write", "delete", "*"]
        guard parts.count == 2, actions.contains(parts[1]),
            parts[0] == "*" || Names.slugFlaw(inHyphens(String(parts[0]))) == nil
        else { return "must be resource:action with the actions read, write, delete or *" }
        return nil
    }

    /// `zone_records:read` means `zone-records:read`: either spelling of a kind will do.
    public static func inHyphens(_ scope: String) -> String {
        String(scope.map { $0 == "_" ? "-" : $0 })
    }

    /// Checks that an end that is named anew is yet to come: a key that is over before it begins is a mistake.
    static func checkEnd(
        of record: ResourceRecord, known old: ResourceRecord?, _ transaction: any ResourceTransaction
    ) throws {
        guard let text = record.spec["expires_at"]?.stringValue, text != old?.spec["expires_at"]?.stringValue,
            let end = Timestamp(rfc3339: text), end <= transaction.now
        else { return }
        throw Problem.invalid("expires_at", "must be in the future")
    }

    /// Checks that every brand that is named anew is there: a key for a brand to come would be one for whoever takes
    /// its id.
    static func checkBrands(
        of record: ResourceRecord, known old: ResourceRecord?, _ transaction: any ResourceTransaction
    ) throws {
        var flaws = FieldFlaws()
        let known = old?.spec["brands"]?.arrayValue ?? []
        for (index, brand) in (record.spec["brands"]?.arrayValue ?? []).enumerated() {
            guard let id = brand.stringValue, id != "*", !known.contains(brand) else { continue }
            if try transaction.get("brand", id) == nil { flaws.add("brands[\(index)]", "is not the id of a brand") }
        }
        if let problem = flaws.problem { throw problem }
    }

    /// Why a text is no brand id.
    @Sendable public static func brandFlaw(_ text: String) -> String? {
        text == "*" || Names.slugFlaw(text) == nil ? nil : "must be the id of a brand, or *"
    }
}
