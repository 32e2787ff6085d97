import AgentProtocol
import Crypto
import Model

/// Signed requests of ACME (RFC 7515, RFC 8555 section 6.2), with an account key on P-256.
struct JSONWebSignature {
    let key: P256.Signing.PrivateKey

    /// The public key (RFC 7518 section 6.2). Its members are in the order that its thumbprint needs.
    var publicKey: JSONValue {
        let raw = Array(key.publicKey.rawRepresentation)
        return [
            "crv": "P-256", "kty": "EC", "x": .string(Self.base64URL(Array(raw[..<32]))),
            "y": .string(Self.base64URL(Array(raw[32...]))),
        ]
    }

    /// What binds a challenge to the account (RFC 8555 section 8.1).
    func keyAuthorization(_ token: String) -> String { "\(token).\(thumbprint)" }

    /// RFC 7638.
    private var thumbprint: String { Self.base64URL(Array(SHA256.hash(data: publicKey.canonicalBytes))) }

    /// The content of the TXT record of a DNS-01 challenge (RFC 8555 section 8.4).
    func dnsValue(_ token: String) -> String {
        Self.base64URL(Array(SHA256.hash(data: Array(keyAuthorization(token).utf8))))
    }

    /// - Parameters:
    ///   - account: the account's address, or nil to send the key itself.
    ///   - payload: nil asks for the resource as it is.
    func sign(_ payload: JSONValue?, url: String, nonce: String, account: String?) throws -> [UInt8] {
        var header: [String: JSONValue] = ["alg": "ES256", "nonce": .string(nonce), "url": .string(url)]
        if let account { header["kid"] = .string(account) } else { header["jwk"] = publicKey }
        let protected = Self.base64URL(JSONValue.object(header).canonicalBytes)
        let content = payload.map { Self.base64URL($0.canonicalBytes) } ?? ""
        let signature = try key.signature(for: Array("\(protected).\(content)".utf8)).rawRepresentation
        let message: JSONValue = [
            "protected": .string(protected), "payload": .string(content),
            "signature": .string(Self.base64URL(Array(signature))),
        ]
        return message.canonicalBytes
    }

    /// RFC 4648 section 5, without padding.
    static func base64URL(_ bytes: [UInt8]) -> String { Base64.encodeForURL(bytes) }
}
