import AgentProtocol
import Crypto
import Host
import Model
import TestSupport
import Testing

@testable import Node

/// The agent believes no document that is not the hub's, for it, and at least as new as the one in force.
@Suite struct DocumentKeeperTests {
    private let key = Curve25519.Signing.PrivateKey()
    private let host: Host
    private let identity: AgentIdentity

    init() throws {
        let random = SeededRandom(1)
        let clock = VirtualTime(random: random)
        host = SimulatedMachine(name: "node", source: SimulatedSource(), clock: clock, random: random)
            .host(gate: OpenGate())
        identity = AgentIdentity(
            hubUrl: "http://hub", nodeId: "n1", nodeName: "node", privateKey: "",
            hubPublicKey: Base64.encode(Array(key.publicKey.rawRepresentation)))
    }

    private func envelope(
        _ generation: Int64, node: String = "n1", signedBy other: Curve25519.Signing.PrivateKey? = nil
    )
        throws -> DesiredStateEnvelope
    {
        let state = DesiredState(
            nodeId: node, stackId: "s", stackName: "default", generation: generation, pollIntervalMs: 1000,
            proxy: DesiredProxy(bind: "127.0.0.1", port: 80), dns: DesiredDNS(suffix: "svc.internal"),
            securityMode: "open", peers: [], services: [])
        let json = try WireCoding.encode(state)
        let hash = sha256Hex(json.canonicalBytes)
        let message = DocumentSignature.message(hash: hash, nodeId: node, generation: generation)
        let signature = try (other ?? key).signature(for: message)
        return DesiredStateEnvelope(document: json, hash: hash, signature: Base64.encode(Array(signature)))
    }

    private func keeper() -> DocumentKeeper {
        DocumentKeeper(host: host, path: "/roost/desired.json", identity: identity)
    }

    @Test func `a good document is accepted once, and found again`() async throws {
        let keeper = keeper()
        #expect(try await keeper.accept(try envelope(3)))
        #expect(try await !keeper.accept(try envelope(3)))
        let later = self.keeper()
        try await later.load()
        #expect(await later.current?.generation == 3)
    }

    @Test func `an older generation is refused`() async throws {
        let keeper = keeper()
        _ = try await keeper.accept(try envelope(3))
        await #expect(throws: Problem.self) { try await keeper.accept(try envelope(2)) }
        #expect(await keeper.current?.generation == 3)
    }

    @Test func `a wrong hash, key, node or content is refused`() async throws {
        let keeper = keeper()
        var hashed = try envelope(1)
        hashed.hash = String(repeating: "0", count: 64)
        var changed = try envelope(1)
        changed.document["stack_name"] = "other"
        let bad = [
            hashed, changed, try envelope(1, node: "n2"), try envelope(1, signedBy: Curve25519.Signing.PrivateKey()),
        ]
        for envelope in bad {
            await #expect { try await keeper.accept(envelope) } throws: { ($0 as? Problem)?.code == .untrusted }
        }
        #expect(await keeper.current == nil)
    }
}
