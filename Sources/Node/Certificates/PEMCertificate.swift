import Model
import NIOSSL

/// What a chain in PEM form says of itself.
struct PEMCertificate {
    let notBefore: Timestamp
    let notAfter: Timestamp

    /// - Throws: `invalid` unless the chain is readable, the key is its first certificate's, and it has not ended.
    init(chain: [UInt8], key: [UInt8], now: Timestamp) throws(Problem) {
        let certificates: [NIOSSLCertificate]
        do {
            certificates = try NIOSSLCertificate.fromPEMBytes(chain)
        } catch {
            throw Problem(.invalid, "The certificate cannot be read.", hint: "It must be in PEM form.")
        }
        guard let leaf = certificates.first else {
            throw Problem(.invalid, "The certificate cannot be read.", hint: "It must be in PEM form.")
        }
        let privateKey: NIOSSLPrivateKey
        do {
            privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem)
        } catch {
            throw Problem(
                .invalid, "The private key cannot be read.", hint: "It must be in PEM form, without a passphrase.")
        }
        do {
            _ = try NIOSSLContext(
                configuration: .makeServerConfiguration(
                    certificateChain: certificates.map { .certificate($0) }, privateKey: .privateKey(privateKey)))
        } catch {
            throw Problem(.invalid, "The private key is not that of the certificate.")
        }
        notBefore = Timestamp(millisecondsSinceEpoch: Int64(leaf.notValidBefore) * 1000)
        notAfter = Timestamp(millisecondsSinceEpoch: Int64(leaf.notValidAfter) * 1000)
        guard notAfter > now else { throw Problem(.invalid, "The certificate has ended on \(notAfter.rfc3339).") }
    }
}
