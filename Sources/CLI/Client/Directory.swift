import Model
import ResourceKit

/// A resource as the API shows it.
struct Resource: Sendable, Equatable {
    var kind: String
    var value: JSONValue

    var id: String { value["id"]?.stringValue ?? "" }
    var status: String { value["status"]?.stringValue ?? "" }
    var statusMessage: String? { value["status_message"]?.stringValue }
    /// What people call it.
    var title: String { name ?? id }
    var name: String? {
        ["name", "email", "domain", "username"].lazy.compactMap { value[$0]?.stringValue }.first
    }
}

/// Finds resources by what people call them.
struct Directory: Sendable {
    /// Parents that a search without a named parent looks below.
    private static let parentsMax = 1000
    private static let lookupsAtOnce = 8

    let client: HubClient
    let kinds: [ResourceKind]

    /// Path of the collection below `/api/v1`.
    ///
    /// Without a parent it is the collection over all of them.
    func collectionPath(_ kind: ResourceKind, parentId: String?) throws -> String {
        guard let parent = kind.parent, let parentId else { return "/\(kind.plural)" }
        return "/\(try named(parent.kind).plural)/\(HubClient.encoded(parentId))/\(kind.segment)"
    }

    func itemPath(_ kind: ResourceKind, _ id: String) -> String {
        kind.singletonPath.map { "/\($0)" } ?? "/\(kind.plural)/\(HubClient.encoded(id))"
    }

    func named(_ kind: String) throws -> ResourceKind {
        guard let found = kinds.first(where: { $0.name == kind }) else {
            throw Problem(.internalError, "This program knows no resource kind \(kind).")
        }
        return found
    }

    /// Everything of a kind; below one parent, or below all of them.
    ///
    /// - Parameter scope: kind → name or id of a resource above, from the options of the command.
    func all(
        _ kind: ResourceKind, scope: [String: String], query: [(String, String)] = [], limit: Int = 10_000
    ) async throws -> [Resource] {
        guard let parent = kind.parent, !scope.isEmpty else {
            return try await list(kind, parentId: nil, query: query, limit: limit)
        }
        let parentKind = try named(parent.kind)
        if let reference = scope[parent.kind] {
            let found = try await resolve(parentKind, reference, scope: scope)
            return try await list(kind, parentId: found.id, query: query, limit: limit)
        }
        // Something further above was named, such as the stack of a deployment.
        let parents = try await all(parentKind, scope: scope, limit: Self.parentsMax)
        return try await below(parents, kind, query: query, limit: limit)
    }

    private func below(
        _ parents: [Resource], _ kind: ResourceKind, query: [(String, String)], limit: Int
    ) async throws -> [Resource] {
        var found: [Int: [Resource]] = [:]
        try await withThrowingTaskGroup(of: (Int, [Resource]).self) { group in
            for (index, parent) in parents.enumerated() {
                if index >= Self.lookupsAtOnce, let (done, items) = try await group.next() { found[done] = items }
                group.addTask {
                    do {
                        return (index, try await list(kind, parentId: parent.id, query: query, limit: limit))
                    } catch let problem as Problem where problem.code == .notFound {
                        // Deleted between the two requests: nothing is below it.
                        return (index, [])
                    }
                }
            }
            for try await (done, items) in group { found[done] = items }
        }
        return Array(found.sorted { $0.key < $1.key }.flatMap(\.value).prefix(limit))
    }

    func list(
        _ kind: ResourceKind, parentId: String?, query: [(String, String)] = [], limit: Int = 10_000
    ) async throws -> [Resource] {
        let path = try collectionPath(kind, parentId: parentId)
        return try await client.list(path, query: query, limit: limit).map { Resource(kind: kind.name, value: $0) }
    }

    func get(_ kind: ResourceKind, _ id: String) async throws -> Resource {
        Resource(kind: kind.name, value: try await client.get(itemPath(kind, id)))
    }

