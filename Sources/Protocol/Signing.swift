public import Crypto
public import Model

/// SHA-256 in lower-case hex.
public func sha256Hex(_ bytes: some Sequence<UInt8>) -> String {
    sha256Hex(SHA256.hash(data: (bytes as? [UInt8]) ?? Array(bytes)))
}

/// A finished digest as lower-case hexadecimal.
public func sha256Hex(_ digest: SHA256Digest) -> String {
    digest.hexadecimal
}

/// The signature under a desired state. Node and generation are inside the signed text as well as inside the document,
/// so that no document of another node or time can be passed off.
public enum DocumentSignature {
    /// The signed text.
    public static func message(hash: String, nodeId: String, generation: Int64) -> [UInt8] {
        Array("roost desired state v1\n\(nodeId)\n\(generation)\n\(hash)".utf8)
    }
}

/// Headers of a signed agent request.
///
/// Signed text: `roost request v1`, method, path with query, node, time in milliseconds, nonce and the SHA-256 of the
/// body, one a line.
public struct RequestSignature: Sendable, Equatable {
    /// How far the agent's clock may be off, and for how long the hub must remember a nonce (twice this).
    public static let window: Duration = .seconds(300)

    public var nodeId: String
    public var timeMs: Int64
    /// 16 random bytes in hex; never used twice.
    public var nonce: String
    /// Ed25519, base64.
    public var signature: String

    public init(nodeId: String, timeMs: Int64, nonce: String, signature: String) {
        self.nodeId = nodeId
        self.timeMs = timeMs
        self.nonce = nonce
        self.signature = signature
    }

    public static let nodeHeader = "Roost-Node"
    public static let timeHeader = "Roost-Time"
    public static let nonceHeader = "Roost-Nonce"
    public static let signatureHeader = "Roost-Signature"

    /// The signed text of a request.
    public static func message(
        method: String, path: String, nodeId: String, timeMs: Int64, nonce: String, body: [UInt8]
    ) -> [UInt8] {
        Array("roost request v1\n\(method)\n\(path)\n\(nodeId)\n\(timeMs)\n\(nonce)\n\(sha256Hex(body))".utf8)
    }

    /// Signs a request with the agent's key.
    public static func sign(
        method: String, path: String, body: [UInt8], nodeId: String, time: Timestamp, nonce: String,
        key: Curve25519.Signing.PrivateKey
    ) throws -> RequestSignature {
        let text = message(
            method: method, path: path, nodeId: nodeId, timeMs: time.millisecondsSinceEpoch, nonce: nonce, body: body)
        let signature = try key.signature(for: text)
        return RequestSignature(
            nodeId: nodeId, timeMs: time.millisecondsSinceEpoch, nonce: nonce,
            signature: Base64.encode(Array(signature)))
    }

    /// Whether the signature is the key's and the time is inside the window around `now`.
    public func isValid(
        method: String, path: String, body: [UInt8], now: Timestamp, key: Curve25519.Signing.PublicKey
    ) -> Bool {
        guard abs(timeMs - now.millisecondsSinceEpoch) <= Self.window.milliseconds, nonce.utf8.count == 32,
            nonce.utf8.allSatisfy(Self.isHexadecimal), let raw = Base64.decode(signature)
        else { return false }
        let text = Self.message(method: method, path: path, nodeId: nodeId, timeMs: timeMs, nonce: nonce, body: body)
        return key.isValidSignature(raw, for: text)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }
}
