public import Crypto
import FoundationEssentials
public import Model
import SwiftASN1
import X509

/// A certificate that vouches for itself, for development and for names that nobody gave one for.
public enum SelfSignedCertificate {
    /// The certificate in PEM form.
    /// - Parameter addresses: of 4 or 16 bytes.
    /// - Throws: what the signature throws.
    public static func pem(
        names: [String], addresses: [[UInt8]], key: P256.Signing.PrivateKey, from start: Timestamp, to end: Timestamp
    ) throws -> String {
        let name = try DistinguishedName { CommonName("Roost, self-signed") }
        let alternatives: [GeneralName] =
            names.map { .dnsName($0) } + addresses.map { .ipAddress(ASN1OctetString(contentBytes: $0[...])) }
        let signer = Certificate.PrivateKey(key)
        let certificate = try Certificate(
            version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: signer.publicKey,
            notValidBefore: date(start), notValidAfter: date(end), issuer: name, subject: name,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                Critical(KeyUsage(digitalSignature: true))
                try ExtendedKeyUsage([.serverAuth])
                SubjectAlternativeNames(alternatives)
            }, issuerPrivateKey: signer)
        return PEMText.encode("CERTIFICATE", try DER.Serializer.serialized(element: certificate))
    }

    private static func date(_ time: Timestamp) -> Date {
        Date(timeIntervalSince1970: Double(time.millisecondsSinceEpoch / 1000))
    }
}

extension DER.Serializer {
    /// The bytes of one element.
    static func serialized(element: some DERSerializable) throws -> [UInt8] {
        var serializer = DER.Serializer()
        try serializer.serialize(element)
        return serializer.serializedBytes
    }
}
