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
        try Sites.requireNoSite(record, transaction)
        guard record.spec["git_url"]?.stringValue != nil else { return try waitForUpload(record, transaction) }
        _ = try Deployments.start(of: record, nil, reason: "created", by: "service", transaction)
    }

    private func waitForUpload(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        var record = record
        record.status = .pending
        let name = record.spec["name"]?.stringValue ?? record.id
        record.statusMessage = "Waiting for its first upload: roost upload \(name) FOLDER."
        _ = try transaction.put(record)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        if old.spec["hostnames"] != new.spec["hostnames"] { try Sites.requireNoSite(new, transaction) }
        let before = Deployments.snapshot(old.spec)
        let after = Deployments.snapshot(new.spec)
        guard before != after else { return try requireGeneration(of: new, transaction) }
        let isSameSource = before["git_url"] == after["git_url"] && before["git_ref"] == after["git_ref"]
        // The source of the last attempt that got one: a change of settings must not move to newer code.
        let last = try lastSource(of: old, transaction)
        let hasRepository = new.spec["git_url"]?.stringValue != nil
        if !hasRepository, last == nil { return try waitForUpload(new, transaction) }
        _ = try Deployments.start(
            of: new, isSameSource || !hasRepository ? last : nil, reason: "changed settings", by: "service", transaction
        )
    }

    private func lastSource(
        of service: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> DeploymentSource? {
        try service.state["deployment_id"]?.stringValue.flatMap { try transaction.get("deployment", $0) }
            .flatMap { DeploymentSource(of: $0) }
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        try Sites.requireNoneOn(record, transaction)
        try Self.leaveStack(record, transaction)
        if let id = record.state["preview_id"]?.stringValue { try transaction.remove("preview", id) }
        if let id = record.state["canary_id"]?.stringValue { try transaction.remove("canary", id) }
        return true
    }

    /// Takes a service that is about to be removed out of what the servers run.
    static func leaveStack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        for deployment in try transaction.all("deployment", parentId: record.id) {
            try transaction.remove("deployment", deployment.id)
        }
        if let stackId = record.parentId { try touchStack(stackId, transaction) }
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
            let source = try lastSource(of: record, transaction)
            if source == nil, record.spec["git_url"]?.stringValue == nil { return stored }
            _ = try Deployments.start(of: stored, source, reason: "restart", by: actor, transaction)
        case "deploy":
            return try Deployments.start(of: record, nil, reason: "deploy", by: actor, transaction)
        case "retry":
            guard let last = try transaction.all("deployment", parentId: record.id).last, last.status == .failed else {
                if record.status == .active { try requireGeneration(of: record, transaction) }
                break
            }
            _ = try Deployments.start(
                of: record, DeploymentSource(of: last), reason: "retry", by: actor, transaction)
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
