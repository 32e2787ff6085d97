import Crypto

/// Keys of certificates: P-256, which every client takes and which costs a server the least.
enum OrderKey {
    /// A new one in PEM form.
    static func make() -> String { P256.Signing.PrivateKey().pemRepresentation + "\n" }

    static func digest(_ text: String) -> SHA256Digest { SHA256.hash(data: Array(text.utf8)) }
}
