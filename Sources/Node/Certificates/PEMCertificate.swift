import CertificateReading
import Model

/// What a chain in PEM form says of itself.
struct PEMCertificate {
    let notBefore: Timestamp
    let notAfter: Timestamp

    /// - Throws: `invalid` unless the chain is readable, the key is its first certificate's, and it has not ended.
    init(chain: [UInt8], key: [UInt8], now: Timestamp) throws(Problem) {
        let facts = try PEMCertificateReader().read(
            certificatePEM: String(decoding: chain, as: UTF8.self), keyPEM: String(decoding: key, as: UTF8.self))
        (notBefore, notAfter) = (facts.notBefore, facts.notAfter)
        guard notAfter > now else { throw Problem(.invalid, "The certificate has ended on \(notAfter.rfc3339).") }
    }
}
