import HubStore
public import Model
public import ResourceKit

extension Principal {
    /// Whether the caller may see what belongs to this brand; nil is what belongs to the platform.
    public func sees(brand: String?) -> Bool {
        switch brands {
        case .all: true
        case .only(let ids): brand.map(ids.contains) ?? false
        }
    }

    /// - Throws: `forbidden` without the scope.
    public func require(_ action: String, _ plural: String) throws(Problem) {
        guard may(action, plural) else {
            throw Problem(
                .forbidden, "This needs the scope \(plural):\(action).",
                hint: "Use an API key or a user that has it.")
        }
    }

    /// - Throws: `forbidden` for a field that would get another value than it has, and is not for this caller to set.
    func requireFields(_ named: JSONValue, of kind: ResourceKind, now stored: [String: JSONValue]) throws(Problem) {
        for field in kind.fields where field.isForPlatform && brands != .all {
            guard let value = named[field.name], value != stored[field.name] ?? field.defaultValue ?? .null else {
                continue
            }
            throw Problem(.forbidden, "Only keys and users of all brands (*) may set \(field.name).")
        }
    }

    /// - Throws: `forbidden` unless the caller may touch every brand.
    public func requirePlatform() throws(Problem) {
        guard brands == .all else {
            throw Problem(.forbidden, "Only keys and users of all brands (*) may do this.")
        }
    }
}

extension ResourceKind {
    /// Whether only callers of all brands may create one: a brand that is yet to come is nobody's.
    public var isCreatedByPlatform: Bool { isPlatformOnly || name == "brand" }
}

extension Hub {
    /// Decides whether the caller may do this at all, before anything that it sent is looked at.
    ///
    /// - Parameters:
    ///   - action: `read`, `write` or `delete`.
    ///   - id: the resource, when there is one already.
    ///   - parentId: the resource above, of a nested collection.
    /// - Throws: `forbidden` for a missing scope or brand; `not_found` for a resource that does not exist or belongs to
    ///   another brand.
    public func admit(
        _ kind: ResourceKind, _ action: String, id: String? = nil, parentId: String? = nil, as principal: Principal
    ) async throws {
        try requireScope(kind, action, principal)
        if action == "write", id == nil, kind.isCreatedByPlatform { try principal.requirePlatform() }
        guard id != nil || parentId != nil else { return }
        try await store.read { [self] transaction in
            if let id { _ = try visible(kind, id, principal, transaction) }
            if let parentId { _ = try visibleParent(of: kind, parentId, principal, transaction) }
        }
    }

    func requireScope(_ kind: ResourceKind, _ action: String, _ principal: Principal) throws {
        try principal.require(action, kind.plural)
        if kind.isPlatformOnly { try principal.requirePlatform() }
    }

    func visible(
        _ kind: ResourceKind, _ id: String, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard let record = try transaction.get(kind.name, id) ?? singleton(kind, id, transaction),
            principal.sees(brand: record.brandId), record.status != .deleted
        else { throw Self.unknown(kind.name, id) }
        return record
    }

    /// The only resource of its kind as it is before anybody changed it; it is stored with the first change.
    private func singleton(
        _ kind: ResourceKind, _ id: String, _ transaction: any ResourceTransaction
    ) -> ResourceRecord? {
        guard kind.singletonPath != nil, id == kind.name else { return nil }
        return ResourceRecord(
            kind: kind.name, id: id, status: .active, spec: kind.fields.withDefaults([:]), createdAt: transaction.now,
            updatedAt: transaction.now)
    }

    func visibleParent(
        of kind: ResourceKind, _ id: String, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard let parent = kind.parent, let parentKind = kindsByName[parent.kind] else {
            throw Problem(.notFound, "\(kind.plural) are not below another resource.")
        }
        return try visible(parentKind, id, principal, transaction)
    }

    static func unknown(_ kind: String, _ id: String) -> Problem {
        Problem(.notFound, "There is no \(kind) with the id \"\(id.prefix(100))\".")
    }
}
