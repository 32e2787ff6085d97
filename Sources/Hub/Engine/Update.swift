import HubStore
public import Model
public import ResourceKit

extension Hub {
    /// Changes the fields that the body names; `null` puts the default back.
    ///
    /// - Returns: 202 for an asynchronous kind, 200 for another, with the new values; 200 with a plan.
    /// - Throws: `forbidden`, `not_found`, `invalid`, `conflict`, `stale`, `storage_failed`.
    public func update(
        _ kind: ResourceKind, id: String, body: JSONValue, options: MutationOptions = .init(), as principal: Principal
    ) async throws -> MutationAnswer {
        var options = options
        let body = try Self.takeCallback(body, kind, &options)
        let mutation = Mutation(
            kind: kind, action: "update", id: id, body: body, fields: kind.fields + Self.placeField(kind),
            options: options, principal: principal)
        return try await mutate(mutation) { try await changing(mutation, id) }
    }

    private func changing(
        _ mutation: Mutation, _ id: String
    ) async throws -> @Sendable (RecordingTransaction) throws -> MutationOutcome {
        let (kind, principal) = (mutation.kind, mutation.principal)
        let old = try await store.read { [self] in try visible(kind, id, principal, $0) }
        guard kind.verbs.contains(.update) else { throw Problem(.notFound, "\(kind.plural) cannot be changed.") }
        try principal.requireFields(mutation.body, of: kind, now: old.spec)
        let (body, destination) = try Self.splitPlace(mutation.body, of: old, kind)
        let spec = try changedSpec(body, of: old, kind)
        try checkGrant(kind, spec, principal)
        try checkScopes(kind, spec, known: old.spec)
        try await kind.behaviour.prepareUpdate(spec, of: old, world)
        let sealedSpec = try await sealed(spec, kind, unless: old.spec)
        let names = Set(body.objectValue.map { Array($0.keys) } ?? [])
        return { [self] transaction in
            var record = try changeable(kind, id, mutation, transaction)
            let before = record
            // Only what was named is replaced: another update may have changed other fields since they were read.
            for name in names { record.spec[name] = sealedSpec[name] }
            try checkReferences(record.spec, kind, names: names, principal, transaction)
            var flaws = FieldFlaws()
            kind.validate(record.spec, &flaws)
            if let problem = flaws.problem { throw problem }
            if let destination { try place(&record, destination, kind, principal, transaction) }
            if record.spec != before.spec || record.parentId != before.parentId {
                if kind.isAsynchronous, record.status != .suspended {
                    record.status = .provisioning
                    record.statusMessage = nil
                }
                if kind.fields.contains(where: { $0.name == "brand_id" }), names.contains("brand_id") {
                    record.brandId = try brand(of: record.spec, kind, id: id, parent: nil, principal)
                }
                try kind.behaviour.didUpdate(from: before, to: try transaction.put(record), transaction)
            } else if kind.isAsynchronous, record.status == .active,
                try kind.behaviour.comesBack(record, transaction)
            {
                // A 202 promises that the status moves, also where all values are as they were.
                record.status = .provisioning
                _ = try transaction.put(record)
            }
            let stored = try transaction.get(kind.name, id) ?? record
            return MutationOutcome(
                id: id,
                answer: MutationAnswer(code: kind.isAsynchronous ? 202 : 200, body: rendered(stored, kind)))
        }
    }

    /// The record as it is now, if the caller may change it.
    func changeable(
        _ kind: ResourceKind, _ id: String, _ mutation: Mutation, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let record = try visible(kind, id, mutation.principal, transaction)
        if let version = mutation.options.ifMatch, version != record.version {
            throw Problem(
                .stale,
                "The \(kind.name) was changed by someone else: it has revision \(record.version), not \(version).",
                hint: "Read it again and repeat the change.")
        }
        guard record.status != .deleting else { throw Problem(.conflict, "The \(kind.name) is being deleted.") }
        return record
    }
}
