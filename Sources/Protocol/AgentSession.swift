public import Crypto
import Model

/// `POST /api/v1/agent/sessions`, signed with the agent's key: opens a session.
public struct SessionRequest: Codable, Sendable, Equatable {
    /// X25519 public key (RFC 7748) that was made for this session alone, base64.
    public var publicKey: String

    public init(publicKey: String) { self.publicKey = publicKey }
}

/// The hub's half of a session.
public struct SessionResponse: Codable, Sendable, Equatable {
    /// 8 bytes in hex; the first half of each nonce of the session.
    public var sessionId: String
    /// X25519 public key that was made for this session alone, base64.
    public var publicKey: String
    /// For how long the hub knows the session, counted from its answer.
    public var lifetimeMs: Int64
    /// Ed25519 of the hub over ``AgentSession/transcript(_:nodeId:agentKey:)``, base64.
    public var signature: String

    public init(sessionId: String, publicKey: String, lifetimeMs: Int64, signature: String) {
        self.sessionId = sessionId
        self.publicKey = publicKey
        self.lifetimeMs = lifetimeMs
        self.signature = signature
    }
}

/// What an agent and one hub agreed on, so that requests are proven by a code that costs a fraction of a signature.
///
/// Both sides make a fresh key pair; the agent's half is signed with the agent's key, the hub's with the hub's, which
/// the agent pins. Who learns those keys later learns no session's key. Held in memory alone, on both sides.
public struct AgentSession: Sendable {
    public let id: UInt64
    public let key: SymmetricKey

    /// The text that the hub signs: all that the agent has to believe of its answer, and for which question it is.
    public static func transcript(_ response: SessionResponse, nodeId: String, agentKey: String) -> [UInt8] {
        let lines = [
            "roost session v1", nodeId, response.sessionId, agentKey, response.publicKey, String(response.lifetimeMs),
        ]
        return Array(lines.joined(separator: "\n").utf8)
    }

    /// Derives the session's key (HKDF-SHA256, RFC 5869) from what only the two can compute.
    ///
    /// - Parameters:
    ///   - own: the private half of this side's key.
    ///   - agentKey: base64, as it was sent; so is `hubKey`.
    /// - Throws: `untrusted` for a key or an id that is none.
    public init(
        id text: String, own: Curve25519.KeyAgreement.PrivateKey, agentKey: String, hubKey: String, nodeId: String
    ) throws {
        let ownText = Base64.encode(Array(own.publicKey.rawRepresentation))
        guard let agentRaw = Base64.decode(agentKey), let hubRaw = Base64.decode(hubKey), agentRaw.count == 32,
            hubRaw.count == 32, ownText == agentKey || ownText == hubKey, let id = SessionNonce.half(text)
        else { throw Self.refused }
        do {
            let other = try Curve25519.KeyAgreement.PublicKey(
                rawRepresentation: ownText == agentKey ? hubRaw : agentRaw)
            let shared = try own.sharedSecretFromKeyAgreement(with: other)
            // With a few keys the outcome would be known to everybody (RFC 7748 section 6.1).
            guard shared.withUnsafeBytes({ $0.contains { $0 != 0 } }) else { throw Self.refused }
            self.id = id
            key = shared.hkdfDerivedSymmetricKey(
                using: SHA256.self, salt: agentRaw + hubRaw,
                sharedInfo: Array("roost session v1\n\(nodeId)\n\(text)".utf8),
                outputByteCount: 32)
        } catch {
            throw Self.refused
        }
    }

    private static let refused = Problem(.untrusted, "The keys of the session cannot be used.")
}

/// The nonce of a request in a session: which session it is, and the number of the request in it.
public struct SessionNonce: Sendable, Equatable {
    public var session: UInt64
    /// From 1 on.
    public var number: UInt64

    public init(session: UInt64, number: UInt64) {
        self.session = session
        self.number = number
    }

    /// Nil for anything but 32 lower-case hexadecimal digits.
    public init?(_ text: String) {
        guard text.utf8.count == 32, let session = Self.half(text.utf8.prefix(16)),
            let number = Self.half(text.utf8.suffix(16))
        else { return nil }
        self.init(session: session, number: number)
    }

    public var text: String { Self.text(session) + Self.text(number) }

    /// One half: 16 lower-case hexadecimal digits.
    public static func text(_ value: UInt64) -> String {
        stride(from: UInt64(56), through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }.hexadecimal
    }

    static func half(_ text: String) -> UInt64? { half(text.utf8[...]) }

    private static func half(_ digits: Substring.UTF8View) -> UInt64? {
        guard digits.count == 16 else { return nil }
        var value: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): value = value << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): value = value << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            default: return nil
            }
        }
        return value
    }
}