    /// The resource with this id, or the only one with this name.
    ///
    /// - Throws: `not_found`; `conflict` when several have the name.
    func resolve(_ kind: ResourceKind, _ reference: String, scope: [String: String] = [:]) async throws -> Resource {
        if kind.singletonPath != nil { return try await get(kind, kind.name) }
        if Self.mayBeId(reference, kind), kind.verbs.contains(.read) {
            do {
                return try await get(kind, reference)
            } catch let problem as Problem where problem.code == .notFound && !Self.isUUID(reference) {
                // Not an id after all: it may be a name.
            }
        }
        guard kind.verbs.contains(.list) else {
            throw Problem(.notFound, "There is no \(kind.name) \(printable(reference)).")
        }
        let candidates = try await all(kind, scope: scope, query: [("search", reference)]).filter {
            $0.name == reference || $0.id == reference || Self.isPrefix(reference, of: $0.id)
        }
        let exact = candidates.filter { $0.name == reference || $0.id == reference }
        let found = exact.isEmpty ? candidates : exact
        guard found.count < 2 else { throw try await ambiguous(kind, reference, found) }
        guard let one = found.first else {
            let shown = printable(String(reference.prefix(100)))
            throw Problem(
                .notFound, "There is no \(Self.title(kind)) \(shown).", hint: "See roost \(Self.command(kind)) list.")
        }
        return one
    }

    /// The resource that a new one goes below: the named one, else the only one, else the one called `default`.
    func parent(of kind: ResourceKind, scope: [String: String]) async throws -> Resource? {
        guard let parent = kind.parent else { return nil }
        if parent.isOptional, scope[parent.kind] == nil { return nil }
        return try await oneOf(try named(parent.kind), scope: scope)
    }

    /// The named resource of a kind, else the only one, else the one called `default`.
    func oneOf(_ kind: ResourceKind, scope: [String: String]) async throws -> Resource {
        if let reference = scope[kind.name] { return try await resolve(kind, reference, scope: scope) }
        let every = try await all(kind, scope: scope, limit: Self.parentsMax)
        if every.count == 1 { return every[0] }
        if let standard = every.first(where: { $0.name == "default" }) { return standard }
        guard !every.isEmpty else {
            throw Problem(.notFound, "There is no \(kind.name) yet.", hint: "Make one: roost \(kind.name) create NAME.")
        }
        let names = every.prefix(10).map { printable($0.title) }.joined(separator: ", ")
        throw Problem(.conflict, "Say which \(kind.name) is meant: \(names).", hint: "Add --\(kind.name) NAME.")
    }

    private func ambiguous(_ kind: ResourceKind, _ reference: String, _ found: [Resource]) async throws -> Problem {
        var places: [String] = []
        if let parent = kind.parent {
            let parentKind = try named(parent.kind)
            for one in found.prefix(10) {
                let id = one.value[parent.field]?.stringValue ?? ""
                places.append(id.isEmpty ? "none" : try await get(parentKind, id).title)
            }
            return Problem(
                .conflict, "There is a \(kind.name) \(reference) in each of \(places.joined(separator: ", ")).",
                hint: "Add --\(parent.kind) NAME.")
        }
        return Problem(.conflict, "\(reference) could be \(found.map(\.id).joined(separator: ", ")).")
    }

    /// Names of the servers by id, as far as the key may see them.
    func servers() async throws -> [String: String] { try await readableTitles(try named("node")) }

    /// The word that people type for a kind.
    static func command(_ kind: ResourceKind) -> String { kind.name == "node" ? "server" : kind.name }
    static func title(_ kind: ResourceKind) -> String { command(kind).split(separator: "-").joined(separator: " ") }

    static func isUUID(_ text: String) -> Bool {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        return parts.map(\.count) == [8, 4, 4, 4, 12] && parts.allSatisfy { $0.allSatisfy(\.isHexDigit) }
    }

    private static func mayBeId(_ text: String, _ kind: ResourceKind) -> Bool {
        switch kind.identity {
        case .uuid: isUUID(text)
        case .slug: true
        case .prefixed(let prefix): text.hasPrefix(prefix)
        }
    }

    /// The beginning of a UUID, long enough not to be an accident.
    private static func isPrefix(_ text: String, of id: String) -> Bool {
        text.count >= 6 && isUUID(id) && id.hasPrefix(text.lowercased())
    }
}
