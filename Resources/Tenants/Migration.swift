import Model
import ResourceKit
import Workflow

/// Moves a tenant to another shard of its cluster, and then its zones and names one by one. What goes wrong, or is
/// cancelled, brings it back to the shard that it was on.
enum Migration {
    static let workflow = "migrate-tenant"

    /// How often is looked whether what moved is in force.
    private static let lookPause: Duration = .seconds(2)
    /// How often before it is brought back: ten minutes.
    private static let looksMax = 300

    /// What a run is about.
    struct Input: Codable, WorkflowValue, Equatable {
        var tenantId: String
        var formerShardId: String
        var targetShardId: String
        /// Kinds of what moves along.
        var kinds: [String]

        enum CodingKeys: String, CodingKey {
            case tenantId = "tenant_id"
            case formerShardId = "former_shard_id"
            case targetShardId = "target_shard_id"
            case kinds
        }
    }

    /// Ids of what moves along, by kind.
    struct Followers: Codable, WorkflowValue, Equatable {
        var ids: [String: [String]]

        var all: [(kind: String, id: String)] {
            ids.sorted { $0.key > $1.key }.flatMap { kind, ids in ids.map { (kind, $0) } }
        }
    }

    static func isUnderWay(_ tenant: ResourceRecord) -> Bool { tenant.state["is_migrating"] == true }

    /// Puts the tenant on its new shard and starts the run, both or neither.
    /// - Throws: `conflict` while it is suspended, or being moved elsewhere.
    static func begin(
        _ tenant: ResourceRecord, to target: String, kinds: [String], _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard tenant.status != .suspended else {
            throw Problem(.conflict, "The tenant is suspended.", hint: "Unsuspend it first.")
        }
        let former = tenant.spec["shard_id"]?.stringValue ?? ""
        if isUnderWay(tenant) {
            if former == target { return tenant }
            throw Problem(
                .conflict, "The tenant is being moved already.", hint: "Wait for the run that moves it, or cancel it.")
        }
        let input = Input(tenantId: tenant.id, formerShardId: former, targetShardId: target, kinds: kinds)
        let runId = try transaction.startRun(of: workflow, input: try input.journaled())
        return try put(tenant, on: target, runId, transaction)
    }

    static let declaration = KindWorkflow(workflow) { desk in
        [
            WorkflowDefinition(workflow) { (context: WorkflowContext, input: Input) in
                // Undone last, when the tenant is where it was.
                try await context.onUndo("have its names looked at again") { _ in
                    try await desk.write { transaction in
                        for (kind, id) in try followers(input, transaction).all { try renew(kind, id, transaction) }
                    }
                }
                try await context.step(
                    "put it on the shard",
                    undo: { attempt in try await desk.write { try bringBack(input, attempt.runId, $0) } },
                    { attempt in try await desk.write { try takeOver(input, attempt.runId, $0) } })
                let found = try await context.step("check the target") { _ in
                    try await desk.read { transaction in
                        try requireTarget(input, transaction)
                        return try followers(input, transaction)
                    }
                }
                for (kind, id) in found.all {
                    try await context.step("move \(kind) \(id)") { _ in
                        try await desk.write { try renew(kind, id, $0) }
                    }
                }
                try await context.step(
                    "wait until all of it is in force",
                    retry: RetryPolicy(attemptsMax: looksMax, delay: lookPause, factor: 1, finalCodes: [])
                ) { _ in try await desk.read { try requireSettled(found, $0) } }
                try await context.step("let go of the former shard") { attempt in
                    try await desk.write { try release(input, attempt.runId, $0) }
                }
                return Nothing()
            }
        ]
    }

    // MARK: steps

    private static func put(
        _ tenant: ResourceRecord, on shardId: String, _ runId: String, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var tenant = tenant
        tenant.spec["shard_id"] = .string(shardId)
        tenant.state["run_id"] = .string(runId)
        tenant.state["is_migrating"] = true
        if tenant.status != .suspended {
            (tenant.status, tenant.statusMessage) = (.provisioning, "It is being moved to another shard.")
        }
        return try transaction.put(tenant)
    }

