public import Crypto
public import Model

/// A certificate that vouches for itself, for development and for names that nobody gave one for.
public enum SelfSignedCertificate {
    /// The certificate in DER (RFC 5280).
    /// - Throws: what the signature throws.
    public static func der(
        names: [String], addresses: [[UInt8]], key: P256.Signing.PrivateKey, from start: Timestamp, to end: Timestamp
    ) throws -> [UInt8] {
        var serial = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
        // Above zero and of one length (RFC 5280 section 4.1.2.2).
        serial[0] = serial[0] & 0x7F | 0x40
        let name = CertificateParts.commonName("Roost, self-signed")
        let extensions = DER.sequence(
            CertificateParts.extension([2, 5, 29, 19], isCritical: true, DER.sequence()),
            CertificateParts.extension([2, 5, 29, 15], isCritical: true, DER.bits([0x80], unused: 7)),
            CertificateParts.extension(
                [2, 5, 29, 37], DER.sequence(DER.identifier([1, 3, 6, 1, 5, 5, 7, 3, 1]))),
            CertificateParts.alternativeNames(names, addresses: addresses))
        let content = DER.sequence(
            DER.context(0, DER.integer([2])), DER.integer(serial), CertificateParts.ecdsaWithSHA256, name,
            DER.sequence(DER.time(start.rfc3339), DER.time(end.rfc3339)), name,
            Array(key.publicKey.derRepresentation), DER.context(3, extensions))
        let signature = Array(try key.signature(for: content).derRepresentation)
        return DER.sequence(content, CertificateParts.ecdsaWithSHA256, DER.bits(signature))
    }
}
