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

/// Headers of an agent's request that prove who sent it: by the agent's key, or by that of a session that it opened.
///
/// Proven text: `roost request v1`, method, path with query, node, time in milliseconds, nonce and the SHA-256 of the
/// body, one a line.
public struct RequestSignature: Sendable, Equatable {
    /// How far the agent's clock may be off, and for how long the hub must remember a nonce (twice this).
    public static let window: Duration = .seconds(300)

    /// What stands under the text, in base64.
    public enum Proof: Sendable, Equatable {
        /// Ed25519, with the agent's key.
        case signature(String)
        /// HMAC-SHA256, with the key of an ``AgentSession``.
        case sessionMAC(String)
    }

    public var nodeId: String
    public var timeMs: Int64
    /// 16 bytes in hex, never used twice: random ones, or session and number of the request; see ``SessionNonce``.
    public var nonce: String
    public var proof: Proof

    public init(nodeId: String, timeMs: Int64, nonce: String, proof: Proof) {
        self.nodeId = nodeId
        self.timeMs = timeMs
        self.nonce = nonce
        self.proof = proof
    }

    public static let nodeHeader = "Roost-Node"
    public static let timeHeader = "Roost-Time"
    public static let nonceHeader = "Roost-Nonce"
    public static let signatureHeader = "Roost-Signature"
    public static let macHeader = "Roost-Mac"

    /// As they are sent.
    public var headers: [(name: String, value: String)] {
        let proven =
            switch proof {
            case .signature(let text): (Self.signatureHeader, text)
            case .sessionMAC(let text): (Self.macHeader, text)
            }
        return [
            (Self.nodeHeader, nodeId), (Self.timeHeader, String(timeMs)), (Self.nonceHeader, nonce), proven,
        ]
    }

    /// Reads what ``headers`` has; nil when a part is missing, or when there are two proofs.
    public init?(header: (_ name: String) -> String?) {
        let proof: Proof? =
            switch (header(Self.signatureHeader), header(Self.macHeader)) {
            case (let text?, nil): .signature(text)
            case (nil, let text?): .sessionMAC(text)
            case (nil, nil), (_?, _?): nil
            }
        guard let proof, let nodeId = header(Self.nodeHeader), let nonce = header(Self.nonceHeader),
            let timeMs = header(Self.timeHeader).flatMap(Int64.init)
        else { return nil }
        self.init(nodeId: nodeId, timeMs: timeMs, nonce: nonce, proof: proof)
    }

    /// The proven text of a request.
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
        let timeMs = time.millisecondsSinceEpoch
        let text = message(method: method, path: path, nodeId: nodeId, timeMs: timeMs, nonce: nonce, body: body)
        return RequestSignature(
            nodeId: nodeId, timeMs: timeMs, nonce: nonce,
            proof: .signature(Base64.encode(Array(try key.signature(for: text)))))
    }

    /// Authenticates a request with the key of a session.
    public static func authenticate(
        method: String, path: String, body: [UInt8], nodeId: String, time: Timestamp, nonce: SessionNonce,
        key: SymmetricKey
    ) -> RequestSignature {
        let timeMs = time.millisecondsSinceEpoch
        let text = message(method: method, path: path, nodeId: nodeId, timeMs: timeMs, nonce: nonce.text, body: body)
        let code = HMAC<SHA256>.authenticationCode(for: text, using: key)
        return RequestSignature(
            nodeId: nodeId, timeMs: timeMs, nonce: nonce.text, proof: .sessionMAC(Base64.encode(Array(code))))
    }

    /// Whether the signature is the key's and the time is inside the window around `now`.
    public func isValid(
        method: String, path: String, body: [UInt8], now: Timestamp, key: Curve25519.Signing.PublicKey
    ) -> Bool {
        guard case .signature(let text) = proof, isTimely(now), let raw = Base64.decode(text) else { return false }
        return key.isValidSignature(raw, for: message(method: method, path: path, body: body))
    }

    /// Whether the authentication code was made with the session's key and the time is inside the window around `now`.
    public func isValid(method: String, path: String, body: [UInt8], now: Timestamp, key: SymmetricKey) -> Bool {
        guard case .sessionMAC(let text) = proof, isTimely(now), let raw = Base64.decode(text),
            raw.count == SHA256.byteCount
        else { return false }
        // Compares without telling by the time taken how much of it is right.
        return HMAC<SHA256>.isValidAuthenticationCode(
            raw, authenticating: message(method: method, path: path, body: body), using: key)
    }

    private func message(method: String, path: String, body: [UInt8]) -> [UInt8] {
        Self.message(method: method, path: path, nodeId: nodeId, timeMs: timeMs, nonce: nonce, body: body)
    }

    private func isTimely(_ now: Timestamp) -> Bool {
        let isNear = timeMs.subtractingReportingOverflow(now.millisecondsSinceEpoch)
        return !isNear.overflow && isNear.partialValue.magnitude <= UInt64(Self.window.milliseconds)
            && nonce.utf8.count == 32 && nonce.utf8.allSatisfy(Self.isHexadecimal)
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
    }
}
