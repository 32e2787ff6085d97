import HubStore
public import Model
public import ResourceKit

extension Hub {
    /// Deletes a resource and everything below it, the deepest first.
    ///
    /// - Parameter body: may name a `callback_url`, and nothing else.
    /// - Returns: 202 for an asynchronous kind, 204 for another; 200 with a plan.
    /// - Throws: `forbidden`, `not_found`, `invalid`, `conflict`, `stale`, `storage_failed`.
    public func delete(
        _ kind: ResourceKind, id: String, body: JSONValue = .null, options: MutationOptions = .init(),
        as principal: Principal
    ) async throws -> MutationAnswer {
        var options = options
        let rest = try Self.takeCallback(body, kind, &options)
        let mutation = Mutation(
            kind: kind, action: "delete", id: id, body: .null, fields: [], options: options, principal: principal)
        return try await mutate(mutation) {
            var flaws = FieldFlaws()
            [Field]().check(rest.objectValue ?? [:], into: &flaws)
            if let problem = flaws.problem { throw problem }
            return { [self] transaction in
                var record = try visible(kind, id, principal, transaction)
                guard kind.verbs.contains(.delete) else {
                    throw Problem(.notFound, "\(kind.plural) cannot be deleted.")
                }
                if record.status != .deleting {
                    record = try changeable(kind, id, mutation, transaction)
                    try kind.behaviour.checkDeletion(record, transaction)
                    record = try remove(record, kind, transaction)
                }
                guard kind.isAsynchronous else {
                    return MutationOutcome(id: id, answer: MutationAnswer(code: 204, body: .null))
                }
                return MutationOutcome(id: id, answer: MutationAnswer(code: 202, body: rendered(record, kind)))
            }
        }
    }

    /// - Throws: `conflict` while another resource cannot be without this one.
    private func checkBindings(
        to record: ResourceRecord, _ kind: ResourceKind, _ transaction: any StoreTransaction
    ) throws {
        for other in kinds {
            for field in other.fields where field.isBinding {
                guard case .reference(kind.name) = field.kind,
                    let user = try transaction.firstUser(other, field: field.name, id: record.id)
                else { continue }
                throw Problem(
                    .conflict, "The \(kind.name) is still used by \(other.name) \(user).",
                    hint: "Delete what uses it first.")
            }
        }
    }

    /// Removes what is below, then the record itself. Answers it as it was last: `deleted`, or `deleting` when it or
    /// something below had to stay.
    private func remove(
        _ record: ResourceRecord, _ kind: ResourceKind, _ transaction: any StoreTransaction
    ) throws -> ResourceRecord {
        var isEmpty = true
        // A kind may refer to those that stand before it in the catalogue: what refers goes first.
        for below in kinds.reversed() where below.parent?.kind == kind.name {
            for child in try transaction.all(below.name, parentId: record.id) {
                if child.status == .deleting {
                    isEmpty = false
                } else if try remove(child, below, transaction).status == .deleting {
                    isEmpty = false
                }
            }
        }
        try checkBindings(to: record, kind, transaction)
        let mayGo = try kind.behaviour.willDelete(record, transaction)
        // The behaviour may have changed the record.
        var leaving = try transaction.get(kind.name, record.id) ?? record
        guard mayGo, isEmpty else {
            leaving.status = .deleting
            return try transaction.put(leaving)
        }
        leaving.status = .deleted
        try transaction.remove(kind.name, record.id)
        return leaving
    }

    /// Removes a record that had stayed as `deleting`, and each one above that only waited for it.
    public func finishDeletion(
        _ kindName: String, _ id: String, _ transaction: any ResourceTransaction
    ) throws {
        var next: (kind: String, id: String)? = (kindName, id)
        while let (name, id) = next {
            next = nil
            guard let kind = kindsByName[name], let record = try transaction.get(name, id) else { return }
            try transaction.remove(name, id)
            guard let parentKind = kind.parent?.kind, let parentId = record.parentId,
                let parent = try transaction.get(parentKind, parentId), parent.status == .deleting
            else { return }
            let hasMore = try kinds.contains { below in
                try below.parent?.kind == parentKind && !transaction.all(below.name, parentId: parentId).isEmpty
            }
            if !hasMore { next = (parentKind, parentId) }
        }
    }
}
