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

    /// Puts the server into the store as it is after it joined.
    func join(_ store: any Store) async throws {
        let raw = Base64.encode(Array(key.publicKey.rawRepresentation))
        nodeId = try await store.write { transaction in
            try transaction.put(
                ResourceRecord(
                    kind: "node", id: transaction.random.uuid(), status: .active, spec: ["name": "web-1"],
                    state: ["public_key": .string(raw)], createdAt: transaction.now, updatedAt: transaction.now))
        }.id
    }

    /// What became of a heartbeat; nil when it was none that says what the one before said.
    func take(_ body: [UInt8], _ hub: Hub, altered: [UInt8]? = nil) async throws -> String? {
        let signature = try RequestSignature.sign(
            method: "POST", path: "/x", body: body, nodeId: nodeId, time: LiveClock().now(),
            nonce: LiveRandom().hex(16),
            key: key)
        let (outcomes, heard) = AsyncStream.makeStream(of: String.self)
        let isTaken = hub.takeKnownHeartbeat(signature, method: "POST", path: "/x", body: altered ?? body) { outcome in
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
}
