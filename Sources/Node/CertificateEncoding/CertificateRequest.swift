public import Crypto

/// A request for a certificate (PKCS #10, RFC 2986), by which the holder of a key asks for names.
public enum CertificateRequest {
    /// The request in DER, signed with the key that the certificate will be for.
    /// - Parameter names: DNS names; wildcards too.
    /// - Throws: what the signature throws.
    public static func der(names: [String], key: P256.Signing.PrivateKey) throws -> [UInt8] {
        let extensions = DER.sequence(CertificateParts.alternativeNames(names))
        let attribute = DER.sequence(DER.identifier([1, 2, 840, 113549, 1, 9, 14]), DER.set(extensions))
        // No common name: it is obsolete, and 64 bytes are too few for many a host name.
        let content = DER.sequence(
            DER.integer([0]), DER.sequence(), Array(key.publicKey.derRepresentation), DER.context(0, attribute))
        let signature = Array(try key.signature(for: content).derRepresentation)
        return DER.sequence(content, CertificateParts.ecdsaWithSHA256, DER.bits(signature))
    }
}
