import Host
public import Model
public import ResourceKit

/// One attempt to bring a commit live.
public let deploymentKind = ResourceKind(
    name: "deployment", plural: "deployments", summary: "One attempt to bring a commit of a service live.",
    identity: .uuid, parent: .init(kind: "service", field: "service_id"), isAsynchronous: true, verbs: [.list, .read],
    fields: [],
    reported: [
        Field("stack_id", .reference("stack"), "The stack of the service."),
        Field("git_ref", .line, "What was asked for."),
        Field("commit", .line, "What it was resolved to."),
        Field("upload", .line, "SHA-256 of the archive that it was made from, when it was not made from git."),
        Field("reason", .line, "Why: created, changed settings, deploy, push, rollback, restart, retry, canary."),
        Field("actor", .line, "Who."),
        Field("finished_at", .line, "When it became active or failed."),
        Field(
            "durations_ms", .map(key: { _ in nil }, value: .integer(0...Int64.max), countMax: 20),
            "Time per phase on the slowest server."),
        Field("files", .integer(0...Int64.max), "Files of the release, on the server where there are most."),
        Field("bytes", .integer(0...Int64.max), "Bytes of the release, on the server where there are most."),
        Field("nodes", .map(key: { _ in nil }, value: .line, countMax: 10_000), "Phase per server."),
    ],
    actions: [
        ResourceAction(
            "rollback", "Deploy this deployment's commit and settings again.", isDestructive: false,
            answers: "deployment")
    ],
    columns: ["commit", "git_ref", "reason", "actor", "finished_at"], behaviour: DeploymentBehaviour())

struct DeploymentBehaviour: KindBehaviour {
    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard action.name == "rollback" else { return record }
        guard let source = DeploymentSource(of: record), let serviceId = record.parentId,
            let service = try transaction.get("service", serviceId)
        else {
            throw Problem(.conflict, "The deployment never got a commit, so there is nothing to go back to.")
        }
        if case .upload(let digest) = source, try !Deployments.keptUploads(of: service, transaction).contains(digest) {
            throw Problem(
                .conflict, "The upload of this deployment is no longer kept.",
                hint: "Upload it again, or let the service retain more releases.")
        }
        return try Deployments.start(
            of: service, source, snapshot: record.state["snapshot"]?.objectValue, reason: "rollback", by: actor,
            transaction)
    }
}

/// What a deployment is made from.
public enum DeploymentSource: Sendable, Equatable {
    case commit(String)
    /// SHA-256 of an archive that the hub keeps.
    case upload(String)

    /// Nil while the deployment waits for its commit.
    public init?(of deployment: ResourceRecord) {
        if let digest = deployment.state["upload"]?.stringValue {
            self = .upload(digest)
        } else if let commit = deployment.state["commit"]?.stringValue {
            self = .commit(commit)
        } else {
            return nil
        }
    }

    /// The commit, or the digest.
    public var id: String {
        switch self {
        case .commit(let id), .upload(let id): id
        }
    }

    /// `commit 1a2b3c…`.
    public var title: String {
        switch self {
        case .commit(let id): "commit \(id.prefix(12))"
        case .upload(let id): "upload \(id.prefix(12))"
        }
    }

    fileprivate var stateName: String {
        switch self {
        case .commit: "commit"
        case .upload: "upload"
        }
    }
}

/// How deployments begin.
public enum Deployments {
    /// Records kept per service; releases on servers have a limit of their own, `retain`.
    static let historyMax = 50

    /// Fields whose change needs new instances. All others reach running instances through routes and checks.
    static let snapshotFields: Set<String> = [
        "kind", "git_url", "git_ref", "build_command", "build_timeout", "build_memory_max", "run_command",
        "dockerfile", "compose_file", "public_folder", "port", "env", "memory_max", "cpu_quota", "instances",
        "stop_signal", "stop_grace",
    ]

    /// The fields of a service that a deployment is made from.
    public static func snapshot(_ spec: [String: JSONValue]) -> [String: JSONValue] {
        spec.filter { snapshotFields.contains($0.key) && !$0.value.isNull }
    }

