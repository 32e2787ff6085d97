import AgentProtocol
import Crypto
public import Host
import Model

/// Turns an install token into an identity.
public enum Joining {
    /// The identity that the agent has, or nil when it has not joined.
    public static func identity(dataFolder: String, host: Host) async throws -> AgentIdentity? {
        try await JSONFile.read(AgentIdentity.self, AgentPaths(root: dataFolder).identity, host.files)
    }

    /// Registers with the hub. The key pair is made and kept first, so that an answer that got lost can be asked for
    /// again with the same key and does not use the token up.
    ///
    /// - Parameter hubKey: the hub's key as the install line gives it; nil trusts the first answer.
    /// - Throws: `forbidden` for a used, expired or unknown token; `conflict` when this agent has joined already;
    ///   `untrusted` when the hub has another key.
    public static func join(
        hubURL: String, token: String, hubKey: String?, hostname: String, agentVersion: String, dataFolder: String,
        host: Host, link: any HubLink
    ) async throws -> AgentIdentity {
        let paths = AgentPaths(root: dataFolder)
        if let known = try await identity(dataFolder: dataFolder, host: host), !known.nodeId.isEmpty {
            throw Problem(
                .conflict, "This agent has joined \(known.hubUrl) as \(known.nodeName) already.",
                hint: "Remove \(paths.identity) to join again.")
        }
        var identity =
            try await self.identity(dataFolder: dataFolder, host: host)
            ?? AgentIdentity(
                hubUrl: hubURL, nodeId: "", nodeName: "", privateKey: Base64.encode(host.random.bytes(32)),
                hubPublicKey: "")
        let draft = identity
        try await host.effect("identity.draft") { try await JSONFile.write(draft, paths.identity, host.files) }
        let key = try privateKey(identity)
        let request = RegisterRequest(
            token: token, publicKey: Base64.encode(Array(key.publicKey.rawRepresentation)), hostname: hostname,
            agentVersion: agentVersion, protocolVersion: protocolVersion)
        let reply = try await link.exchange(
            HubRequest(
                method: "POST", path: "/api/v1/agent/register", headers: ["Content-Type": "application/json"],
                body: try WireCoding.encode(request).canonicalBytes, timeout: .seconds(15)))
        guard reply.status == 200 || reply.status == 201 else { throw SignedHub.problem(reply) }
        let answer = try WireCoding.decode(RegisterResponse.self, from: try JSONParser.parse(reply.body))
        if let hubKey, hubKey != answer.hubPublicKey {
            throw Problem(.untrusted, "The hub at \(hubURL) has another key than the install line says.")
        }
        identity.hubUrl = hubURL
        identity.nodeId = answer.nodeId
        identity.nodeName = answer.nodeName
        identity.hubPublicKey = answer.hubPublicKey
        let final = identity
        try await host.effect("identity.write") { try await JSONFile.write(final, paths.identity, host.files) }
        return identity
    }

    static func privateKey(_ identity: AgentIdentity) throws -> Curve25519.Signing.PrivateKey {
        guard let raw = Base64.decode(identity.privateKey) else {
            throw Problem(.internalError, "The agent's key cannot be read.")
        }
        return try Curve25519.Signing.PrivateKey(rawRepresentation: raw)
    }
}
