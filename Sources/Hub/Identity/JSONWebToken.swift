import AgentProtocol
import Crypto
import Model

/// A key that signs ID tokens: ECDSA on P-256 with SHA-256, `ES256` (RFC 7518 section 3.4).
struct TokenSigningKey: Sendable {
    let key: P256.Signing.PrivateKey

    /// Name of the key: the thumbprint of its public half (RFC 7638).
    let id: String

    init(_ key: P256.Signing.PrivateKey) {
        self.key = key
        let point = Array(key.publicKey.rawRepresentation)
        let members: JSONValue = [
            "crv": "P-256", "kty": "EC", "x": .string(Base64.encodeForURL(point[..<32])),
            "y": .string(Base64.encodeForURL(point[32...])),
        ]
        id = Base64.encodeForURL(SHA256.hash(data: members.canonicalBytes))
    }

    /// The public half as a JSON Web Key (RFC 7517).
    var publicJSON: JSONValue {
        let point = Array(key.publicKey.rawRepresentation)
        return [
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": .string(id),
            "x": .string(Base64.encodeForURL(point[..<32])), "y": .string(Base64.encodeForURL(point[32...])),
        ]
    }

    /// A signed token (RFC 7515 section 7.1).
    func token(_ claims: JSONValue) throws -> String {
        let header: JSONValue = ["alg": "ES256", "kid": .string(id), "typ": "JWT"]
        let text = "\(Base64.encodeForURL(header.canonicalBytes)).\(Base64.encodeForURL(claims.canonicalBytes))"
        let signature = try key.signature(for: Array(text.utf8))
        return "\(text).\(Base64.encodeForURL(signature.rawRepresentation))"
    }
}
