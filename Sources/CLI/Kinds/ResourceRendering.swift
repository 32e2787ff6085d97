import Model
import ResourceKit

/// Shows resources to people.
struct ResourceRendering {
    /// Members that every resource has; shown in places of their own.
    private static let common: Set<String> = ["id", "status", "status_message", "created_at", "updated_at"]
    private static let commitLength = 12

    let kind: ResourceKind
    let terminal: Terminal
    let now: Timestamp
    /// Ids to names, for the fields that refer to other resources.
    var names: [String: String] = [:]

    /// The table of a listing. The parent's column is there when the listing goes over several parents.
    func table(_ resources: [Resource], showsParent: Bool) -> Table {
        var columns = kind.columns
        if showsParent, let parent = kind.parent, !columns.contains(parent.field) {
            columns.insert(parent.field, at: 0)
        }
        let headings = columns.map(Self.heading) + ["STATUS", "AGE", "ID"]
        var table = Table(headings, statusColumns: [columns.count])
        for resource in resources {
            let cells = columns.map { text($0, resource.value[$0] ?? .null) }
            let created = resource.value["created_at"]?.stringValue ?? ""
            table.rows.append(cells + [resource.status, Ages.text(since: created, now: now), resource.id])
        }
        return table
    }

    /// One resource, a line per field.
    func lines(_ resource: Resource) -> [String] {
        var rows: [(String, String)] = []
        let declared = (kind.fields.filter { !$0.isInputOnly } + kind.reported).map(\.name)
        let parent = kind.parent.map { [$0.field] } ?? []
        for name in parent + declared.filter({ !parent.contains($0) }) {
            guard let value = resource.value[name], !value.isNull else { continue }
            rows += flattened(name, value)
        }
        rows.append(("status", terminal.status(resource.status)))
        if let message = resource.statusMessage, !message.isEmpty { rows.append(("", printable(message))) }
        for name in ["created_at", "updated_at"] {
            guard let time = resource.value[name]?.stringValue else { continue }
            rows.append((name, "\(time) (\(Ages.text(since: time, now: now)) ago)"))
        }
        rows.append(("id", resource.id))
        let width = rows.map(\.0.count).max() ?? 0
        return rows.map { name, value in
            terminal.styled(name, .dim) + String(repeating: " ", count: width - name.count + 2) + value
        }
    }

    /// Values that are in no declaration: what the hub shows once, such as a token.
    func shownOnce(_ resource: Resource) -> [(String, String)] {
        let declared = Set((kind.fields + kind.reported).map(\.name)).union(Self.common)
            .union(kind.parent.map { [$0.field] } ?? []).union(["version", "revision"])
        return (resource.value.objectValue ?? [:]).filter { !declared.contains($0.key) && $0.value.stringValue != nil }
            .map { ($0.key, $0.value.stringValue ?? "") }.sorted { $0.0 < $1.0 }
    }

    private func flattened(_ name: String, _ value: JSONValue) -> [(String, String)] {
        switch value {
        case .object(let members) where members["secret"] == true:
            return [(name, members["value"]?.stringValue ?? "(secret)")]
        case .object(let members):
            return members.sorted { $0.key < $1.key }.flatMap { flattened("\(name).\($0.key)", $0.value) }
        case .array(let values) where values.contains(where: { $0.objectValue != nil }):
            return values.enumerated().flatMap { flattened("\(name)[\($0.offset)]", $0.element) }
        case .array(let values) where values.isEmpty: return []
        default:
            let leaf = name.split(separator: ".").last.map(String.init) ?? name
            let lines = printableLines(text(leaf, value, isShort: false))
            return lines.enumerated().map { ($0.offset == 0 ? name : "", $0.element) }
        }
    }

    private func printableLines(_ text: String) -> [String] {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { printable(String($0)) }
    }

    /// A value as a cell.
    func text(_ name: String, _ value: JSONValue, isShort: Bool = true) -> String {
        if value.isNull { return isShort ? "-" : "" }
        guard let text = value.stringValue else { return value.shortText }
        if let title = names[text] { return title }
        if name == "commit" { return isShort ? String(text.prefix(Self.commitLength)) : text }
        if name.hasSuffix("_at") {
            let age = Ages.text(since: text, now: now)
            return isShort ? (age == text ? text : "\(age) ago") : text
        }
        return isShort ? value.shortText : text
    }

    private static func heading(_ field: String) -> String {
        var words = field.split(separator: "_").map(String.init)
        if words.count > 1, words.last == "id" || words.last == "at" { words.removeLast() }
        if words.count > 1, words.first == "is" { words.removeFirst() }
        return words.joined(separator: " ").uppercased()
    }
}

extension Directory {
    /// Names of the resources that the shown fields refer to: those of the table, or all.
    func names(
        for kind: ResourceKind, in resources: [Resource], columnsOnly: Bool = true
    ) async throws -> [String: String] {
        var result: [String: String] = [:]
        var wanted: [String] = kind.parent.map { [$0.kind] } ?? []
        for field in kind.fields + kind.reported {
            guard case .reference(let other) = field.kind, !columnsOnly || kind.columns.contains(field.name) else {
                continue
            }
            wanted.append(other)
        }
        for name in Set(wanted) where !resources.isEmpty {
            guard let other = kinds.first(where: { $0.name == name }), other.verbs.contains(.list),
                KindCommands.titleField(of: other) != nil
            else { continue }
            result.merge(try await readableTitles(other)) { $1 }
        }
        return result
    }

    /// Names of a kind's resources by id; empty for a key that may not see them.
    func readableTitles(_ kind: ResourceKind) async throws -> [String: String] {
        do {
            let found = try await all(kind, scope: [:], limit: 1000)
            return Dictionary(found.map { ($0.id, $0.title) }, uniquingKeysWith: { $1 })
        } catch let problem as Problem where problem.code == .forbidden {
            return [:]
        }
    }
}
