import AgentProtocol
import Crypto
public import Host

/// An Ed25519 key pair in OpenSSH's formats: a deploy key.
public struct OpenSSHKeyPair: Sendable, Equatable {
    /// `ssh-ed25519 AAAA… comment`.
    public var publicLine: String
    /// Unencrypted `OPENSSH PRIVATE KEY` armour (openssh PROTOCOL.key).
    public var privatePEM: String

    /// Makes a new pair.
    public static func make(comment: String, random: any RandomSource) throws -> OpenSSHKeyPair {
        let key = try Curve25519.Signing.PrivateKey(rawRepresentation: random.bytes(32))
        let publicKey = Array(key.publicKey.rawRepresentation)
        let publicBlob = field("ssh-ed25519") + field(publicKey)
        let check = random.bytes(4)
        var secret = check + check + publicBlob + field(Array(key.rawRepresentation) + publicKey) + field(comment)
        var padding: UInt8 = 1
        while secret.count % 8 != 0 {
            secret.append(padding)
            padding += 1
        }
        let blob =
            Array("openssh-key-v1\0".utf8) + field("none") + field("none") + field("") + length(1)
            + field(publicBlob) + field(secret)
        return OpenSSHKeyPair(
            publicLine: "ssh-ed25519 \(Base64.encode(publicBlob)) \(comment)", privatePEM: armour(Base64.encode(blob)))
    }

    private static func armour(_ text: String) -> String {
        var lines = ["-----BEGIN OPENSSH PRIVATE KEY-----"]
        var rest = text[...]
        while !rest.isEmpty {
            lines.append(String(rest.prefix(70)))
            rest = rest.dropFirst(70)
        }
        lines.append("-----END OPENSSH PRIVATE KEY-----")
        return lines.joined(separator: "\n") + "\n"
    }

    private static func length(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> (24 - 8 * $0) & 255) } }
    private static func field(_ text: String) -> [UInt8] { field(Array(text.utf8)) }
    private static func field(_ bytes: [UInt8]) -> [UInt8] { length(bytes.count) + bytes }
}
