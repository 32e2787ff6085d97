import AgentProtocol
import Host
import HubStore
import Logging
public import Model
public import ResourceKit

/// One mutation on its way through the rules: who wants what, with which body.
struct Mutation: Sendable {
    var kind: ResourceKind
    /// `create`, `update`, `delete`, or the name of an action; for the audit log.
    var action: String
    var id: String?
    var parentId: String?
    var body: JSONValue
    /// What the body may hold; for its redaction.
    var fields: [Field]
    var options: MutationOptions
    var principal: Principal
    /// Decides whether the caller may do this, where it is no change of a resource of its kind.
    var admission: (@Sendable () async throws -> Void)?

    /// What an idempotency key belongs to.
    var requestHash: String {
        let text: JSONValue = [
            .string(kind.name), .string(action), id.map { .string($0) } ?? .null, parentId.map { .string($0) } ?? .null,
            body, options.callbackURL.map { .string($0) } ?? .null,
        ]
        return sha256Hex(text.canonicalBytes)
    }

    func audit(outcome: String, id: String?, at time: Timestamp) -> AuditEntry {
        AuditEntry(
            time: time, actor: principal.name, actorId: principal.id, action: action, resourceKind: kind.name,
            resourceId: id ?? self.id, address: principal.address, outcome: outcome,
            body: AuditBody.redacted(body, fields))
    }
}

/// What a transaction of a mutation answers with.
struct MutationOutcome: Sendable {
    var id: String
    var answer: MutationAnswer
}

/// Carries a plan out of a transaction that is rolled back.
private struct PlanResult: Error {
    var changes: JSONValue
    var nodes: JSONValue
}

extension Hub {
    /// How long an idempotency key answers alike.
    static let idempotencyWindow: Duration = .seconds(86_400)

    /// Runs a mutation: decides whether the caller may, replays a known idempotency key, audits, plans or commits, and
    /// publishes.
    ///
    /// - Parameter run: checks and prepares, and returns the transaction's body.
    func mutate(
        _ mutation: Mutation,
        _ run: () async throws -> @Sendable (RecordingTransaction) throws -> MutationOutcome
    ) async throws -> MutationAnswer {
        do {
            try await admit(mutation)
            if let known = try await storedAnswer(to: mutation) { return known }
            let body = try await run()
            if let url = mutation.options.callbackURL, let flaw = Self.callbackFlaw(url) ?? world.callbacks.flaw(url) {
                throw Problem.invalid("callback_url", flaw)
            }
            return mutation.options.isPlan ? try await plan(body) : try await commit(mutation, body)
        } catch {
            let problem = Problem(wrapping: error, doing: "The request")
            await auditRefusal(mutation, problem)
            throw problem
        }
    }

    /// Like ``mutate(_:_:)`` for a mutation that commits by itself; its answer is kept and audited afterwards.
    func mutateOutside(
        _ mutation: Mutation, _ run: () async throws -> MutationAnswer
    ) async throws -> MutationAnswer {
        do {
            try await admit(mutation)
            if let known = try await storedAnswer(to: mutation) { return known }
            let answer = try await run()
            let secrets = world.secrets
            try await store.write { transaction in
                try transaction.appendAudit(mutation.audit(outcome: "ok", id: mutation.id, at: transaction.now))
                try Self.store(answer, to: mutation, id: mutation.id, transaction, secrets)
            }
            return answer
        } catch {
            let problem = Problem(wrapping: error, doing: "The request")
            await auditRefusal(mutation, problem)
            throw problem
        }
    }

    /// Before anything else: an answer that is kept is nobody's but theirs who still may ask for it.
    private func admit(_ mutation: Mutation) async throws {
        if let admission = mutation.admission { return try await admission() }
        let (kind, principal) = (mutation.kind, mutation.principal)
        let scope = mutation.action == "delete" ? "delete" : "write"
        try await admit(kind, scope, id: mutation.id, parentId: mutation.parentId, as: principal)
        try Self.requireBrand(named: mutation.body, kind, principal)
    }

    private func commit(
        _ mutation: Mutation, _ body: @escaping @Sendable (RecordingTransaction) throws -> MutationOutcome
    ) async throws -> MutationAnswer {
        let secrets = world.secrets
        return try await writeRecording { transaction in
            // Two equal requests at once: the one that comes second sees the first's answer here.
            if let known = try Self.storedAnswer(to: mutation, transaction, secrets) { return known }
            let outcome = try body(transaction)
            try transaction.appendAudit(mutation.audit(outcome: "ok", id: outcome.id, at: transaction.now))
            try self.noteCallback(mutation, id: outcome.id, transaction)
            try Self.store(outcome.answer, to: mutation, id: outcome.id, transaction, secrets)
            return outcome.answer
        }
    }

    private func writeRecording<Result: Sendable>(
        _ body: @escaping @Sendable (RecordingTransaction) throws -> Result
    ) async throws -> Result {
        let (result, published) = try await store.write { transaction in
            let recording = RecordingTransaction(transaction)
            let result = try body(recording)
            try transaction.announce(recording.published)
            return (result, recording.published)
        }
        changes.publish(published)
        return result
    }

    /// Runs the transaction, looks at what it did, and rolls it back.
    private func plan(
        _ body: @escaping @Sendable (RecordingTransaction) throws -> MutationOutcome
    ) async throws -> MutationAnswer {
        do {
            try await store.write { [self] transaction in
                let recording = RecordingTransaction(transaction, keepsImages: true)
                _ = try body(recording)
                try NamePlan(transaction: recording).derive()
                let nodes = try NodePlan(images: recording.images, transaction: transaction).entries()
                throw PlanResult(changes: .array(recording.images.compactMap(planned)), nodes: .array(nodes))
            }
            throw Problem(.internalError, "A plan was committed.")
        } catch let result as PlanResult {
            return MutationAnswer(code: 200, body: ["plan": result.changes, "nodes": result.nodes])
        }
    }

