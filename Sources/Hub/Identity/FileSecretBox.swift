import AgentProtocol
import Crypto
public import Host
import Model
public import ResourceKit

/// Seals secrets with ChaCha20-Poly1305 (RFC 8439) under the hub's master key.
public struct FileSecretBox: SecretBox {
    private static let prefix = "sealed:"
    private static let authenticated = Array("roost secret v1".utf8)

    private let key: SymmetricKey
    private let random: any RandomSource

    /// - Parameter key: 32 random bytes, kept in a file that only the hub can read.
    public init(key: [UInt8], random: any RandomSource) {
        precondition(key.count == 32, "a master key has 32 bytes")
        self.key = SymmetricKey(data: key)
        self.random = random
    }

    /// Seals a text. One that this box has sealed is returned unchanged; one that only looks sealed is sealed.
    public func seal(_ plain: String) throws -> String {
        if plain.hasPrefix(Self.prefix), opened(plain) != nil { return plain }
        do {
            let box = try ChaChaPoly.seal(
                Array(plain.utf8), using: key, nonce: try ChaChaPoly.Nonce(data: random.bytes(12)),
                authenticating: Self.authenticated)
            return Self.prefix + Base64.encode(Array(box.combined))
        } catch {
            throw Problem(.internalError, "A secret could not be encrypted.", context: "\(error)")
        }
    }

    /// - Throws: `storage_failed` when the text was sealed under another key or was changed.
    public func open(_ sealed: String) throws -> String {
        guard sealed.hasPrefix(Self.prefix) else { return sealed }
        guard let plain = opened(sealed) else {
            throw Problem(
                .storage, "A stored secret cannot be decrypted.",
                hint: "The master key in the hub's data folder is not the one that it was stored with.")
        }
        return plain
    }

    private func opened(_ sealed: String) -> String? {
        guard let bytes = Base64.decode(String(sealed.dropFirst(Self.prefix.count))) else { return nil }
        // Why a text does not open (too short, other key, changed) makes no difference to any caller.
        guard let box = try? ChaChaPoly.SealedBox(combined: bytes),
            let plain = try? ChaChaPoly.open(box, using: key, authenticating: Self.authenticated)
        else { return nil }
        return String(decoding: plain, as: UTF8.self)
    }
}

extension FileSecretBox {
    /// The box of a data folder: reads the master key file, or makes it (mode 0600) when there is none.
    /// - Throws: `storage_failed` when the file cannot be read or made, or holds anything but a key.
    public init(keyFile path: String, random: any RandomSource) throws {
        if let text = try SecretFile.read(path) {
            guard let key = Base64.decode(String(text.prefix { $0 != "\n" })), key.count == 32 else {
                throw Problem(
                    .storage, "The file \(path) does not hold a master key.", hint: "Restore it from a backup.")
            }
            self.init(key: key, random: random)
        } else {
            let key = random.bytes(32)
            try SecretFile.write(path, Base64.encode(key) + "\n")
            self.init(key: key, random: random)
        }
    }
}