    /// Starts a deployment. Earlier ones that are under way are superseded: the newest wins.
    ///
    /// - Parameter source: nil when the reference must be resolved first; the resolver then finds it as `pending`.
    public static func start(
        of service: ResourceRecord, _ source: DeploymentSource?, snapshot: [String: JSONValue]? = nil, reason: String,
        by actor: String, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let now = transaction.now
        let snapshot = snapshot ?? Self.snapshot(service.spec)
        let id = transaction.random.uuid()
        try supersede(of: service, by: id, transaction)
        var state: [String: JSONValue] = [
            "snapshot": .object(snapshot), "reason": .string(reason), "actor": .string(actor),
            "git_ref": snapshot["git_ref"] ?? .null, "stack_id": service.parentId.map { .string($0) } ?? .null,
            "restart_generation": service.state["restart_generation"] ?? 0,
        ]
        if let source { state[source.stateName] = .string(source.id) }
        let record = try transaction.put(
            ResourceRecord(
                kind: "deployment", id: id, parentId: service.id, brandId: service.brandId,
                tenantId: service.tenantId, status: .pending, statusMessage: "Waiting for the commit.", spec: [:],
                state: state, createdAt: now, updatedAt: now))
        try prune(of: service, transaction)
        if let source { return try resolved(record, source, transaction) }
        return record
    }

    /// Gives a deployment its source: from here on it is part of what the servers should run.
    @discardableResult
    public static func resolved(
        _ deployment: ResourceRecord, _ source: DeploymentSource, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard let serviceId = deployment.parentId, var service = try transaction.get("service", serviceId),
            let stackId = service.parentId
        else { throw Problem(.notFound, "The service of the deployment is gone.") }
        service.state["deployment_id"] = .string(deployment.id)
        service.status = .provisioning
        service.statusMessage = "Deploying \(source.title)."
        _ = try transaction.put(service)
        try touchStack(stackId, transaction)
        var record = deployment
        record.state[source.stateName] = .string(source.id)
        record.state["generation"] = try transaction.get("stack", stackId)?.state["version"] ?? 0
        record.status = .provisioning
        record.statusMessage = "Waiting for the servers."
        return try transaction.put(record)
    }

    /// Ends a deployment without success. What serves goes on serving.
    public static func fail(
        _ deployment: ResourceRecord, _ message: String, _ transaction: any ResourceTransaction
    ) throws {
        var record = deployment
        record.status = .failed
        record.statusMessage = message
        record.state["finished_at"] = .string(transaction.now.rfc3339)
        _ = try transaction.put(record)
        guard let serviceId = record.parentId, var service = try transaction.get("service", serviceId) else { return }
        let isServing = service.state["serving_deployment_id"]?.stringValue != nil
        service.status = isServing ? .active : .failed
        let outcome = "The latest deployment failed: \(message)"
        service.statusMessage = isServing ? "\(outcome) The release before it goes on serving." : outcome
        let stored = try transaction.put(service)
        try Previews.follow(stored, transaction)
        try Canaries.follow(stored, transaction)
        try transaction.emit(
            HubEvent(
                time: transaction.now, kind: "build", stackId: service.parentId, serviceId: service.id,
                deploymentId: record.id,
                message: "Deployment of \(service.spec["name"]?.stringValue ?? "service") failed: \(message)"))
    }

    private static func supersede(
        of service: ResourceRecord, by id: String, _ transaction: any ResourceTransaction
    ) throws {
        for var older in try transaction.all("deployment", parentId: service.id)
        where older.status == .pending || older.status == .provisioning {
            older.status = .failed
            older.statusMessage = "Superseded by deployment \(id) before it went live."
            older.state["finished_at"] = .string(transaction.now.rfc3339)
            _ = try transaction.put(older)
        }
    }

    /// Digests of the uploads that a service may still need: what runs, and what `retain` lets it go back to.
    public static func keptUploads(
        of service: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> Set<String> {
        let all = try transaction.all("deployment", parentId: service.id).filter { $0.state["upload"] != nil }
        let current = ["deployment_id", "serving_deployment_id"].compactMap { service.state[$0]?.stringValue }
        let retain = Int(service.spec["retain"]?.intValue ?? 5)
        let kept = all.filter { current.contains($0.id) } + all.suffix(retain + 1)
        return Set(kept.compactMap { $0.state["upload"]?.stringValue })
    }

    private static func prune(of service: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        let all = try transaction.all("deployment", parentId: service.id)
        let kept = [service.state["deployment_id"]?.stringValue, service.state["serving_deployment_id"]?.stringValue]
        for old in all.dropLast(historyMax) where !kept.contains(old.id) {
            try transaction.remove("deployment", old.id)
        }
    }
}
