import HubStore
public import Model
public import ResourceKit

extension Hub {
    /// The resources that a link of a resource names.
    /// - Throws: `forbidden`, `not_found`.
    public func linked(
        _ link: ResourceLink, of kind: ResourceKind, id: String, as principal: Principal
    ) async throws -> JSONValue {
        try requireScope(kind, "read", principal)
        return try await store.read { [self] transaction in
            try linked(link, try visible(kind, id, principal, transaction), transaction)
        }
    }

    private func linked(
        _ link: ResourceLink, _ record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> JSONValue {
        let ids = record.state[link.field]?.arrayValue?.compactMap(\.stringValue) ?? []
        let items = try ids.compactMap { id -> JSONValue? in
            guard let other = try transaction.get(link.kind, id) else { return nil }
            return ["id": .string(id), "name": other.spec["name"] ?? .null, "status": .string(other.status.rawValue)]
        }
        return [
            "items": .array(items), "next_cursor": .null, "has_more": false,
            link.field: .array(items.compactMap { $0["id"] }),
        ]
    }

    /// Replaces what a link of a resource names. Only for callers of all brands: it decides what a brand may use.
    ///
    /// - Returns: 200 with the new list, or with a plan.
    /// - Throws: `forbidden`, `not_found`, `invalid`, `stale`, `storage_failed`.
    public func setLinked(
        _ link: ResourceLink, of kind: ResourceKind, id: String, body: JSONValue, options: MutationOptions = .init(),
        as principal: Principal
    ) async throws -> MutationAnswer {
        let field = Self.field(of: link)
        let mutation = Mutation(
            kind: kind, action: "set-\(link.name)", id: id, body: body, fields: [field], options: options,
            principal: principal)
        return try await mutate(mutation) {
            try principal.requirePlatform()
            guard let members = body.objectValue else {
                throw Problem(.invalid, "The body must be a JSON object, not \(body.typeName).")
            }
            var flaws = FieldFlaws()
            [field].check(members, into: &flaws)
            if let problem = flaws.problem { throw problem }
            return { [self] transaction in
                var record = try changeable(kind, id, mutation, transaction)
                try checkReferences(members, of: [field], principal, transaction)
                var seen: Set<JSONValue> = []
                let ids = (members[link.field]?.arrayValue ?? []).filter { seen.insert($0).inserted }
                record.state[link.field] = .array(ids)
                record = try transaction.put(record)
                return MutationOutcome(
                    id: id, answer: MutationAnswer(code: 200, body: try linked(link, record, transaction)))
            }
        }
    }

    /// The member of the body that sets a link.
    public static func field(of link: ResourceLink) -> Field {
        Field(link.field, .list(of: .reference(link.kind), countMax: 1000), link.summary, required: true)
    }

    /// What a view of a resource shows.
    /// - Throws: `forbidden`, `not_found`.
    public func view(
        _ name: String, of kind: ResourceKind, id: String, as principal: Principal
    ) async throws -> JSONValue {
        try requireScope(kind, "read", principal)
        return try await store.read { [self] transaction in
            try kind.behaviour.view(name, of: try visible(kind, id, principal, transaction), transaction)
        }
    }

    /// Id of the resource below a parent whose natural key has these values.
    /// - Throws: `forbidden`, `invalid` for a part that is missing, `not_found`.
    public func find(
        _ kind: ResourceKind, below parentId: String, _ key: [String: JSONValue], as principal: Principal
    ) async throws -> String {
        try await admit(kind, "delete", parentId: parentId, as: principal)
        for name in kind.naturalKey where key[name]?.stringValue == nil {
            throw Problem.invalid(name, "is required")
        }
        for name in key.keys.sorted() where !kind.naturalKey.contains(name) {
            throw Problem.invalid(String(name.prefix(80)), "is not a known field")
        }
        let found = try await store.read { transaction in
            try transaction.all(kind.name, parentId: parentId).first { record in
                kind.naturalKey.allSatisfy { record.spec[$0] == key[$0] }
            }
        }
        guard let found else { throw Problem(.notFound, "There is no such \(kind.name).") }
        return found.id
    }
}
