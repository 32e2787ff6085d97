import AgentProtocol
import Crypto
import Host
import HubStore
import Model
import ResourceKit

/// The hub's Ed25519 key, which signs desired states. Made once; sealed in the store.
extension Hub {
    private static let space = "hub"
    private static let name = "signing_key"

    func signingKey(_ transaction: any StoreTransaction) throws -> Curve25519.Signing.PrivateKey? {
        guard let sealed = try transaction.cell(Self.space, Self.name)?.stringValue else { return nil }
        guard let raw = Base64.decode(try world.secrets.open(sealed)) else {
            throw Problem(.internalError, "The hub's signing key cannot be read.", hint: "Is it the right master key?")
        }
        return try Curve25519.Signing.PrivateKey(rawRepresentation: raw)
    }

    /// Makes the key when there is none. Call once at start; two hubs that do so at once end with one key.
    /// - Returns: the public half, base64.
    public func ensureSigningKey() async throws -> String {
        let fresh = try world.secrets.seal(Base64.encode(world.random.bytes(32)))
        return try await write { [self] transaction in
            _ = try transaction.insertCell(Self.space, Self.name, .string(fresh), expires: nil)
            guard let key = try signingKey(transaction) else {
                throw Problem(.internalError, "The hub's signing key could not be made.")
            }
            return Base64.encode(Array(key.publicKey.rawRepresentation))
        }
    }
}
