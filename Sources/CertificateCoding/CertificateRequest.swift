public import Crypto
import SwiftASN1
import X509

/// A request for a certificate (PKCS #10, RFC 2986), by which the holder of a key asks for names.
public enum CertificateRequest {
    /// The request in DER, signed with the key that the certificate will be for.
    /// - Parameter names: DNS names; wildcards too.
    /// - Throws: what the signature throws.
    public static func der(names: [String], key: P256.Signing.PrivateKey) throws -> [UInt8] {
        let extensions = try Certificate.Extensions { SubjectAlternativeNames(names.map { .dnsName($0) }) }
        // No common name: it is obsolete, and 64 bytes are too few for many a host name.
        let request = try CertificateSigningRequest(
            version: .v1, subject: DistinguishedName(), privateKey: Certificate.PrivateKey(key),
            attributes: .init([.init(ExtensionRequest(extensions: extensions))]))
        return try DER.Serializer.serialized(element: request)
    }
}