    /// Notes a mutation that was refused before the hub saw it, e.g. because its body cannot be read.
    public func auditRefusal(
        _ kind: ResourceKind, _ action: String, id: String?, _ problem: Problem, as principal: Principal
    ) async {
        let mutation = Mutation(
            kind: kind, action: action, id: id, body: .null, fields: [], options: .init(), principal: principal)
        await auditRefusal(mutation, problem)
    }

    private func auditRefusal(_ mutation: Mutation, _ problem: Problem) async {
        guard !mutation.options.isPlan, problem.code != .storage else { return }
        do {
            try await store.write { transaction in
                try transaction.appendAudit(
                    mutation.audit(outcome: problem.code.rawValue, id: nil, at: transaction.now))
            }
        } catch {
            // The caller must still hear why its request was refused; that the note failed goes to the log.
            logger.error("A refused request could not be noted in the audit log.", metadata: ["error": "\(error)"])
        }
    }
}

// MARK: - Idempotency keys

extension Hub {
    private static func cellKey(_ mutation: Mutation) throws -> String? {
        guard let key = mutation.options.idempotencyKey else { return nil }
        guard (1...255).contains(key.utf8.count), key.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
            throw Problem(.invalid, "Idempotency-Key must be 1 to 255 printable characters of ASCII without spaces.")
        }
        guard !mutation.options.isPlan else { return nil }
        return sha256Hex(Array("\(mutation.principal.identity)\n\(key)".utf8))
    }

    private func storedAnswer(to mutation: Mutation) async throws -> MutationAnswer? {
        guard try Self.cellKey(mutation) != nil else { return nil }
        let secrets = world.secrets
        return try await store.read { try Self.storedAnswer(to: mutation, $0, secrets) }
    }

    private static func storedAnswer(
        to mutation: Mutation, _ transaction: any StoreTransaction, _ secrets: any SecretBox
    ) throws -> MutationAnswer? {
        guard let key = try cellKey(mutation), let cell = try transaction.cell("idempotency", key) else { return nil }
        guard cell["request"]?.stringValue == mutation.requestHash else {
            throw Problem(.conflict, "This Idempotency-Key was used with another request.", hint: "Use a new key.")
        }
        // The caller may have been given other brands since.
        guard mutation.principal.sees(brand: cell["brand"]?.stringValue) else { throw foreignBrand }
        guard let code = cell["code"]?.intValue, let sealed = cell["body"]?.stringValue else { return nil }
        return MutationAnswer(code: Int(code), body: try JSONParser.parse(try secrets.open(sealed)))
    }

    /// Keeps an answer; sealed, because it may show a secret.
    private static func store(
        _ answer: MutationAnswer, to mutation: Mutation, id: String?, _ transaction: any StoreTransaction,
        _ secrets: any SecretBox
    ) throws {
        guard let key = try cellKey(mutation) else { return }
        let brand = try id.flatMap { try transaction.get(mutation.kind.name, $0) }?.brandId
        let cell: JSONValue = [
            "brand": brand.map(JSONValue.string) ?? .null,
            "request": .string(mutation.requestHash), "code": .int(Int64(answer.code)),
            "body": .string(try secrets.seal(answer.body.canonicalText)),
        ]
        try transaction.putCell("idempotency", key, cell, expires: transaction.now.advanced(by: idempotencyWindow))
    }
}

// MARK: - Plans

extension Hub {
    /// One line of a plan; nil when nothing that a person can see changes.
    private func planned(_ image: RecordingTransaction.Image) -> JSONValue? {
        guard let kind = kindsByName[image.kind] else { return nil }
        let change: String
        switch (image.before, image.after) {
        case (nil, nil): return nil
        case (nil, .some): change = "create"
        case (.some, nil): change = "delete"
        case (.some(let before), .some(let after)):
            let isLeaving = after.status == .deleting && before.status != .deleting
            change = isLeaving ? "delete" : "update"
        }
        let before = image.before.map { visibleMembers($0, kind) } ?? [:]
        let after = image.after.map { visibleMembers($0, kind) } ?? [:]
        var fields: [String: JSONValue] = [:]
        for name in Set(before.keys).union(after.keys) where before[name] != after[name] {
            fields[name] = ["from": before[name] ?? .null, "to": after[name] ?? .null]
        }
        for field in kind.fields where image.before?.spec[field.name] != image.after?.spec[field.name] {
            if fields[field.name] == nil, image.before?.spec[field.name] != nil || field.isSecret {
                fields[field.name] = ["from": "[redacted]", "to": "[redacted]"]
            }
        }
        guard change != "update" || !fields.isEmpty else { return nil }
        return [
            "change": .string(change), "kind": .string(kind.name), "id": .string(image.id), "fields": .object(fields),
        ]
    }

    /// Rendered members that have a value and are not bookkeeping.
    private func visibleMembers(_ record: ResourceRecord, _ kind: ResourceKind) -> [String: JSONValue] {
        let hidden: Set<String> = ["id", "revision", "created_at", "updated_at"]
        return (rendered(record, kind).objectValue ?? [:]).filter { !hidden.contains($0.key) && !$0.value.isNull }
    }
}
