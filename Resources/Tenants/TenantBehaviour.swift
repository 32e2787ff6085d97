import Model
import ResourceKit

struct TenantBehaviour: KindBehaviour {
    var settles: Bool { true }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        var flaws = FieldFlaws()
        let clusterId = record.spec["cluster_id"]?.stringValue ?? ""
        let cluster = try transaction.get("cluster", clusterId)
        if cluster?.parentId != record.spec["region_id"]?.stringValue {
            flaws.add("cluster_id", "is not a cluster of the region")
        }
        if let flaw = try shardFlaw(record.spec["shard_id"]?.stringValue ?? "", clusterId, transaction) {
            flaws.add("shard_id", flaw)
        }
        let brand = try record.brandId.flatMap { try transaction.get("brand", $0) }
        let allowed = brand?.state["cluster_ids"]?.arrayValue ?? []
        if !allowed.isEmpty, !allowed.contains(.string(clusterId)) {
            flaws.add("cluster_id", "is not a cluster that the brand may use")
        }
        if let problem = flaws.problem { throw problem }
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        // What was never active is not made anew, but still to be made: nobody can log in as it yet.
        guard old.status == .pending else { return }
        var record = new
        record.status = .pending
        _ = try transaction.put(record)
    }

    private func shardFlaw(
        _ id: String, _ clusterId: String, _ transaction: any ResourceTransaction
    ) throws -> String? {
        guard let shard = try transaction.get("shard", id), shard.status != .deleting else {
            return "is not the id of a shard"
        }
        if shard.parentId != clusterId { return "is not a shard of the cluster" }
        return shard.spec["role"] == "web" ? nil : "must be a shard of the role web"
    }

    /// No server does anything for a tenant by itself, so there is nothing to wait for but the run that moves it; what
    /// is below it has a status of its own.
    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? {
        Migration.isUnderWay(record) ? nil : .active(nil)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var record = record
        switch action.name {
        case "suspend":
            if record.status != .suspended { record.state["suspended_at"] = .string(transaction.now.rfc3339) }
            record.status = .suspended
            // Whoever suspends it once more without a reason has nothing against the one that is there.
            if let reason = arguments["reason"] { record.state["suspend_reason"] = reason }
            record.statusMessage = record.state["suspend_reason"]?.stringValue
        case "unsuspend":
            guard record.status == .suspended else { return record }
            record.status = .provisioning
            record.statusMessage = nil
            record.state["suspend_reason"] = nil
            record.state["suspended_at"] = nil
        default:
            let target = arguments["target_shard_id"]?.stringValue ?? ""
            let flaw = try shardFlaw(target, record.spec["cluster_id"]?.stringValue ?? "", transaction)
            if let flaw { throw Problem.invalid("target_shard_id", flaw) }
            let kinds = [("migrate_zones", "zone"), ("migrate_fqdns", "fqdn")].filter { arguments[$0.0] == true }
            return try Migration.begin(record, to: target, kinds: kinds.map(\.1), transaction)
        }
        return try transaction.put(record)
    }

    func view(
        _ name: String, of record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> JSONValue {
        guard name == "resource-summary" else {
            return try usage(of: record, transaction)
        }
        var totals: [String: Int] = [:]
        var kinds: [String: JSONValue] = [:]
        for (kind, statuses) in try transaction.counts(ofTenant: record.id) {
            var members = statuses.mapValues { JSONValue.int(Int64($0)) }
            members["total"] = .int(Int64(statuses.values.reduce(0, +)))
            kinds[kind] = .object(members)
            totals.merge(statuses, uniquingKeysWith: +)
        }
        var result: [String: JSONValue] = ["tenant_id": .string(record.id), "kinds": .object(kinds)]
        for status in ResourceStatus.allCases where status != .deleted {
            result[status.rawValue] = .int(Int64(totals[status.rawValue] ?? 0))
        }
        result["total"] = .int(Int64(totals.values.reduce(0, +)))
        return .object(result)
    }

    /// What is there is counted now; what only a server can measure is null until one does.
    private func usage(
        of record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> JSONValue {
        let counts = try transaction.counts(ofTenant: record.id).mapValues { statuses in
            // What is on its way out is no longer used.
            JSONValue.int(Int64(statuses.filter { $0.key != ResourceStatus.deleting.rawValue }.values.reduce(0, +)))
        }
        return [
            "tenant_id": .string(record.id), "disk_quota_bytes": .int(record.spec["disk_quota_bytes"]?.intValue ?? 0),
            "disk_used_bytes": .null, "measured_at": .null, "counts": .object(counts),
            "counted_at": .string(transaction.now.rfc3339),
        ]
    }
}
