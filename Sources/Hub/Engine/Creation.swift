import Host
import HubStore
import Logging
public import Model
public import ResourceKit

extension Hub {
    /// Creates a resource.
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
            kind: kind, action: "create", parentId: parentId, body: body, fields: kind.fields, options: options,
            principal: principal)
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
        try await admit(kind, "write", parentId: mutation.parentId, as: principal)
        guard kind.verbs.contains(.create) else {
            throw Problem(.notFound, "\(kind.plural) cannot be created this way.")
        }
        var spec = try checkedSpec(mutation.body, kind)
        if let parent = kind.parent, mutation.parentId == nil { throw Problem.invalid(parent.field, "is required") }
        try checkGrant(kind, spec, principal)
        spec = try await sealed(spec, kind)
        let now = world.clock.now()
        var draft = ResourceRecord(
            kind: kind.name, id: newId(kind, spec), parentId: mutation.parentId,
            status: kind.isAsynchronous ? .pending : .active, spec: spec, createdAt: now, updatedAt: now)
        // References are checked here as well, so that nothing outside is asked on behalf of a wrong spec.
        let unprepared = draft
        try await store.read { [self] in _ = try placed(unprepared, mutation, $0) }
        try await kind.behaviour.prepareCreate(&draft, world)
        draft.spec = try await sealed(draft.spec, kind, unless: draft.spec)
        let shown = try kind.behaviour.revealOnce(&draft, world)
        let prepared = draft
        return { [self] transaction in
            let placed = try placed(prepared, mutation, transaction)
            try kind.behaviour.didCreate(try transaction.put(placed), transaction)
            let stored = try transaction.get(kind.name, placed.id) ?? placed
            var answer = rendered(stored, kind)
            for (name, value) in shown { answer[name] = value }
            return MutationOutcome(
                id: stored.id, answer: MutationAnswer(code: kind.isAsynchronous ? 202 : 201, body: answer))
        }
    }

    /// The draft with its place in the tree: below its parent, of a brand and a tenant.
    private func placed(
        _ draft: ResourceRecord, _ mutation: Mutation, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let kind = mutation.kind
        var record = draft
        let parent = try mutation.parentId.map { try visibleParent(of: kind, $0, mutation.principal, transaction) }
        if let parent, parent.status == .deleting {
            throw Problem(.conflict, "The \(parent.kind) above is being deleted.")
        }
        try checkReferences(record.spec, kind, mutation.principal, transaction)
        guard try transaction.get(kind.name, record.id) == nil else {
            throw Problem(.conflict, "\"\(record.id)\" is taken already by another \(kind.name).")
        }
        record.brandId = try brand(of: record.spec, kind, id: record.id, parent: parent, mutation.principal)
        let tenant = kind.fields.contains { $0.name == "tenant_id" } ? record.spec["tenant_id"]?.stringValue : nil
        record.tenantId = tenant ?? parent?.tenantId ?? (parent?.kind == "tenant" ? parent?.id : nil)
        return record
    }
}
