import Model
public import ResourceKit

/// A server that joined a stack, or one of a cluster.
public let nodeKind = ResourceKind(
    name: "node", plural: "nodes", summary: "A server: its agent keeps running there what should run.",
    identity: .uuid, parent: .init(kind: "cluster", field: "cluster_id"), isAsynchronous: true, isPlatformOnly: true,
    fields: [
        Field(
            "hostname", .string(check: { Names.hostnameFlaw($0) ?? DomainName.numberFlaw($0) }),
            "What the machine calls itself.", required: true, example: "web-1.example.org"),
        Field("name", .string(check: Names.dnsLabelFlaw), "Unique name.", example: "web-1"),
        Field(
            "ip_address", .string(check: Names.ipv4Flaw), "IPv4 address that others reach it under.",
            example: "192.0.2.20"),
        Field(
            "ip6_address", .string(check: Names.ipv6Flaw), "IPv6 address that others reach it under.",
            example: "2001:db8::20"),
        Field(
            "shard_ids", .list(of: .reference("shard"), countMax: 100), "Shards of its cluster that it is part of.",
            default: []),
        Field(
            "roles", .list(of: .choice(ServerRole.allCases.map(\.rawValue)), countMax: 20),
            "What it does; at least one, but for a server that runs a stack.", required: true, example: ["web"]),
        Field("stack_id", .reference("stack"), "The stack that it runs, if it joined one.", immutable: true),
    ],
    reported: [
        Field("address", .line, "Where its last request came from."),
        Field("agent_version", .line, "Version of its agent."),
        Field("last_heartbeat_at", .line, "When it was last heard of."),
        Field("is_silent", .boolean, "Whether three heartbeats in a row are missing."),
        Field("generation", .integer(0...Int64.max), "Version of the stack that it has taken."),
        Field("is_converged", .boolean, "Whether all that should run there was observed to run."),
        Field("facts", .json, "Of the machine: load, memory, disk and versions."),
        Field("security_mode", .line, "The security mode that is in force there."),
        Field("security_problem", .line, "Why what the stack asks for is not in force there."),
        Field("exposure", .json, "Ports that programs there listen on, but for loopback."),
        Field(
            "tunnel", .json,
            "The tunnel that its agent reaches the hub through; null when there is none and the agent asks it directly."
        ),
        Field("services", .json, "State of each service there."),
        Field("sites", .json, "State of each site there."),
        Field("run_id", .line, "The workflow run that retires it, or did so last."),
    ],
    claims: { record in
        let name = record.spec["name"]?.stringValue.map { "node/\($0)" }
        let key = record.state["public_key"]?.stringValue.map {
            nodeKeyClaim(tokenId: record.state["token_id"]?.stringValue ?? "", key: $0)
        }
        // Below a cluster the machine's own name tells servers apart; of those in stacks, only the given name does.
        let host = record.parentId.flatMap { cluster in
            record.spec["hostname"]?.stringValue.map { "node-host/\(cluster)/\($0.lowercased())" }
        }
        return [name, key, host].compactMap { $0 }
    },
    actions: [Retirement.action], columns: ["name", "hostname", "address", "last_heartbeat_at", "is_silent"],
    searched: ["name", "hostname", "ip_address", "ip6_address"], workflows: [Retirement.declaration],
    behaviour: NodeBehaviour())

/// The claim by which a server is found that asks a second time, because the answer to its registration got lost.
public func nodeKeyClaim(tokenId: String, key: String) -> String { "node-key/\(tokenId)/\(key)" }

struct NodeBehaviour: KindBehaviour {
    var settles: Bool { true }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard record.spec["stack_id"] == nil else {
            throw Problem.invalid("stack_id", "is set when a server joins the stack")
        }
        try checkRoles(record)
        try checkShards(record, transaction)
        try reconverge(record, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        if old.spec["roles"] != new.spec["roles"] { try checkRoles(new) }
        guard old.spec["shard_ids"] != new.spec["shard_ids"] else { return }
        try checkShards(new, transaction)
        try reconverge(old, transaction)
        try reconverge(new, transaction)
    }

