import HubStore
import Model
import ResourceKit

/// A change of something that is no resource of the catalogue, such as a key of the OpenID provider. Like any other it
/// is planned, audited, and answered alike for an idempotency key.
struct UnlistedChange: Sendable {
    /// What it is about, and what is done to it; for the audit log.
    var subject: String
    var action: String
    var id: String?
    /// What a plan says: `create` or `update`, and of what.
    var change: String
    var changed: String
    var options: MutationOptions
    var principal: Principal
    /// Decides whether the caller may.
    var admit: @Sendable () async throws -> Void

    fileprivate var mutation: Mutation {
        let kind = ResourceKind(
            name: subject, plural: "\(subject)s", summary: "", isAsynchronous: false, verbs: [], fields: [])
        return Mutation(
            kind: kind, action: action, id: id, body: .null, fields: [], options: options, principal: principal,
            admission: admit)
    }

    fileprivate func plan(_ id: String?) -> MutationAnswer {
        let line: JSONValue = [
            "change": .string(change), "kind": .string(changed), "id": .string(id ?? ""), "fields": [:],
        ]
        return MutationAnswer(code: 200, body: ["plan": id == nil ? [] : [line], "nodes": []])
    }
}

extension Hub {
    /// Makes a change in one transaction, or runs that and rolls it back for a plan.
    func make(
        _ change: UnlistedChange, code: Int,
        _ body: @escaping @Sendable (any StoreTransaction) throws -> (id: String, answer: JSONValue)
    ) async throws -> MutationAnswer {
        let answer = try await mutate(change.mutation) {
            { transaction in
                let (id, answer) = try body(transaction)
                return MutationOutcome(id: id, answer: MutationAnswer(code: code, body: answer))
            }
        }
        return change.options.isPlan ? change.plan(change.id ?? "") : answer
    }

    /// Makes a change that commits by itself.
    /// - Parameters:
    ///   - foresee: whether it would change anything; throws what making it would throw.
    ///   - body: makes it.
    func make(
        _ change: UnlistedChange, foresee: () async throws -> Bool, _ body: () async throws -> MutationAnswer
    ) async throws -> MutationAnswer {
        guard change.options.isPlan else { return try await mutateOutside(change.mutation, body) }
        try await change.admit()
        return change.plan(try await foresee() ? change.id : nil)
    }
}
