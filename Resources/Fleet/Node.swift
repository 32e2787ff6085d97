public import Model
public import ResourceKit

/// A server that joined a stack.
public let nodeKind = ResourceKind(
    name: "node", plural: "nodes", summary: "A server: its agent keeps the services of one stack running.",
    identity: .uuid, isAsynchronous: true, isPlatformOnly: true, verbs: [.list, .read, .update, .delete],
    fields: [
        Field("name", .string(check: Names.dnsLabelFlaw), "Unique name.", required: true, example: "web-1"),
        Field("stack_id", .reference("stack"), "The stack that it runs.", required: true, immutable: true),
    ],
    reported: [
        Field("hostname", .line, "What the machine calls itself."),
        Field("address", .line, "Where its last request came from."),
        Field("agent_version", .line, "Version of its agent."),
        Field("last_heartbeat_at", .line, "When it was last heard of."),
        Field("is_silent", .boolean, "Whether three heartbeats in a row are missing."),
        Field("generation", .integer(0...Int64.max), "Version of the stack that it has taken."),
        Field("is_converged", .boolean, "Whether all that should run there was observed to run."),
        Field("machine", .json, "Load, memory, disk and versions."),
        Field("security_mode", .line, "The security mode that is in force there."),
        Field("security_problem", .line, "Why what the stack asks for is not in force there."),
        Field("exposure", .json, "Ports that programs there listen on, but for loopback."),
        Field("services", .json, "State of each service there."),
        Field("sites", .json, "State of each site there."),
        Field("run_id", .line, "The workflow run that retires it, or did so last."),
    ],
    claims: { node in
        let key = node.state["public_key"]?.stringValue.map {
            nodeKeyClaim(tokenId: node.state["token_id"]?.stringValue ?? "", key: $0)
        }
        return ["node/\(node.spec["name"]?.stringValue ?? "")"] + [key].compactMap { $0 }
    },
    actions: [Retirement.action], columns: ["name", "hostname", "address", "last_heartbeat_at", "is_silent"],
    searched: ["name"], workflows: [Retirement.declaration], behaviour: NodeBehaviour())

/// The claim by which a server is found that asks a second time, because the answer to its registration got lost.
public func nodeKeyClaim(tokenId: String, key: String) -> String { "node-key/\(tokenId)/\(key)" }

struct NodeBehaviour: KindBehaviour {
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
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
    name: "install-token", plural: "install-tokens", summary: "A secret that lets a server join a stack.",
    identity: .uuid, isAsynchronous: false, isPlatformOnly: true,
    verbs: [.list, .create, .read, .delete],
    fields: [
        Field("stack_id", .reference("stack"), "The stack that the server will run.", required: true),
        Field("expires_in", .duration(.seconds(1)...(.seconds(2_592_000))), "How long it can be used.", default: "1h"),
        Field("uses", .integer(1...1000), "How many servers may join with it.", default: 1),
    ],
    reported: [
        Field("expires_at", .line, "When it can no longer be used."),
        Field("uses_left", .integer(0...1000), "How many servers may still join with it."),
    ],
    columns: ["stack_id", "expires_at", "uses_left"], behaviour: InstallTokenBehaviour())

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
