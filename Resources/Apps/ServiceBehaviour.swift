import Host
import Model
import ResourceKit

/// A service's life: each change of what runs is a deployment, with a snapshot of the fields that it was made from.
struct ServiceBehaviour: KindBehaviour {
    func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws {
        let name = draft.spec["name"]?.stringValue ?? ""
        let pair = try OpenSSHKeyPair.make(comment: "roost-\(name)", random: world.random)
        draft.state["deploy_key"] = .string(pair.publicLine)
        draft.state["deploy_key_private"] = .string(try world.secrets.seal(pair.privatePEM))
        draft.state["webhook_path"] = .string("/api/v1/hooks/\(draft.id)")
        draft.state["restart_generation"] = 0
    }

    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] {
        let secret = world.random.hex(24)
        record.state["webhook_secret"] = .string(try world.secrets.seal(secret))
        return ["webhook_secret": .string(secret)]
    }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        _ = try Deployments.start(of: record, commit: nil, reason: "created", by: "service", transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        let before = Deployments.snapshot(old.spec)
        let after = Deployments.snapshot(new.spec)
        guard before != after else { return try requireGeneration(of: new, transaction) }
        let isSameSource = before["git_url"] == after["git_url"] && before["git_ref"] == after["git_ref"]
        // The commit of the last attempt that got one: a change of settings must not move to newer code.
        let last = try old.state["deployment_id"]?.stringValue.flatMap { try transaction.get("deployment", $0) }
        let commit = isSameSource ? last?.state["commit"]?.stringValue : nil
        _ = try Deployments.start(of: new, commit: commit, reason: "changed settings", by: "service", transaction)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        for deployment in try transaction.all("deployment", parentId: record.id) {
            try transaction.remove("deployment", deployment.id)
        }
        if let stackId = record.parentId { try touchStack(stackId, transaction) }
        return true
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        switch action.name {
        case "restart":
            var record = record
            record.state["restart_generation"] = .int((record.state["restart_generation"]?.intValue ?? 0) + 1)
            let stored = try transaction.put(record)
            let commit = try record.state["deployment_id"]?.stringValue.flatMap {
                try transaction.get("deployment", $0)
            }?
            .state["commit"]?.stringValue
            _ = try Deployments.start(of: stored, commit: commit, reason: "restart", by: actor, transaction)
        case "deploy":
            return try Deployments.start(of: record, commit: nil, reason: "deploy", by: actor, transaction)
        case "retry":
            guard let last = try transaction.all("deployment", parentId: record.id).last, last.status == .failed else {
                return record
            }
            _ = try Deployments.start(
                of: record, commit: last.state["commit"]?.stringValue, reason: "retry", by: actor, transaction)
        default: throw Problem(.internalError, "service has no action \(action.name).")
        }
        return try transaction.get("service", record.id) ?? record
    }

    /// A change that needs no new instances (routes, checks): active again once every server has taken it.
    private func requireGeneration(of record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let stackId = record.parentId else { return }
        try touchStack(stackId, transaction)
        guard record.state["serving_deployment_id"]?.stringValue != nil else { return }
        var record = record
        record.status = .provisioning
        record.state["required_generation"] = try transaction.get("stack", stackId)?.state["version"]
        _ = try transaction.put(record)
    }
}
