import HubStore
public import Model
public import ResourceKit

extension ResourceKind {
    /// The declared actions, and `retry` for every asynchronous kind.
    public var allActions: [ResourceAction] {
        guard isAsynchronous, !actions.contains(where: { $0.name == "retry" }) else { return actions }
        return actions + [ResourceAction("retry", "Run failed provisioning again; harmless on a healthy resource.")]
    }
}

extension Hub {
    /// Runs an action of a resource.
    ///
    /// - Returns: 202 for an asynchronous kind, 200 for another, with the resource that the action answers; 200 with a
    ///   plan.
    /// - Throws: `forbidden`, `not_found`, `invalid`, `conflict`, `stale`, `storage_failed`.
    public func perform(
        _ action: ResourceAction, on kind: ResourceKind, id: String, body: JSONValue = .null,
        options: MutationOptions = .init(), as principal: Principal
    ) async throws -> MutationAnswer {
        let mutation = Mutation(
            kind: kind, action: action.name, id: id, body: body, fields: action.fields, options: options,
            principal: principal)
        if kind.name == "service", action.name == "deploy", !options.isPlan {
            return try await performDeploy(mutation, id)
        }
        return try await mutate(mutation) {
            let arguments = try Self.arguments(body, action)
            if kind.name == "service", action.name == "deploy" {
                return try await plannedDeploy(serviceId: id, by: principal.name)
            }
            return { [self] transaction in
                let record = try changeable(kind, id, mutation, transaction)
                // Whoever may not give such rights may not take over what has them either.
                try checkGrant(kind, record.spec, principal)
                return try acted(action, arguments, kind, record, principal, transaction)
            }
        }
    }

    private static func arguments(_ body: JSONValue, _ action: ResourceAction) throws -> [String: JSONValue] {
        guard let members = body.isNull ? [:] : body.objectValue else {
            throw Problem(.invalid, "The body must be a JSON object, not \(body.typeName).")
        }
        var flaws = FieldFlaws()
        action.fields.check(members, into: &flaws)
        if let problem = flaws.problem { throw problem }
        return action.fields.withDefaults(members.filter { !$0.value.isNull })
    }

    private func acted(
        _ action: ResourceAction, _ arguments: [String: JSONValue], _ kind: ResourceKind, _ record: ResourceRecord,
        _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws -> MutationOutcome {
        let code = kind.isAsynchronous ? 202 : 200
        // Actions that make a secret anew show it once, as a creation does.
        if action.name.hasPrefix("rotate-") {
            var record = record
            let shown = try kind.behaviour.revealOnce(&record, world)
            var answer = rendered(try transaction.put(record), kind)
            for (name, value) in shown { answer[name] = value }
            return MutationOutcome(id: record.id, answer: MutationAnswer(code: code, body: answer))
        }
        let isDeclared = kind.actions.contains { $0.name == action.name }
        let result: ResourceRecord
        switch action.effect {
        case .retryFailedOfTenant:
            try retryFailed(ofTenant: record.id, principal, transaction)
            result = try retried(record, kind, transaction)
        case .behaviour:
            result =
                isDeclared
                ? try kind.behaviour.perform(action, arguments, on: record, by: principal.name, transaction)
                : try retried(record, kind, transaction)
        }
        let answerKind = kindsByName[result.kind] ?? kind
        let stored = try transaction.get(result.kind, result.id) ?? result
        return MutationOutcome(id: record.id, answer: MutationAnswer(code: code, body: rendered(stored, answerKind)))
    }

    /// The retry of a kind that declares none of its own: back to provisioning, where a worker finds it.
    private func retried(
        _ record: ResourceRecord, _ kind: ResourceKind, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let isHealthy = record.status == .active
        guard try record.status == .failed || (isHealthy && kind.behaviour.comesBack(record, transaction)) else {
            return record
        }
        var record = record
        record.status = .provisioning
        record.statusMessage = nil
        return try transaction.put(record)
    }

    /// Tries again whatever of a tenant failed, each kind in its own way.
    private func retryFailed(
        ofTenant id: String, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws {
        let tenant = try transaction.get("tenant", id).map { [$0] } ?? []
        let failed = tenant.filter { $0.status == .failed } + (try transaction.all(ofTenant: id, status: .failed))
        for record in failed {
            guard let kind = kindsByName[record.kind], kind.isAsynchronous else { continue }
            if let own = kind.actions.first(where: { $0.name == "retry" }) {
                _ = try kind.behaviour.perform(own, [:], on: record, by: principal.name, transaction)
            } else {
                _ = try retried(record, kind, transaction)
            }
        }
    }

    /// A deploy asks the repository first, so it is no single transaction.
    private func performDeploy(_ mutation: Mutation, _ id: String) async throws -> MutationAnswer {
        try await mutateOutside(mutation) {
            _ = try Self.arguments(
                mutation.body, mutation.kind.actions.first { $0.name == "deploy" } ?? .init("deploy", ""))
            return try await deploy(serviceId: id, by: mutation.principal.name, expectedCommit: nil)
        }
    }
}
