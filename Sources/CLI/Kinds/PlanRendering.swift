import Model
import ResourceKit

/// One change of a plan, as the API answers `?plan=true` and as `roost apply` computes it.
struct PlannedChange: Sendable, Equatable {
    /// What happens to the resource.
    enum Change: String, Sendable {
        case create
        case update
        case delete
    }

    /// A value before and after.
    struct FieldChange: Sendable, Equatable {
        var from: JSONValue
        var to: JSONValue
    }

    var change: Change
    var kind: String
    /// Nil for what does not exist yet.
    var id: String?
    /// Name for people, or the id.
    var title: String
    var fields: [String: FieldChange] = [:]

    /// Reads the answer to a mutation with `?plan=true`.
    static func read(_ answer: JSONValue) throws(Problem) -> [PlannedChange] {
        guard let entries = answer["plan"]?.arrayValue else {
            throw Problem(.internalError, "The hub did not answer with a plan; nothing was shown to be safe.")
        }
        return entries.map { entry in
            var fields: [String: FieldChange] = [:]
            for (name, value) in entry["fields"]?.objectValue ?? [:] {
                fields[name] = FieldChange(from: value["from"] ?? .null, to: value["to"] ?? .null)
            }
            let name = ["name", "email", "domain", "username"].lazy.compactMap { fields[$0]?.to.stringValue }.first
            let title = entry["name"]?.stringValue ?? name ?? entry["id"]?.stringValue ?? ""
            let word = entry["change"]?.stringValue ?? ""
            return PlannedChange(
                change: Change(rawValue: word)
                    ?? (word.hasPrefix("cr") ? .create : word.hasPrefix("de") ? .delete : .update),
                kind: entry["kind"]?.stringValue ?? "", id: entry["id"]?.stringValue, title: title, fields: fields)
        }
    }
}

extension Directory {
    private static let titlesMax = 50

    /// The changes with names in place of ids.
    func titled(_ changes: [PlannedChange]) async throws -> [PlannedChange] {
        var names: [String: String] = [:]
        for change in changes.prefix(Self.titlesMax) where change.change != .create {
            guard let id = change.id, let kind = kinds.first(where: { $0.name == change.kind }),
                kind.verbs.contains(.read)
            else { continue }
            do {
                names[id] = try await get(kind, id).title
            } catch let problem as Problem where problem.code == .notFound || problem.code == .forbidden {
                continue
            }
        }
        return changes.map { change in
            var change = change
            if let id = change.id, let name = names[id] { change.title = name }
            change.fields = change.fields.mapValues { field in
                .init(from: Self.named(field.from, names), to: Self.named(field.to, names))
            }
            return change
        }
    }

    private static func named(_ value: JSONValue, _ names: [String: String]) -> JSONValue {
        value.stringValue.flatMap { names[$0] }.map { .string($0) } ?? value
    }
}

/// Shows a plan.
enum PlanRendering {
    static func lines(_ changes: [PlannedChange], _ terminal: Terminal) -> [String] {
        var lines: [String] = []
        for change in changes {
            let (sign, style): (String, Terminal.Style) =
                switch change.change {
                case .create: ("+", .green)
                case .update: ("~", .yellow)
                case .delete: ("-", .red)
                }
            lines.append(terminal.styled("\(sign) \(change.kind) \(printable(change.title))", style))
            // What goes is gone whole; its fields say nothing more.
            guard change.change != .delete else { continue }
            let width = change.fields.keys.map(\.count).max() ?? 0
            for (name, field) in change.fields.sorted(by: { $0.key < $1.key }) {
                let pad = String(repeating: " ", count: width - name.count)
                let after = printable(shown(field.to))
                let text = field.from.isNull ? after : "\(printable(shown(field.from))) → \(after)"
                lines.append("    \(name)\(pad)  \(text)")
            }
        }
        return lines + [summary(changes)]
    }

    static func summary(_ changes: [PlannedChange]) -> String {
        guard !changes.isEmpty else { return "No changes." }
        func count(_ change: PlannedChange.Change) -> Int { changes.filter { $0.change == change }.count }
        let counts = "\(count(.create)) to create, \(count(.update)) to change, \(count(.delete)) to delete"
        return "Plan: \(counts)."
    }

    /// The value of a secret never shows, not even to who typed it: terminals are recorded.
    private static func shown(_ value: JSONValue) -> String {
        switch value {
        case .null: return "(none)"
        case .object(let members) where members["secret"] == true: return "(secret)"
        case .object(let members):
            let parts = members.sorted { $0.key < $1.key }.map { "\($0.key)=\(shown($0.value))" }
            return "{\(parts.joined(separator: ", "))}"
        case .array(let values): return "[\(values.map(shown).joined(separator: ", "))]"
        default: return value.shortText
        }
    }
}
