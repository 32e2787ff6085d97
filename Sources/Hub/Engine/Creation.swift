import Host
import HubStore
import Logging
public import Model
public import ResourceKit

/// A resource that a request creates, with those below it that the same request names.
struct CreationDraft: Sendable {
    var kind: ResourceKind
    /// Where its members stand in the body: empty for the outermost, `fqdns[0].` for one below.
    var path: String
    var record: ResourceRecord
    /// Whether the caller chose the id.
    var hasOwnId = false
    /// What is shown only once.
    var shown: [String: JSONValue] = [:]
    var below: [CreationDraft] = []
}

extension Hub {
    /// Creates a resource, and with it those below it that its body names by their plural: all of them or none.
    ///
    /// - Parameter parentId: the resource above; nil also when the body names it in the parent's field.
    /// - Returns: 202 for an asynchronous kind, 201 for another, with the resource and what is shown only once; 200
    ///   with a plan.
    /// - Throws: `forbidden`, `not_found`, `invalid`, `conflict`, `storage_failed`.
    public func create(
        _ kind: ResourceKind, parentId: String? = nil, body: JSONValue, options: MutationOptions = .init(),
        as principal: Principal
    ) async throws -> MutationAnswer {
        var options = options
        let (parentId, body) = try Self.parent(of: kind, parentId, try Self.takeCallback(body, kind, &options))
        let mutation = Mutation(
            kind: kind, action: "create", parentId: parentId, body: body, fields: nestedFields(of: kind),
            options: options, principal: principal)
        return try await mutate(mutation) {
            var placed = mutation
            if parentId == nil { placed.parentId = try await standardParent(of: kind, principal) }
            return try await creation(placed)
        }
    }

    /// Takes the parent's id out of the body, where it may stand instead of in the path.
    private static func parent(
        of kind: ResourceKind, _ parentId: String?, _ body: JSONValue
    ) throws(Problem) -> (String?, JSONValue) {
        guard let field = kind.parent?.field, !kind.fields.contains(where: { $0.name == field }),
            case .object(var members) = body, let named = members[field]
        else { return (parentId, body) }
        if named.isNull, kind.parent?.isOptional == true {
            members[field] = nil
            return (parentId, .object(members))
        }
        guard let id = named.stringValue, id == parentId ?? id else {
            throw .invalid(field, "must be the id of the \(kind.parent?.kind ?? "resource") above")
        }
        members[field] = nil
        return (id, .object(members))
    }

    /// The parent that is meant when none is named, if the caller may see it.
    private func standardParent(of kind: ResourceKind, _ principal: Principal) async throws -> String? {
        guard let parent = kind.parent, let claim = parent.standardClaim else { return nil }
        return try await store.read { transaction in
            guard let id = try transaction.claimHolder(claim), let record = try transaction.get(parent.kind, id),
                principal.sees(brand: record.brandId)
            else { return nil }
            return id
        }
    }

    private func creation(
        _ mutation: Mutation
    ) async throws -> @Sendable (RecordingTransaction) throws -> MutationOutcome {
        let (kind, principal) = (mutation.kind, mutation.principal)
        guard kind.verbs.contains(.create) else {
            throw Problem(.notFound, "\(kind.plural) cannot be created this way.")
        }
        try requireScopes(ofNested: mutation.body, in: kind, principal)
        if let parent = kind.parent, !parent.isOptional, mutation.parentId == nil,
            mutation.body.objectValue != nil
        {
            throw Problem.invalid(parent.field, "is required")
        }
        var draft = try drafted(mutation)
        try checkGrants(draft, principal)
        draft = try await prepared(draft, mutation)
        let ready = draft
        return { [self] transaction in
            let answer = try stored(ready, parentId: mutation.parentId, principal, transaction)
            return MutationOutcome(
                id: answer.id, answer: MutationAnswer(code: kind.isAsynchronous ? 202 : 201, body: answer.body))
        }
    }

    /// Whether the caller may create each kind that a body names, before anything else of it is looked at.
    private func requireScopes(ofNested body: JSONValue, in kind: ResourceKind, _ principal: Principal) throws {
        try principal.requireFields(body, of: kind, now: [:])
        for below in nestable(in: kind) {
            guard let nested = body[below.nestedName], !nested.isNull else { continue }
            try requireScope(below, "write", principal)
            for one in nested.arrayValue ?? [] { try requireScopes(ofNested: one, in: below, principal) }
        }
    }

    private func checkGrants(_ draft: CreationDraft, _ principal: Principal) throws {
        try checkGrant(draft.kind, draft.record.spec, principal)
        try checkScopes(draft.kind, draft.record.spec, known: [:])
        for below in draft.below { try checkGrants(below, principal) }
    }

