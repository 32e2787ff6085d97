import Model
public import ResourceKit

/// Servers of a cluster that do one thing together, and hold the same of it.
public let shardKind = ResourceKind(
    name: "shard", plural: "shards", summary: "Servers of a cluster that do one thing together.",
    parent: .init(kind: "cluster", field: "cluster_id"), isAsynchronous: true, isPlatformOnly: true,
    fields: [
        Field("name", .slug, "Name, unique in its cluster.", required: true, example: "web-1"),
        Field(
            "role", .choice(ServerRole.allCases.map(\.rawValue)), "What it does.", required: true, immutable: true,
            example: "web"),
        Field(
            "lb_backend", .string(check: { Names.lineFlaw($0, bytesMax: 200) }),
            "Name of it at the load balancer.", example: "web-1"),
        dnsAPIURL, dnsAPIKey,
        Field("config", freeForm, "Settings for programs of your own.", default: [:]),
    ],
    reported: [Field("converge_requested_at", .line, "When its servers were last asked to make it as declared.")],
    claims: { ["shard/\($0.parentId ?? "")/\(claimed($0))"] },
    actions: [ResourceAction("converge", "Have its servers make it as declared, and report.")],
    columns: ["name", "role"], searched: ["name", "lb_backend"],
    validate: { spec, flaws in
        for name in ["dns_api_url", "dns_api_key"] where spec[name].map({ !$0.isNull }) == true && spec["role"] != "dns"
        {
            flaws.add(name, "is only for a shard of the role dns")
        }
    }, behaviour: ShardBehaviour())

struct ShardBehaviour: KindBehaviour {
    var settles: Bool { true }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try request(record, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try request(new, transaction)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        try request(record, transaction)
        return record
    }

    private func request(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        var record = record
        if record.status != .pending { record.status = .provisioning }
        record.statusMessage = nil
        record.state["converge_requested_at"] = .string(transaction.now.rfc3339)
        _ = try transaction.put(record)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        for var node in try nodes(of: record, transaction) {
            let ids = node.spec["shard_ids"]?.arrayValue ?? []
            node.spec["shard_ids"] = .array(ids.filter { $0 != .string(record.id) })
            _ = try transaction.put(node)
        }
        return true
    }

    private func nodes(
        of record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> [ResourceRecord] {
        guard let clusterId = record.parentId else { return [] }
        return try transaction.all("node", parentId: clusterId).filter {
            $0.spec["shard_ids"]?.arrayValue?.contains(.string(record.id)) == true
        }
    }

    /// Servers with an agent are waited for until each has reported since; others can say nothing.
    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? {
        let nodes = try nodes(of: record, transaction)
        let since = record.state["converge_requested_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
        let joined = nodes.filter { $0.state["public_key"] != nil }
        let late = joined.filter { node in
            let heard = node.state["last_heartbeat_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
            guard let heard, let since else { return since != nil }
            return heard < since
        }
        guard late.isEmpty else { return .waiting("Waiting for \(Self.names(late)) to report.") }
        if nodes.isEmpty { return .active("No server is in it yet.") }
        let mute = nodes.filter { $0.state["public_key"] == nil }
        return .active(mute.isEmpty ? nil : "No agent reports from \(Self.names(mute)) yet.")
    }

    private static func names(_ nodes: [ResourceRecord]) -> String {
        let names = nodes.prefix(5).map { $0.spec["hostname"]?.stringValue ?? $0.id }
        return names.joined(separator: ", ") + (nodes.count > 5 ? " and \(nodes.count - 5) more" : "")
    }
}