    /// Asked only of what a caller names: a server that joined may have none.
    private func checkRoles(_ record: ResourceRecord) throws {
        guard record.spec["stack_id"] == nil, record.spec["roles"]?.arrayValue?.isEmpty != false else { return }
        throw Problem.invalid("roles", "must name at least one role")
    }

    private func checkShards(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        for (index, id) in Self.shardIds(record).enumerated() {
            guard let shard = try transaction.get("shard", id), shard.parentId == record.parentId else {
                throw Problem.invalid("shard_ids[\(index)]", "is not a shard of the cluster")
            }
        }
    }

    /// Who is part of a shard is part of what its servers must know.
    private func reconverge(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        for id in Self.shardIds(record) {
            guard var shard = try transaction.get("shard", id), shard.status != .deleting else { continue }
            shard.status = .provisioning
            shard.state["converge_requested_at"] = .string(transaction.now.rfc3339)
            _ = try transaction.put(shard)
        }
    }

    private static func shardIds(_ record: ResourceRecord) -> [String] {
        record.spec["shard_ids"]?.arrayValue?.compactMap(\.stringValue) ?? []
    }

    /// A server with an agent is what its heartbeats say.
    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? {
        guard record.state["public_key"] == nil else { return nil }
        return .active("No agent reports from it yet.")
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        try reconverge(record, transaction)
        guard record.state["public_key"] != nil else { return true }
        // Its key goes with the record, in the same transaction: the next request of the agent is refused.
        try Retirement.emitRemoval(record, transaction)
        return true
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard action.name == Retirement.action.name else {
            throw Problem(.internalError, "A node has no action \(action.name).")
        }
        return try Retirement.begin(record, arguments, transaction)
    }
}

/// A single-use secret that lets a server join.
public let installTokenKind = ResourceKind(
    name: "install-token", plural: "install-tokens", summary: "A secret that lets a server join a stack or a shard.",
    identity: .uuid, isAsynchronous: false, isPlatformOnly: true,
    verbs: [.list, .create, .read, .delete],
    fields: [
        Field("stack_id", .reference("stack"), "The stack that the server will run."),
        Field("shard_id", .reference("shard"), "The shard that the server will be part of."),
        Field("stack", .line, "Id or name of the stack, in place of its id.", inputOnly: true),
        Field("shard", .line, "Id or name of the shard, in place of its id.", inputOnly: true),
        Field("expires_in", .duration(.seconds(1)...(.seconds(2_592_000))), "How long it can be used.", default: "1h"),
        Field("uses", .integer(1...1000), "How many servers may join with it.", default: 1),
    ],
    reported: [
        Field("expires_at", .line, "When it can no longer be used."),
        Field("uses_left", .integer(0...1000), "How many servers may still join with it."),
    ],
    columns: ["stack_id", "shard_id", "expires_at", "uses_left"],
    validate: { spec, flaws in
        if ["stack_id", "shard_id", "stack", "shard"].count(where: { spec[$0] != nil }) != 1 {
            flaws.add("stack_id", "or shard_id must be given, and not both")
        }
    }, behaviour: InstallTokenBehaviour())

/// Tokens are stored as hashes; the text is shown once.
public enum InstallToken {
    /// `rit_<id without hyphens>_<64 hex>`.
    public static func text(id: String, secret: String) -> String {
        "rit_\(id.filter { $0 != "-" })_\(secret)"
    }

    /// The id in a token's text, in UUID form; nil for anything that is not a token.
    public static func id(in text: String) -> String? {
        let parts = text.split(separator: "_", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0] == "rit", parts[1].utf8.count == 32, parts[2].utf8.count == 64,
            parts[1].allSatisfy({ $0.isASCII && $0.isHexDigit })
        else { return nil }
        var id = ""
        for (index, character) in parts[1].enumerated() {
            if [8, 12, 16, 20].contains(index) { id.append("-") }
            id.append(character)
        }
        return id
    }
}
