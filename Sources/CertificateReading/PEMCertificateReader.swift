public import Model
import NIOSSL

/// Reads certificates with the library that also serves them: what passes here can be served.
public struct PEMCertificateReader: CertificateReader {
    public init() {}

    /// Reads a chain and the key of its first certificate.
    /// - Throws: `invalid` unless both can be read and belong together.
    public func read(certificatePEM: String, keyPEM: String) throws(Problem) -> CertificateFacts {
        let unreadable = Self.refusal(
            "certificate_pem", "The certificate cannot be read.", hint: "It must be in PEM form.")
        let certificates: [NIOSSLCertificate]
        do {
            certificates = try NIOSSLCertificate.fromPEMBytes(Array(certificatePEM.utf8))
        } catch {
            throw unreadable
        }
        guard let leaf = certificates.first else { throw unreadable }
        let key: NIOSSLPrivateKey
        do {
            key = try NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem)
        } catch {
            throw Self.refusal(
                "key_pem", "The private key cannot be read.", hint: "It must be in PEM form, without a passphrase.")
        }
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(key)))
        } catch {
            throw Self.refusal("key_pem", "The private key is not that of the certificate.", hint: nil)
        }
        let names = leaf._subjectAlternativeNames().filter { $0.nameType == .dnsName }
            .map { String(decoding: $0.contents, as: UTF8.self).lowercased() }
        return CertificateFacts(
            names: names, notBefore: Timestamp(millisecondsSinceEpoch: Int64(leaf.notValidBefore) * 1000),
            notAfter: Timestamp(millisecondsSinceEpoch: Int64(leaf.notValidAfter) * 1000))
    }

    private static func refusal(_ field: String, _ message: String, hint: String?) -> Problem {
        Problem(.invalid, message, hint: hint, fields: [field: message])
    }
}