    /// The tenant, while there is one that is not on its way out.
    private static func tenant(_ input: Input, _ transaction: any ResourceTransaction) throws -> ResourceRecord? {
        guard let tenant = try transaction.get("tenant", input.tenantId), tenant.status != .deleting else { return nil }
        return tenant
    }

    private static func takeOver(_ input: Input, _ runId: String, _ transaction: any ResourceTransaction) throws {
        guard let tenant = try tenant(input, transaction) else { return }
        guard !isUnderWay(tenant) || tenant.state["run_id"] == .string(runId) else {
            throw Problem(.conflict, "Another run moves the tenant.")
        }
        _ = try put(tenant, on: input.targetShardId, runId, transaction)
    }

    /// Brings it back to where it was, unless another run has taken it over.
    private static func bringBack(_ input: Input, _ runId: String, _ transaction: any ResourceTransaction) throws {
        guard var tenant = try tenant(input, transaction), isUnderWay(tenant), tenant.state["run_id"] == .string(runId)
        else { return }
        tenant.state["is_migrating"] = nil
        let former = try transaction.get("shard", input.formerShardId)
        let isThere = former.map { $0.status != .deleting } ?? false
        if isThere { tenant.spec["shard_id"] = .string(input.formerShardId) }
        if tenant.status != .suspended {
            tenant.status = isThere ? .active : .failed
            tenant.statusMessage =
                isThere
                ? "It was not moved, and is on its former shard; the run \(runId) says why."
                : "It could not be moved, nor brought back: its former shard is gone. Move it to another one."
        }
        _ = try transaction.put(tenant)
    }

    private static func requireTarget(_ input: Input, _ transaction: any ResourceTransaction) throws {
        guard try tenant(input, transaction) != nil else { return }
        let shard = try transaction.get("shard", input.targetShardId)
        guard let shard, shard.status != .deleting, shard.spec["role"] == .string(ServerRole.web.rawValue) else {
            throw Problem(.conflict, "The shard that the tenant was to move to cannot take it.")
        }
    }

    /// What was in force and is to be made anew for the new place.
    private static func followers(_ input: Input, _ transaction: any ResourceTransaction) throws -> Followers {
        guard !input.kinds.isEmpty else { return Followers(ids: [:]) }
        let all = try transaction.all(ofTenant: input.tenantId, status: .active)
        let moving = Dictionary(grouping: all.filter { input.kinds.contains($0.kind) }, by: \.kind)
        return Followers(ids: moving.mapValues { $0.map(\.id) })
    }

    private static func renew(_ kind: String, _ id: String, _ transaction: any ResourceTransaction) throws {
        guard var record = try transaction.get(kind, id), record.status == .active else { return }
        (record.status, record.statusMessage) = (.provisioning, nil)
        _ = try transaction.put(record)
    }

    /// - Throws: `unavailable` with what is not in force yet.
    private static func requireSettled(_ found: Followers, _ transaction: any ResourceTransaction) throws {
        for (kind, id) in found.all {
            guard let record = try transaction.get(kind, id) else { continue }
            let why = record.statusMessage.map { ": \($0)" } ?? "."
            switch record.status {
            case .pending, .provisioning: throw Problem(.unavailable, "Its \(kind) \(id) is not in force yet\(why)")
            case .failed: throw Problem(.unavailable, "Its \(kind) \(id) failed\(why)")
            default: continue
            }
        }
    }

    private static func release(_ input: Input, _ runId: String, _ transaction: any ResourceTransaction) throws {
        guard var tenant = try tenant(input, transaction), isUnderWay(tenant), tenant.state["run_id"] == .string(runId)
        else { return }
        tenant.state["is_migrating"] = nil
        if tenant.status == .provisioning { (tenant.status, tenant.statusMessage) = (.active, nil) }
        _ = try transaction.put(tenant)
    }
}
