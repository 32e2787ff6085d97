import Model
import ResourceKit

/// What a plan says, in words.
enum PlanPages {
    /// Fields of a plan that only say that time goes on.
    private static let bookkeeping: Set<String> = ["hash", "deploy_key", "webhook_path", "restart_generation"]

    /// Models of the changes, what is removed first.
    static func changes(_ plan: JSONValue, kinds: [ResourceKind], names: [String: String]) -> [JSONValue] {
        let order = ["delete": 0, "update": 1, "create": 2]
        let entries = plan.list("plan").sorted {
            order[$0.text("change") ?? "", default: 3] < order[$1.text("change") ?? "", default: 3]
        }
        return entries.prefix(100).map { change(of: $0, kinds: kinds, names: names) }
    }

    private static func change(of entry: JSONValue, kinds: [ResourceKind], names: [String: String]) -> JSONValue {
        let kind = kinds.first { $0.name == entry.text("kind") }
        let what = kind.map { GenericPages.title($0) } ?? entry.text("kind") ?? ""
        let fields = entry["fields"]?.objectValue ?? [:]
        let named = ["name", "domain", "fqdn", "username", "email"].lazy
            .compactMap { fields[$0]?["to"]?.stringValue ?? fields[$0]?["from"]?.stringValue }.first
        let isNew = entry.text("change") == "create"
        // The id of something new is made again when it is really created.
        let label = names[entry.id] ?? named ?? (isNew ? "" : String(entry.id.prefix(8)))
        let (verb, tone): (String, String) =
            switch entry.text("change") {
            case "create": ("Create", "ok")
            case "delete": ("Remove", "bad")
            default: ("Change", "busy")
            }
        let declared = (kind?.fields ?? []) + (kind?.reported ?? [])
        let details =
            entry.text("change") == "delete"
            ? []
            : fields.filter { isNews($0.key, $0.value, isNew: isNew, kind: kind) }
                .sorted { $0.key < $1.key }.map { name, change in
                    detail(name, change, declared.first { $0.name == name })
                }
        return [
            "tone": .string(tone), "glyph": .string(PageParts.glyph(tone)),
            "text": .string("\(verb) \(what)\(label.isEmpty ? "" : " \(label)")"), "details": .array(details),
        ]
    }

    /// Of something new, what was chosen counts; what is as always is no news.
    private static func isNews(
        _ name: String, _ change: JSONValue, isNew: Bool, kind: ResourceKind?
    ) -> Bool {
        guard !bookkeeping.contains(name) else { return false }
        guard isNew, let to = change["to"] else { return true }
        guard let field = kind?.fields.first(where: { $0.name == name }), name != "name" else { return false }
        if case .object(let inner) = field.kind { return to != .object(inner.withDefaults([:])) }
        return to != field.defaultValue && to != [] && to != [:]
    }

    private static func detail(_ name: String, _ change: JSONValue, _ field: Field?) -> JSONValue {
        func shown(_ value: JSONValue?) -> JSONValue {
            guard let value, !value.isNull else { return .null }
            let text = GenericPages.plain(value, field)
            return .string(text.isEmpty ? "“”" : text.count > 300 ? text.prefix(299) + "…" : text)
        }
        return [
            "field": .string(field.map { FormFields.label(of: $0) } ?? FormFields.label(name)),
            "old": shown(change["from"]), "new": shown(change["to"]),
        ]
    }

    /// Whether a person should look at a plan before it is carried out: something goes away, or much changes.
    static func needsReview(_ plan: JSONValue) -> Bool {
        let entries = plan.list("plan")
        return entries.count > 6 || entries.contains { $0.text("change") == "delete" }
    }
}
