import AgentProtocol
import Crypto
import Host
import Model

/// Accepts desired states: checks hash, signature, node and generation, stores what passes, and never goes back.
actor DocumentKeeper {
    private let host: Host
    private let path: String
    private let identity: AgentIdentity
    private(set) var current: DesiredState?
    private(set) var hash: String?

    init(host: Host, path: String, identity: AgentIdentity) {
        self.host = host
        self.path = path
        self.identity = identity
    }

    /// Takes up what an earlier agent accepted. It is verified again: the file may have been touched.
    func load() async throws {
        guard let bytes = try await host.files.read(path, bytesMax: JSONFile.bytesMax) else { return }
        let envelope = try DesiredStateEnvelope(json: try JSONParser.parse(bytes))
        current = try verify(envelope)
        hash = envelope.hash
    }

    /// - Returns: whether it is another document than the one in force.
    /// - Throws: `untrusted`, with a sentence for the event.
    func accept(_ envelope: DesiredStateEnvelope) async throws -> Bool {
        let document = try verify(envelope)
        guard envelope.hash != hash else { return false }
        let (host, path, bytes) = (host, path, envelope.json.canonicalBytes)
        try await host.effect("desired.write") { try await host.files.write(path, bytes, mode: 0o600) }
        current = document
        hash = envelope.hash
        return true
    }

    private func verify(_ envelope: DesiredStateEnvelope) throws -> DesiredState {
        guard sha256Hex(envelope.document.canonicalBytes) == envelope.hash else {
            throw Problem(.untrusted, "The desired state does not match its hash.")
        }
        let document = try WireCoding.decode(DesiredState.self, from: envelope.document)
        guard document.nodeId == identity.nodeId else {
            throw Problem(.untrusted, "The desired state is for another server.")
        }
        let message = DocumentSignature.message(
            hash: envelope.hash, nodeId: document.nodeId, generation: document.generation)
        guard let raw = Base64.decode(identity.hubPublicKey), let signature = Base64.decode(envelope.signature),
            let key = try? Curve25519.Signing.PublicKey(rawRepresentation: raw),  // a bad key verifies nothing
            key.isValidSignature(signature, for: message)
        else { throw Problem(.untrusted, "The signature of the desired state is not the hub's.") }
        if let current, document.generation < current.generation {
            throw Problem(
                .untrusted,
                "The desired state has generation \(document.generation); \(current.generation) is in force already."
            )
        }
        return document
    }
}