    /// What happens outside of the transaction: secrets are sealed and made, and the kinds look at the world.
    private func prepared(_ draft: CreationDraft, _ mutation: Mutation) async throws -> CreationDraft {
        var draft = draft
        let kind = draft.kind
        draft.record.spec = try await sealed(draft.record.spec, kind)
        if draft.path.isEmpty {
            // References are checked here as well, so that nothing outside is asked on behalf of a wrong spec.
            let unprepared = draft
            try await store.read { [self] transaction in
                _ = try placed(unprepared, parentId: mutation.parentId, mutation.principal, transaction)
            }
        }
        try await kind.behaviour.prepareCreate(&draft.record, world)
        draft.record.spec = try await sealed(draft.record.spec, kind, unless: draft.record.spec)
        draft.shown = try kind.behaviour.revealOnce(&draft.record, world)
        for index in draft.below.indices { draft.below[index] = try await prepared(draft.below[index], mutation) }
        return draft
    }

    private func stored(
        _ draft: CreationDraft, parentId: String?, _ principal: Principal, _ transaction: RecordingTransaction
    ) throws -> (id: String, body: JSONValue) {
        let kind = draft.kind
        var nested: [String: [JSONValue]] = [:]
        let id: String
        do {
            let placed = try placed(draft, parentId: parentId, principal, transaction)
            id = placed.id
            try kind.behaviour.didCreate(try transaction.put(placed), transaction)
        } catch var problem as Problem where !draft.path.isEmpty {
            // The caller must know which of many was refused.
            let place = String(draft.path.dropLast())
            problem.fields =
                problem.fields.isEmpty
                ? [place: problem.message]
                : Dictionary(uniqueKeysWithValues: problem.fields.map { (draft.path + $0.key, $0.value) })
            problem.message = "\(place): \(problem.message)"
            throw problem
        }
        for below in draft.below {
            let one = try stored(below, parentId: id, principal, transaction)
            nested[below.kind.nestedName, default: []].append(one.body)
        }
        guard let record = try transaction.get(kind.name, id) else {
            throw Problem(.internalError, "A new \(kind.name) is not there.")
        }
        var answer = rendered(record, kind)
        for (name, value) in draft.shown { answer[name] = value }
        for (name, values) in nested { answer[name] = .array(values) }
        return (id, answer)
    }

    /// The draft with its place in the tree: below its parent, of a brand and a tenant.
    private func placed(
        _ draft: CreationDraft, parentId: String?, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let kind = draft.kind
        var record = draft.record
        record.parentId = parentId
        let parent = try parentId.map { try visibleParent(of: kind, $0, principal, transaction) }
        if let parent, parent.status == .deleting {
            throw Problem(.conflict, "The \(parent.kind) above is being deleted.")
        }
        try checkReferences(record.spec, kind, principal, transaction)
        if try transaction.get(kind.name, record.id) != nil {
            guard case .slug(let field) = kind.identity, !draft.hasOwnId else {
                throw Problem.taken(record.id, kind)
            }
            // Only its name would have been the id, so another one will do.
            record.id = transaction.random.uuid()
            record.spec[field] = .string(record.id)
        }
        let tenantId = try tenant(of: record, kind, parent: parent)
        record.tenantId = tenantId
        let tenant = try tenantId.flatMap { try transaction.get("tenant", $0) }
        // What is new would be on the net at once, and the tenant is to be off it.
        if let tenant, tenant.status == .suspended {
            throw Problem(.conflict, "The tenant is suspended.", hint: "Unsuspend it first.")
        }
        record.brandId = try brand(of: record.spec, kind, id: record.id, parent: parent ?? tenant, principal)
        if let above = parent ?? tenant, let owner = above.brandId, record.brandId != owner {
            throw Problem.invalid("brand_id", "must be the brand of the \(above.kind)")
        }
        return record
    }

    /// The tenant that a new resource belongs to: the one that it names, else that of the resource above.
    private func tenant(of record: ResourceRecord, _ kind: ResourceKind, parent: ResourceRecord?) throws -> String? {
        let above = parent?.kind == "tenant" ? parent?.id : parent?.tenantId
        guard kind.fields.contains(where: { $0.name == "tenant_id" }),
            let named = record.spec["tenant_id"]?.stringValue
        else { return above }
        guard above == nil || above == named else {
            throw Problem.invalid("tenant_id", "must be the tenant of the \(parent?.kind ?? "resource") above")
        }
        return named
    }
}

extension Problem {
    static func taken(_ id: String, _ kind: ResourceKind) -> Problem {
        var field = "id"
        if case .slug(let own) = kind.identity { field = own }
        return Problem(
            .conflict, "\"\(id)\" is taken already by another \(kind.name).", fields: [field: "is taken already"])
    }
}
