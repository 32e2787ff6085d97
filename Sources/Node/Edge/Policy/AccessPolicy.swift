import AgentProtocol
import Crypto
import Model

/// Who may pass a route, made ready for questions.
final class AccessPolicy: Sendable {
    let isDenied: Bool
    let basic: BasicAccess?
    let tokens: TokenSet?
    let forward: ForwardAccess?
    let passesCredentials: Bool
    private let networks: [(network: Network, isAllowed: Bool)]
    private let allowsOthers: Bool

    init(_ source: EdgeAccess, verifier: CredentialVerifier, upstreamById: [String: Int]) {
        isDenied = source.isDenied
        basic = source.basic.map { BasicAccess($0, verifier: verifier) }
        tokens = source.tokenHashes.isEmpty ? nil : TokenSet(source.tokenHashes)
        forward = source.forward.flatMap { forward in
            upstreamById[forward.upstreamId].map { ForwardAccess(forward, upstream: $0) }
        }
        passesCredentials = source.passesCredentials
        networks = source.networks.compactMap { rule in
            Network(rule.network).map { (network: $0, isAllowed: rule.isAllowed) }
        }
        allowsOthers = !source.networks.contains { $0.isAllowed }
    }

    /// Whether the lists of networks let a client pass. One whose address is not known is refused by any list.
    func allows(_ client: ClientAddress?) -> Bool {
        guard !networks.isEmpty else { return true }
        guard let client else { return false }
        return networks.first { $0.network.holds(client) }?.isAllowed ?? allowsOthers
    }

    /// The field that tells a client how to prove who it is (RFC 9110 section 11.6.1).
    var challenge: String {
        if let basic { return "WWW-Authenticate: Basic realm=\"\(basic.realm)\", charset=\"UTF-8\"\r\n" }
        return "WWW-Authenticate: Bearer\r\n"
    }
}

/// Users of a route.
final class BasicAccess: Sendable {
    let realm: String
    let verifier: CredentialVerifier
    private let hashes: [[UInt8]: String]
    private let anyHash: String

    init(_ source: EdgeBasicAuth, verifier: CredentialVerifier) {
        realm = source.realm
        self.verifier = verifier
        hashes = Dictionary(
            source.users.map { (Array($0.name.utf8), $0.passwordHash) }, uniquingKeysWith: { first, _ in first })
        anyHash = source.users.first?.passwordHash ?? ""
    }

    /// The hash to check a user's phrase against; somebody else's for a name that does not exist.
    func hash(of name: [UInt8]) -> (hash: String, isUser: Bool) {
        hashes[name].map { ($0, true) } ?? (anyHash, false)
    }

    struct Credentials: Equatable {
        var name: [UInt8]
        var phrase: [UInt8]
    }

    /// Reads the value of `Authorization: Basic …` (RFC 7617 section 2).
    static func credentials(_ value: [UInt8]) -> Credentials? {
        guard value.count > 6, value.count <= 1024, value[5] == ByteClass.space,
            String(decoding: value[..<5], as: UTF8.self).lowercased() == "basic",
            let decoded = decodeBase64(value[6...].drop { $0 == ByteClass.space }),
            let colon = decoded.firstIndex(of: ByteClass.colon)
        else { return nil }
        return Credentials(name: Array(decoded[..<colon]), phrase: Array(decoded[(colon + 1)...]))
    }

    private static func decodeBase64(_ text: ArraySlice<UInt8>) -> [UInt8]? {
        var out: [UInt8] = []
        var buffer: UInt32 = 0
        var bits = 0
        var text = text
        while text.last == UInt8(ascii: "=") { text.removeLast() }
        for byte in text {
            guard let value = Base64.value(of: byte) else { return nil }
            buffer = (buffer << 6 | value) & 0xFFFFFF
            bits += 6
            if bits >= 8 {
                bits -= 8
                out.append(UInt8(truncatingIfNeeded: buffer >> UInt32(bits)))
            }
        }
        return out
    }
}

/// Tokens of a route, by their hashes.
struct TokenSet: Sendable {
    static let tokenBytesMax = 1024
    /// First half of a hash → the second halves.
    private let hashes: [[UInt8]: [[UInt8]]]

    init(_ texts: [String]) {
        var hashes: [[UInt8]: [[UInt8]]] = [:]
        for text in texts {
            let digits = text.utf8.compactMap { ByteClass.hexValue($0) }
            let bytes = stride(from: 0, to: digits.count - 1, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
            hashes[Array(bytes.prefix(16)), default: []].append(Array(bytes.dropFirst(16)))
        }
        self.hashes = hashes
    }

    /// What is looked up is a hash that nobody can steer, so that the time it takes tells nothing of a token.
    func holds(_ token: [UInt8]) -> Bool {
        guard !token.isEmpty, token.count <= Self.tokenBytesMax else { return false }
        let digest = Array(SHA256.hash(data: token))
        guard let candidates = hashes[Array(digest.prefix(16))] else { return false }
        return candidates.contains { CredentialVerifier.isEqual($0, digest.dropFirst(16)) }
    }

    /// The token of `Authorization: Bearer …` (RFC 6750 section 2.1).
    static func bearer(_ value: [UInt8]) -> [UInt8]? {
        guard value.count > 7, value[6] == ByteClass.space,
            String(decoding: value[..<6], as: UTF8.self).lowercased() == "bearer"
        else { return nil }
        return Array(value[7...].drop { $0 == ByteClass.space })
    }
}

/// A service that is asked about each request.
struct ForwardAccess: Sendable {
    let upstream: Int
    let path: [UInt8]
    let timeout: UInt64
    /// Lower case.
    let copied: [[UInt8]]
    let copiedNames: [String]

    init(_ source: EdgeForwardAuth, upstream: Int) {
        self.upstream = upstream
        path = Array(source.path.utf8)
        timeout = UInt64(source.timeoutMs) * 1_000_000
        copied = source.copiedHeaders.map { Array($0.lowercased().utf8) }
        copiedNames = source.copiedHeaders
    }
}
