public import Model
import SwiftASN1
import X509

/// A certificate, and after it those of its authorities.
public struct CertificateChain: Sendable {
    /// Never empty.
    public let certificates: [CertificateFacts]

    /// The one that a server shows for itself.
    public var own: CertificateFacts { certificates[0] }

    /// Reads certificates in PEM form.
    /// - Returns: nil when one of them cannot be read, when there is none, or when something else is among them.
    public init?(pem: String) {
        guard let blocks = PEMText.read(pem), blocks.allSatisfy({ $0.discriminator == "CERTIFICATE" }) else {
            return nil
        }
        do {
            certificates = try blocks.map { try CertificateFacts(der: $0.derBytes) }
        } catch {
            return nil
        }
    }

    /// The same chain with more certificates behind.
    public init(_ first: CertificateChain, _ more: CertificateChain) {
        certificates = first.certificates + more.certificates
    }

    /// Index of the first certificate that did not sign the one before it.
    public var firstOutOfOrder: Int? {
        certificates.indices.dropFirst().first { !certificates[$0 - 1].isSigned(by: certificates[$0]) }
    }

    /// Why a private key does not go with the chain, to follow the name of its field; nil when it does.
    ///
    /// - Parameter keyPEM: PKCS #8 (RFC 5958), SEC 1 (RFC 5915) or PKCS #1 (RFC 8017).
    public func flaw(ofKey keyPEM: String) -> String? {
        if keyPEM.contains("ENCRYPTED") { return "must not be locked with a passphrase" }
        let unreadable = "must be a private key in PEM form: RSA of at least 2048 bits, ECDSA or Ed25519"
        // Some tools put the parameters of the curve in front.
        guard let block = PEMText.read(keyPEM)?.first(where: { $0.discriminator.hasSuffix("PRIVATE KEY") }) else {
            return unreadable
        }
        do {
            let key = try Certificate.PrivateKey(pemDocument: block)
            return key.publicKey == own.certificate.publicKey ? nil : "is not the key of the certificate"
        } catch {
            return unreadable
        }
    }

    /// Reads a chain and the key of its own certificate.
    /// - Throws: `invalid`, with the field `certificate_pem` or `key_pem`, unless both can be read, belong together and
    ///   have not ended. Nothing of the key is in it.
    public static func checked(
        certificatePEM: String, keyPEM: String, now: Timestamp
    ) throws(Problem) -> CertificateChain {
        guard let chain = CertificateChain(pem: certificatePEM) else {
            throw Problem.invalid("certificate_pem", "must be certificates in PEM form")
        }
        if let flaw = chain.flaw(ofKey: keyPEM) { throw Problem.invalid("key_pem", flaw) }
        guard chain.own.notAfter > now else {
            throw Problem.invalid("certificate_pem", "has ended on \(chain.own.notAfter.rfc3339)")
        }
        return chain
    }
}
