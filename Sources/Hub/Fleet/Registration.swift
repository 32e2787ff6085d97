public import AgentProtocol
import Crypto
import FleetResources
import Host
import HubStore
import Model
import ResourceKit

extension Hub {
    private static let refused = Problem(
        .forbidden, "The install token is unknown, expired or used up.",
        hint: "Make a new one: roost server add.")

    /// Exchanges an install token for an identity.
    ///
    /// An agent whose answer got lost may ask again with the same token and key: it gets the same identity, and the
    /// token is not used twice.
    /// - Throws: `forbidden` for a forged, expired or used token; `invalid` for a key that is none.
    public func register(_ request: RegisterRequest, address: String) async throws -> RegisterResponse {
        guard request.protocolVersion == protocolVersion else {
            throw Problem(
                .invalid, "The agent speaks protocol \(request.protocolVersion), the hub \(protocolVersion).",
                hint: "Install the same version of Roost on both.")
        }
        guard let raw = Base64.decode(request.publicKey), raw.count == 32,
            (try? Curve25519.Signing.PublicKey(rawRepresentation: raw)) != nil  // why it is no key does not matter
        else { throw Problem.invalid("public_key", "must be an Ed25519 public key in base64") }
        guard let tokenId = InstallToken.id(in: request.token) else { throw Self.refused }
        let presented = sha256Hex(Array(request.token.utf8))
        let response = try await write { [self] transaction -> RegisterResponse in
            guard let token = try transaction.get("install-token", tokenId),
                let stored = token.state["token_sha256"]?.stringValue, constantTimeEqual(stored, presented),
                let key = try signingKey(transaction)
            else { throw Self.refused }
            // A server of a shard runs no stack.
            let stackId = token.spec["stack_id"]?.stringValue ?? ""
            let hubKey = Base64.encode(Array(key.publicKey.rawRepresentation))
            let isExpired =
                token.state["expires_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
                .map { $0 <= transaction.now } ?? true
            if !isExpired, let id = try transaction.claimHolder(nodeKeyClaim(tokenId: tokenId, key: request.publicKey)),
                let node = try transaction.get("node", id)
            {
                return RegisterResponse(
                    nodeId: node.id, nodeName: node.spec["name"]?.stringValue ?? "", stackId: stackId,
                    hubPublicKey: hubKey)
            }
            guard !isExpired, let left = token.state["uses_left"]?.intValue, left > 0 else { throw Self.refused }
            let node = try join(request, token: token, address: address, transaction)
            return RegisterResponse(
                nodeId: node.id, nodeName: node.spec["name"]?.stringValue ?? "", stackId: stackId,
                hubPublicKey: hubKey)
        }
        contacts.expect(response.nodeId, stackId: response.stackId, at: world.clock.monotonic())
        return response
    }

    private func join(
        _ request: RegisterRequest, token: ResourceRecord, address: String, _ transaction: any StoreTransaction
    ) throws -> ResourceRecord {
        var token = token
        token.state["uses_left"] = .int((token.state["uses_left"]?.intValue ?? 1) - 1)
        _ = try transaction.put(token)
        let hostname = String(request.hostname.prefix(253))
        var node = try declaredNode(token, hostname: hostname, transaction)
        if node.spec["name"] == nil { node.spec["name"] = .string(try freeName(hostname, transaction)) }
        node.status = .provisioning
        node.statusMessage = "Joined; waiting for its first heartbeat."
        node.state.merge([
            "public_key": .string(request.publicKey), "token_id": .string(token.id), "address": .string(address),
            "agent_version": .string(String(request.agentVersion.prefix(100))), "is_silent": false,
            "last_heartbeat_at": .string(transaction.now.rfc3339),
        ]) { $1 }
        node = try transaction.put(node)
        try transaction.emit(
            HubEvent(
                time: transaction.now, kind: "config", nodeId: node.id, stackId: node.spec["stack_id"]?.stringValue,
                message: "Server \(node.spec["name"]?.stringValue ?? node.id) joined."))
        return node
    }

    /// The server that the token is for: a new one, or the one of the shard's cluster that has this name and no agent
    /// yet.
    private func declaredNode(
        _ token: ResourceRecord, hostname: String, _ transaction: any StoreTransaction
    ) throws -> ResourceRecord {
        let now = transaction.now
        var node = ResourceRecord(
            kind: "node", id: transaction.random.uuid(), status: .provisioning,
            spec: ["hostname": .string(hostname), "roles": [], "shard_ids": []], createdAt: now, updatedAt: now)
        guard let shardId = token.spec["shard_id"]?.stringValue else {
            node.spec["stack_id"] = token.spec["stack_id"]
            return node
        }
        guard let shard = try transaction.get("shard", shardId), let clusterId = shard.parentId else {
            throw Self.refused
        }
        if let holder = try transaction.claimHolder("node-host/\(clusterId)/\(hostname.lowercased())"),
            let declared = try transaction.get("node", holder)
        {
            guard declared.state["public_key"] == nil else {
                throw Problem(
                    .conflict, "A server called \(hostname) has joined the cluster already.",
                    hint: "Give the machine another host name, or delete the other server.")
            }
            node = declared
        }
        node.parentId = clusterId
        let shards = node.spec["shard_ids"]?.arrayValue ?? []
        if !shards.contains(.string(shardId)) { node.spec["shard_ids"] = .array(shards + [.string(shardId)]) }
        if let role = shard.spec["role"], node.spec["roles"]?.arrayValue?.isEmpty != false {
            node.spec["roles"] = [role]
        }
        return node
    }

    /// The first label of the host name, made unique.
    private func freeName(_ hostname: String, _ transaction: any StoreTransaction) throws -> String {
        let label = hostname.lowercased().prefix { $0 != "." }.filter {
            $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-")
        }
        let base = Names.dnsLabelFlaw(String(label.prefix(50))) == nil ? String(label.prefix(50)) : "server"
        for number in 1...1000 {
            // Servers made from one image all have one name: thousands of them are not counted through.
            let suffix = number <= 20 ? String(number) : transaction.random.hex(4)
            let name = number == 1 ? base : "\(base)-\(suffix)"
            if try transaction.claimHolder("node/\(name)") == nil { return name }
        }
        throw Problem(.conflict, "No name is left for the server \(base).")
    }

    /// The public key that a node signs with; nil for an unknown or removed one, of which ``authenticateAgent`` has
    /// the last word.
    public func nodeKey(_ nodeId: String) async throws -> NodeKey? {
        guard nodeId.utf8.count <= 64 else { return nil }
        if let known = nodeKeys[nodeId] { return known }
        let found = try await store.read { transaction -> NodeKey? in
            guard let node = try transaction.get("node", nodeId), Self.maySpeak(node),
                let raw = node.state["public_key"]?.stringValue.flatMap({ Base64.decode($0) }),
                // A stored key that is no key is treated like none.
                let key = try? Curve25519.Signing.PublicKey(rawRepresentation: raw)
            else { return nil }
            return NodeKey(nodeId: node.id, key: key)
        }
        if let found { nodeKeys.keep(found) }
        return found
    }

    /// One that is being retired still reports what it has stopped.
    static func maySpeak(_ node: ResourceRecord) -> Bool {
        node.status != .deleted && (node.status != .deleting || node.state["run_id"] != nil)
    }
}

/// What a node's signatures are checked with.
public struct NodeKey: Sendable {
    let nodeId: String
    let key: Curve25519.Signing.PublicKey
}

/// Compares secrets without telling by the time taken how much of them is equal.
func constantTimeEqual(_ left: String, _ right: String) -> Bool {
    let (left, right) = (Array(left.utf8), Array(right.utf8))
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0
}
