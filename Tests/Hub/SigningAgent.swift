import AgentProtocol
import Crypto
import Host
import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit

/// A server whose heartbeats go to a hub without HTTP between them.
final class SigningAgent {
    let key = Curve25519.Signing.PrivateKey()
    private(set) var nodeId = ""

    var publicKey: String { Base64.encode(Array(key.publicKey.rawRepresentation)) }

    /// Puts the server into the store as it is after it joined.
    func join(_ store: any Store, name: String = "web-1") async throws {
        let raw = publicKey
        nodeId = try await store.write { transaction in
            try transaction.put(
                ResourceRecord(
                    kind: "node", id: transaction.random.uuid(), status: .active, spec: ["name": .string(name)],
                    state: ["public_key": .string(raw)], createdAt: transaction.now, updatedAt: transaction.now))
        }.id
    }

    /// What became of a heartbeat; nil when it was none that says what the one before said.
    func take(_ body: [UInt8], _ hub: Hub, altered: [UInt8]? = nil, at time: Timestamp = LiveClock().now()) async throws
        -> String?
    {
        let signature = try RequestSignature.sign(
            method: "POST", path: "/x", body: body, nodeId: nodeId, time: time, nonce: LiveRandom().hex(16), key: key)
        let (outcomes, heard) = AsyncStream.makeStream(of: String.self)
        let place = HearingPlace(hub) { $0() }
        let isTaken = hub.takeKnownHeartbeat(
            signature, method: "POST", path: "/x", body: altered ?? body, at: place
        ) { outcome in
            switch outcome {
            case .taken: heard.yield("taken")
            case .passed: heard.yield("passed")
            case .failed(let problem): heard.yield("failed: \(problem)")
            }
            heard.finish()
        }
        guard isTaken else { return nil }
        return await outcomes.first { _ in true }
    }

    struct NoSession: Error {}

    /// Opens a session with a hub, if its answer is what an agent believes.
    func open(
        _ hub: Hub, hubKey: String, alter: (inout SessionResponse) -> Void = { _ in }
    ) async throws -> AgentSession {
        let own = Curve25519.KeyAgreement.PrivateKey()
        let agentKey = Base64.encode(Array(own.publicKey.rawRepresentation))
        var answer = try await hub.openSession(SessionRequest(publicKey: agentKey), nodeId: nodeId)
        alter(&answer)
        let transcript = AgentSession.transcript(answer, nodeId: nodeId, agentKey: agentKey)
        guard let raw = Base64.decode(hubKey), let signature = Base64.decode(answer.signature),
            try Curve25519.Signing.PublicKey(rawRepresentation: raw).isValidSignature(signature, for: transcript)
        else { throw NoSession() }
        return try AgentSession(
            id: answer.sessionId, own: own, agentKey: agentKey, hubKey: answer.publicKey, nodeId: nodeId)
    }
}
