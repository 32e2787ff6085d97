import Model
import ResourceKit

/// Makes on the hub what a file of resources says: finds what is there by its name, makes what is not, and, where asked
/// to, changes what is otherwise.
struct TreeWriter: Sendable {
    /// What is done with one resource.
    enum Deed: String, Sendable {
        case create = "+"
        case update = "~"
        case keep = "="
    }

    let directory: Directory
    let terminal: Terminal
    /// Whether what is there is changed to what the file says.
    let updates: Bool
    /// Whether the deeds are only told.
    let isPlan: Bool
    /// What was made or changed, and may have work to do.
    private(set) var touched: [Resource] = []

    init(directory: Directory, terminal: Terminal, updates: Bool, isPlan: Bool) {
        self.directory = directory
        self.terminal = terminal
        self.updates = updates
        self.isPlan = isPlan
    }

    mutating func write(_ entries: [TreeFile.Entry], below parent: Resource? = nil, isNew: Bool = false) async throws {
        for entry in entries {
            do {
                try await write(entry, below: parent, isParentNew: isNew)
            } catch var problem as Problem where [.invalid, .conflict, .notFound].contains(problem.code) {
                if !problem.message.hasPrefix("at ") { problem.message = "at \(entry.path): \(problem.message)" }
                throw problem
            }
        }
    }

    private mutating func write(
        _ entry: TreeFile.Entry, below parent: Resource?, isParentNew: Bool
    ) async throws {
        let kind = entry.kind
        let found = isParentNew ? nil : try await existing(entry, below: parent)
        // Of a parent that is only planned nothing can be looked up yet.
        let spec = isPlan && isParentNew ? entry.spec : try await resolved(entry.spec, kind, parent)
        var resource = Resource(kind: kind.name, value: .object(spec))
        if let found {
            resource = try await update(found, entry, spec)
        } else {
            tell(.create, entry, [])
            if !isPlan {
                let path = try directory.collectionPath(kind, parentId: parent?.id)
                let answer = try await directory.client.send("POST", path, body: .object(spec)).body
                resource = Resource(kind: kind.name, value: answer)
                let rendering = ResourceRendering(kind: kind, terminal: terminal, now: Ages.now())
                for (name, value) in rendering.shownOnce(resource) { terminal.line("  \(name)  \(printable(value))") }
                touched.append(resource)
            }
        }
        try await write(entry.below, below: resource, isNew: found == nil && isPlan)
    }

    private mutating func update(
        _ found: Resource, _ entry: TreeFile.Entry, _ spec: [String: JSONValue]
    ) async throws -> Resource {
        let fields = entry.kind.fields
        // Nobody can compare a secret.
        let changed = spec.filter { name, value in
            !fields.contains { $0.name == name && $0.isSecret } && found.value[name] != value
        }
        guard updates || entry.kind.singletonPath != nil, !changed.isEmpty else {
            tell(.keep, entry, [])
            return found
        }
        tell(.update, entry, changed.keys.sorted())
        guard !isPlan else { return found }
        let answer = try await directory.client.send(
            "PUT", directory.itemPath(entry.kind, found.id), body: .object(changed)
        ).body
        let resource = Resource(kind: entry.kind.name, value: answer)
        touched.append(resource)
        return resource
    }

    private func tell(_ deed: Deed, _ entry: TreeFile.Entry, _ fields: [String]) {
        let title = Self.names(of: entry.kind).lazy.compactMap { entry.spec[$0]?.shortText }.first ?? ""
        let more = fields.isEmpty ? "" : ": \(fields.joined(separator: ", "))"
        terminal.line("\(deed.rawValue) \(Directory.title(entry.kind)) \(printable(title))\(more)")
    }

    /// Fields that tell one resource of a kind from the others below the same parent, the best first.
    private static func names(of kind: ResourceKind) -> [String] {
        let known = ["id", "name", "email", "hostname", "fqdn", "address", "customer_id"]
        return kind.naturalKey.isEmpty
            ? known.filter { name in kind.fields.contains { $0.name == name } }
            : kind.naturalKey
    }

    /// The resource that is meant by an entry; nil when there is none yet, or none can be told from another.
    private func existing(_ entry: TreeFile.Entry, below parent: Resource?) async throws -> Resource? {
        let kind = entry.kind
        if kind.singletonPath != nil { return try await directory.get(kind, kind.name) }
        guard kind.verbs.contains(.list) else { return nil }
        let names =
            kind.naturalKey.isEmpty
            ? Self.names(of: kind).first { entry.spec[$0] != nil }.map { [$0] } ?? [] : kind.naturalKey
        guard !names.isEmpty else { return nil }
        return try await directory.list(kind, parentId: parent?.id, query: search(entry, names)).first { one in
            names.allSatisfy { one.value[$0] == entry.spec[$0] }
        }
    }

    private func search(_ entry: TreeFile.Entry, _ names: [String]) -> [(String, String)] {
        guard let name = names.first, let text = entry.spec[name]?.stringValue,
            name == "id" || entry.kind.searched.contains(name)
        else { return [] }
        return [("search", text)]
    }

    /// Names in references become ids.
    private func resolved(
        _ spec: [String: JSONValue], _ kind: ResourceKind, _ parent: Resource?
    ) async throws -> [String: JSONValue] {
        var result = spec
        for field in kind.fields {
            switch (field.kind, spec[field.name]) {
            case (.reference(let other), .string(let word)?):
                result[field.name] = .string(try await id(of: other, word, kind, parent, spec))
            case (.list(.reference(let other), _), .array(let words)?):
                var ids: [JSONValue] = []
                for word in words.compactMap(\.stringValue) {
                    ids.append(.string(try await id(of: other, word, kind, parent, spec)))
                }
                result[field.name] = .array(ids)
            default: continue
            }
        }
        return result
    }

    /// What is meant stands below the same parent, or below one that the resource names as well.
    private func id(
        of name: String, _ word: String, _ kind: ResourceKind, _ parent: Resource?, _ spec: [String: JSONValue]
    ) async throws -> String {
        let other = try directory.named(name)
        var scope: [String: String] = [:]
        if let above = other.parent {
            if above.kind == kind.parent?.kind, let parent { scope[above.kind] = parent.id }
            if let sibling = spec[above.field]?.stringValue { scope[above.kind] = sibling }
        }
        do {
            return try await directory.resolve(other, word, scope: scope).id
        } catch let problem as Problem where isPlan && problem.code == .notFound {
            // It may be made by the same file; whether it is, the hub says when it comes to it.
            return word
        }
    }
}
