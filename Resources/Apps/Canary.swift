import Host
import Model
public import ResourceKit

/// Another commit of a service that gets a share of its requests, until it is promoted or removed.
public let canaryKind = ResourceKind(
    name: "canary", plural: "canaries", summary: "Another commit of a service, tried with a share of its requests.",
    identity: .uuid, parent: .init(kind: "service", field: "service_id"), isAsynchronous: true,
    fields: [
        Field(
            "git_ref", .string(check: Names.gitRefFlaw), "Branch, tag or commit to try.", required: true,
            immutable: true, example: "next"),
        Field("percent", .integer(1...99), "Its share of the service's requests.", default: 10),
    ],
    reported: [
        Field("name", .line, "Name of the service that runs it."),
        Field("canary_service_id", .reference("service"), "The service that runs it."),
        Field("commit", .line, "The commit that was last observed to serve."),
        Field("promoted_deployment_id", .reference("deployment"), "The service's deployment of its commit."),
    ],
    claims: { ["canary/\($0.parentId ?? "")"] },
    actions: [
        ResourceAction("promote", "Deploy its commit to the service, and remove it once the service serves that.")
    ],
    columns: ["name", "git_ref", "percent", "commit"], searched: ["name", "git_ref"], behaviour: CanaryBehaviour())

struct CanaryBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let origin = try record.parentId.flatMap({ try transaction.get("service", $0) }) else { return }
        let service = try Canaries.service(for: record, from: origin, transaction)
        var canary = record
        canary.state["name"] = service.spec["name"]
        canary.state["canary_service_id"] = .string(service.id)
        canary.status = .provisioning
        _ = try transaction.put(canary)
        _ = try Deployments.start(of: try transaction.put(service), nil, reason: "canary", by: "canary", transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard old.spec["percent"] != new.spec["percent"], var service = try Canaries.service(of: new, transaction),
            let stackId = service.parentId
        else { return }
        service.state["canary_percent"] = new.spec["percent"]
        _ = try transaction.put(service)
        try touchStack(stackId, transaction)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        guard let service = try Canaries.service(of: record, transaction) else { return true }
        try ServiceBehaviour.leaveStack(service, transaction)
        try transaction.remove("service", service.id)
        return true
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard action.name == "promote" else { return record }
        guard let service = try Canaries.service(of: record, transaction), service.status == .active,
            let commit = service.state["commit"]?.stringValue,
            let origin = try record.parentId.flatMap({ try transaction.get("service", $0) })
        else {
            throw Problem(
                .conflict, "The canary does not serve, so there is nothing to promote.",
                hint: "Its status says why: roost canary show.")
        }
        let deployment = try Deployments.start(
            of: origin, .commit(commit), reason: "canary", by: actor, transaction)
        var canary = record
        canary.state["promoted_deployment_id"] = .string(deployment.id)
        canary.state["promotion_failure"] = nil
        canary.status = .provisioning
        canary.statusMessage = "The service is being brought to commit \(commit.prefix(12))."
        return try transaction.put(canary)
    }
}

/// Rules of canaries.
public enum Canaries {
    static func service(of canary: ResourceRecord, _ transaction: any ResourceTransaction) throws -> ResourceRecord? {
        try canary.state["canary_service_id"]?.stringValue.flatMap { try transaction.get("service", $0) }
    }

    /// The service that runs a canary: its origin's settings and credentials, with another reference and no routes.
    static func service(
        for canary: ResourceRecord, from origin: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        try requireOrigin(origin)
        var spec = origin.spec
        spec["name"] = .string(name(origin.spec["name"]?.stringValue ?? ""))
        spec["git_ref"] = canary.spec["git_ref"]
        spec["hostnames"] = []
        spec["path"] = nil
        spec["auto_deploy"] = false
        spec["auto_preview"] = false
        // Nobody asks for it by itself, so nobody would wake it.
        spec["idle_timeout"] = nil
        spec["instances"] = .int(instances(origin.spec["instances"]?.intValue ?? 1, canary.spec["percent"]?.intValue))
        // Two processes cannot have one port of the server; that of a container is inside of it.
        if spec["kind"] != "container" { spec["port"] = nil }
        var state = origin.state.filter {
            ["deploy_key", "deploy_key_private", "webhook_secret"].contains($0.key)
        }
        let id = transaction.random.uuid()
        state["webhook_path"] = .string("/api/v1/hooks/\(id)")
        state["restart_generation"] = 0
        state["canary_id"] = .string(canary.id)
        state["canary_of"] = .string(origin.id)
        state["canary_percent"] = canary.spec["percent"]
        return ResourceRecord(
            kind: "service", id: id, parentId: origin.parentId, brandId: origin.brandId, tenantId: origin.tenantId,
            status: .pending, spec: spec, state: state, createdAt: transaction.now, updatedAt: transaction.now)
    }

    private static func requireOrigin(_ origin: ResourceRecord) throws {
        guard origin.spec["git_url"]?.stringValue != nil else {
            throw Problem(.conflict, "The service has no repository, so there is no other commit to try.")
        }
        guard ["process", "container"].contains(origin.spec["kind"]?.stringValue ?? "process") else {
            throw Problem(.conflict, "Only a process or a container can have a canary.")
        }
        guard origin.state["canary_of"] == nil else { throw Problem(.conflict, "A canary has no canary.") }
    }

    /// As many as carry its share with as much to do each as the service's own.
    static func instances(_ own: Int64, _ percent: Int64?) -> Int64 {
        let share = min(max(percent ?? 1, 1), 99)
        return min(32, max(1, (own * share + 99 - share) / (100 - share)))
    }

    static func name(_ service: String) -> String { "\(service.prefix(56))-canary" }

    /// The status of a canary is that of its service, and of its promotion while that is under way.
    public static func follow(_ service: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let id = service.state["canary_id"]?.stringValue, var canary = try transaction.get("canary", id),
            canary.status != .deleting
        else { return }
        let before = canary
        canary.state["commit"] = service.state["commit"]
        if let id = canary.state["promoted_deployment_id"]?.stringValue,
            let deployment = try transaction.get("deployment", id)
        {
            if deployment.status == .active {
                try ServiceBehaviour.leaveStack(service, transaction)
                try transaction.remove("service", service.id)
                return try transaction.remove("canary", canary.id)
            }
            guard deployment.status == .failed else { return }
            canary.state["promoted_deployment_id"] = nil
            canary.state["promotion_failure"] = .string(deployment.statusMessage ?? "The deployment failed.")
        }
        canary.status = service.status == .pending ? .provisioning : service.status
        let failure = canary.state["promotion_failure"]?.stringValue.map { "It was not promoted: \($0)" }
        canary.statusMessage = service.statusMessage ?? failure
        if canary != before { _ = try transaction.put(canary) }
    }
}
