public import HubStore
public import Model
public import ResourceKit

extension Hub {
    /// One page of a kind.
    /// - Throws: `forbidden`, `not_found` for an unknown parent, `invalid` for a bad cursor or sort field.
    public func list(
        _ kind: ResourceKind, _ query: ListQuery = .init(), as principal: Principal
    ) async throws -> (items: [JSONValue], nextCursor: String?) {
        try requireScope(kind, "read", principal)
        var query = query
        query.brands = principal.brands
        if let status = query.status, ResourceStatus(rawValue: status) == nil {
            throw Problem.invalid(
                "status", "must be one of \(ResourceStatus.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        if let text = query.search, text.utf8.count > 255 || text.utf8.contains(0) {
            throw Problem.invalid("search", "must have at most 255 bytes and no NUL")
        }
        for (name, id) in query.references where id.utf8.count > 255 || id.utf8.contains(0) {
            throw Problem.invalid(name, "must be an id")
        }
        if let brand = query.references.removeValue(forKey: "brand_id") {
            guard principal.sees(brand: brand) else { return ([], nil) }
            query.brands = .only([brand])
        }
        let parentId = query.parentId
        if let field = kind.parent?.field, let id = query.references.removeValue(forKey: field) {
            guard parentId ?? id == id else { return ([], nil) }
            query.parentId = id
        }
        let asked = query
        let page = try await store.read { [self] transaction in
            if let parentId { _ = try visibleParent(of: kind, parentId, principal, transaction) }
            return try transaction.page(kind, asked)
        }
        return (page.records.map { rendered($0, kind) }, page.nextCursor)
    }

    /// One resource.
    /// - Throws: `forbidden`, `not_found`.
    public func read(_ kind: ResourceKind, id: String, as principal: Principal) async throws -> JSONValue {
        try requireScope(kind, "read", principal)
        return rendered(try await store.read { [self] in try visible(kind, id, principal, $0) }, kind)
    }

    /// - Throws: `forbidden`.
    public func admitSearch(as principal: Principal) throws {
        try principal.require("read", "search")
        try principal.requirePlatform()
    }

    /// One page of the resources of any kind whose id or searched fields contain the text, oldest first.
    /// - Throws: `forbidden`, `invalid` for an empty text or a bad cursor.
    public func search(
        _ text: String, limit: Int = 50, cursor: String? = nil, as principal: Principal
    ) async throws -> (items: [JSONValue], nextCursor: String?) {
        try admitSearch(as: principal)
        guard !text.isEmpty, text.utf8.count <= 255, !text.utf8.contains(0) else {
            throw Problem.invalid("q", "must have 1 to 255 bytes and no NUL")
        }
        let readable = kinds.filter { principal.may("read", $0.plural) }
        let query = SearchQuery(text, kinds: readable, brands: principal.brands, limit: limit, cursor: cursor)
        let page = try await store.read { try $0.search(query) }
        let items = page.records.map { record -> JSONValue in
            let label = kindsByName[record.kind]?.searched.lazy.compactMap { record.spec[$0]?.stringValue }.first
            return [
                "kind": .string(record.kind), "id": .string(record.id),
                "name": label.map(JSONValue.string) ?? .null, "status": .string(record.status.rawValue),
                "parent_id": record.parentId.map(JSONValue.string) ?? .null,
            ]
        }
        return (items, page.nextCursor)
    }

    /// Counts per kind and status: `{"service": {"active": 3, …, "total": 4}, …}`.
    /// - Throws: `forbidden`.
    public func stats(as principal: Principal) async throws -> JSONValue {
        try principal.require("read", "dashboard")
        try principal.requirePlatform()
        let counts = try await store.read { try $0.counts() }
        var result: [String: JSONValue] = [:]
        for kind in kinds {
            let statuses = counts[kind.name] ?? [:]
            var members = statuses.mapValues { JSONValue.int(Int64($0)) }
            members["total"] = .int(Int64(statuses.values.reduce(0, +)))
            result[kind.name] = .object(members)
        }
        return ["kinds": .object(result)]
    }

    /// The audit log, newest first.
    /// - Throws: `forbidden`.
    public func auditLog(_ filter: AuditFilter = .init(), as principal: Principal) async throws -> [AuditEntry] {
        try admitAudit(as: principal)
        return try await store.read { try $0.audit(filter) }
    }

    /// - Throws: `forbidden`.
    public func admitAudit(as principal: Principal) throws {
        try principal.require("read", "audit-logs")
        try principal.requirePlatform()
    }

    /// Whether the audit log is whole: id of the first entry that was changed or removed, nil for none.
    /// - Throws: `forbidden`.
    public func firstBrokenAudit(as principal: Principal) async throws -> Int64? {
        try admitAudit(as: principal)
        return try await store.read { try $0.firstBrokenAudit() }
    }

    /// Entries of the audit log after an id, oldest first, each with its hash.
    /// - Throws: `forbidden`.
    public func auditChain(after id: Int64, as principal: Principal) async throws -> [JSONValue] {
        try admitAudit(as: principal)
        return try await store.read { transaction in
            try transaction.auditChain(after: id, limit: 500).map { link in
                var json = link.entry.json
                json["hash"] = .string(link.hash)
                return json
            }
        }
    }
}

extension AuditEntry {
    public var json: JSONValue {
        [
            "id": .int(id), "time": .string(time.rfc3339), "actor": .string(actor),
            "actor_id": actorId.map(JSONValue.string) ?? .null, "action": .string(action),
            "resource_kind": .string(resourceKind), "resource_id": resourceId.map(JSONValue.string) ?? .null,
            "address": .string(address), "outcome": .string(outcome), "body": body,
        ]
    }
}
