import AgentProtocol
import Crypto
import Host
import Logging
import Model

/// Where certificates are kept: a folder for each set of names, with its record and its files, all 0600.
struct CertificateFolder {
    static let recordBytesMax = 1024 * 1024

    let root: String
    let host: CertificateHost
    let logger: Logger

    /// The same names from the same kind of source are the same certificate.
    static func id(_ wanted: WantedCertificate) -> String {
        let kind =
            switch wanted.source {
            case .acme: "acme"
            case .upload: "upload"
            case .selfSigned: "self-signed"
            }
        return SHA256.hash(data: Array("\(kind) \(wanted.names.joined(separator: " "))".utf8)).prefix(16).hexadecimal
    }

    func certificatePath(_ id: String, _ file: String) -> String { "\(root)/\(id)/\(file).crt" }
    func keyPath(_ id: String, _ file: String) -> String { "\(root)/\(id)/\(file).key" }
    private func recordPath(_ id: String) -> String { "\(root)/\(id)/record.json" }

    /// Nil for one that is not there or says nothing: it is begun anew, and other names do not wait for its mending.
    func record(_ id: String) async throws -> CertificateRecord? {
        let path = recordPath(id)
        guard let bytes = try await host.files.read(path, bytesMax: Self.recordBytesMax) else { return nil }
        var record: CertificateRecord
        do {
            record = try WireCoding.decode(CertificateRecord.self, from: try JSONParser.parse(bytes))
        } catch {
            logger.warning(
                "what is known of a certificate is lost", metadata: ["path": "\(path)", "error": "\(error)"])
            return nil
        }
        if let file = record.current?.file, try await !hasFiles(id, file) { record.current = nil }
        return record
    }

    /// Whether a certificate is there with its key.
    func hasFiles(_ id: String, _ file: String) async throws -> Bool {
        let names = try await host.files.list("\(root)/\(id)")
        if names.contains("\(file).crt"), names.contains("\(file).key") { return true }
        logger.warning("the files of a certificate are gone", metadata: ["path": "\(root)/\(id)/\(file)"])
        return false
    }

    func write(_ record: CertificateRecord, _ id: String) async throws {
        let (path, bytes) = (recordPath(id), try WireCoding.encode(record).canonicalBytes)
        try await host.effect("certificate-record.write") { try await host.files.write(path, bytes, mode: 0o600) }
    }

    func writeKey(_ pem: String, _ id: String, _ file: String) async throws {
        let path = keyPath(id, file)
        try await host.effect("certificate-key.write") {
            try await host.files.write(path, Array(pem.utf8), mode: 0o600)
        }
    }

    func writeChain(_ pem: [UInt8], _ id: String, _ file: String) async throws {
        let path = certificatePath(id, file)
        try await host.effect("certificate-chain.write") { try await host.files.write(path, pem, mode: 0o600) }
    }

    func key(_ id: String, _ file: String) async throws -> P256.Signing.PrivateKey? {
        guard let bytes = try await host.files.read(keyPath(id, file), bytesMax: 16_384) else { return nil }
        do {
            return try P256.Signing.PrivateKey(pemRepresentation: String(decoding: bytes, as: UTF8.self))
        } catch {
            throw Problem(.storage, "A certificate's key cannot be read.", context: keyPath(id, file))
        }
    }

    /// Removes the files that `record` no longer names. The certificate before the current one stays: a table that
    /// shows it may be in force for another moment.
    func tidy(_ id: String, keeping record: CertificateRecord) async throws {
        let kept = [record.current?.file, record.order?.file].compactMap { $0 }
        let names = try await host.files.list("\(root)/\(id)").filter { $0 != "record.json" }
        let stem = { (name: String) in String(name.prefix { $0 != "." }) }
        let stems = Set(names.map(stem))
        // Names begin with the time, so that the order of names is that of age. A failed attempt leaves a key alone.
        let former = Set(names.filter { $0.hasSuffix(".crt") }.map(stem)).subtracting(kept).sorted().suffix(1)
        for stem in stems where !kept.contains(stem) && !former.contains(stem) {
            let paths = [certificatePath(id, stem), keyPath(id, stem)]
            try await host.effect("certificate-files.remove") {
                for path in paths { try await host.files.remove(path) }
            }
        }
    }

    func ids() async throws -> [String] { try await host.files.list(root).filter { $0.utf8.count == 32 } }

    func forget(_ id: String) async throws {
        let path = "\(root)/\(id)"
        try await host.effect("certificate.forget") { try await host.files.remove(path) }
    }

    /// The key of the account, made and kept before it is first used.
    func accountKey() async throws -> P256.Signing.PrivateKey {
        let path = "\(root)/account.key"
        if let bytes = try await host.files.read(path, bytesMax: 16_384) {
            do {
                return try P256.Signing.PrivateKey(pemRepresentation: String(decoding: bytes, as: UTF8.self))
            } catch {
                throw Problem(
                    .storage, "The key of the account with the certificate authority cannot be read.",
                    hint: "Move \(path) away to make a new account.")
            }
        }
        let key = P256.Signing.PrivateKey()
        let pem = Array((key.pemRepresentation + "\n").utf8)
        try await host.effect("certificate-account.write") { try await host.files.write(path, pem, mode: 0o600) }
        return key
    }
}
