import AgentProtocol
import FoundationEssentials
public import Model
import SwiftASN1
import X509

/// What a certificate says of itself (RFC 5280 section 4.1).
public struct CertificateFacts: Sendable {
    /// Host names that it is for, in lower case; `*.suffix` among them. Other kinds of names are left out.
    public let names: [String]
    /// Who signed it, for people (RFC 4514): `CN=Example Root,O=Example`.
    public let issuer: String
    /// In hexadecimal.
    public let serial: String
    public let notBefore: Timestamp
    public let notAfter: Timestamp
    /// SHA-256 of all of it, in hexadecimal.
    public let fingerprint: String
    let certificate: Certificate

    /// - Throws: what the parser throws of anything that is not exactly one certificate in DER.
    init(der: [UInt8]) throws {
        certificate = try Certificate(derEncoded: der)
        fingerprint = sha256Hex(der)
        serial = Array(certificate.serialNumber.bytes).hexadecimal
        let plain = certificate.issuer.description.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }
        issuer = String(String.UnicodeScalarView(plain.prefix(500)))
        notBefore = Self.timestamp(certificate.notValidBefore)
        notAfter = Self.timestamp(certificate.notValidAfter)
        names =
            try certificate.extensions.subjectAlternativeNames?.compactMap { name in
                guard case .dnsName(let text) = name, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                    return nil
                }
                return text.lowercased()
            } ?? []
    }

    private static func timestamp(_ date: Date) -> Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(date.timeIntervalSince1970 * 1000))
    }

    /// Whether clients that ask for this name accept it (RFC 9525 section 6.3: `*` stands for exactly one label).
    public func covers(_ name: String) -> Bool {
        if names.contains(name) { return true }
        guard !name.hasPrefix("*."), let dot = name.firstIndex(of: "."), dot > name.startIndex else { return false }
        return names.contains("*\(name[dot...])")
    }

    /// Whether `authority` may sign certificates, and did sign this one.
    public func isSigned(by authority: CertificateFacts) -> Bool {
        guard certificate.issuer == authority.certificate.subject, authority.isAuthority else { return false }
        return authority.certificate.publicKey.isValidSignature(certificate.signature, for: certificate)
    }

    private var isAuthority: Bool {
        do {
            guard case .isCertificateAuthority = try certificate.extensions.basicConstraints else { return false }
            return true
        } catch {
            // One that cannot be read gives no right to sign.
            return false
        }
    }
}
