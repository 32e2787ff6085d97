import AgentProtocol
import Model
import ResourceKit
import TestSupport
import Testing

@testable import NamesResources

@Suite struct CertificateTests {
    private func flaw(_ certificate: String, _ key: String, _ chain: String? = nil) -> [String: String] {
        var flaws = FieldFlaws()
        var spec: [String: JSONValue] = ["cert_pem": .string(certificate), "key_pem": .string(key)]
        spec["chain_pem"] = chain.map { .string($0) }
        Certificates.validate(spec, &flaws)
        return flaws.reasons
    }

    private typealias Sample = SampleCertificates

    @Test(
        "a certificate and its key",
        arguments: [
            (Sample.curve, Sample.curveKey), (Sample.curve, Sample.curveKeySEC1), (Sample.rsa, Sample.rsaKey),
            (Sample.rsa, Sample.rsaKeyPKCS1), (Sample.edwards, Sample.edwardsKey), (Sample.foreign, Sample.foreignKey),
        ])
    func together(_ certificate: String, _ key: String) {
        #expect(flaw(certificate, key) == [:])
        #expect(flaw(certificate, key, Sample.authority) == [:])
        #expect(flaw(certificate + "\n" + Sample.authority, key) == [:])
        #expect(flaw(certificate.split(separator: "\n").joined(separator: "\r\n"), key) == [:])
    }

    @Test func everyOtherKeyIsRefused() {
        let certificates = [Sample.curve, Sample.rsa, Sample.edwards, Sample.foreign]
        let keys = [Sample.curveKey, Sample.rsaKey, Sample.edwardsKey, Sample.foreignKey]
        for (index, certificate) in certificates.enumerated() {
            for (other, key) in keys.enumerated() where other != index {
                #expect(flaw(certificate, key)["key_pem"] == "is not the key of the certificate")
            }
        }
    }

    @Test func hostileTextsAreRefusedAndNothingElseHappens() {
        let certificate = Sample.curve
        for text in [
            "", "x", Sample.curveKey, String(certificate.dropLast(30)), "-----BEGIN CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\nMIIB////\n-----END CERTIFICATE-----",
            "-----BEGIN CERTIFICATE-----\n\u{0}\n-----END CERTIFICATE-----",
        ] {
            #expect(flaw(text, Sample.curveKey)["cert_pem"] != nil)
            #expect(flaw(certificate, text == Sample.curveKey ? certificate : text)["key_pem"] != nil)
        }
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----"
        #expect(flaw(certificate, locked)["key_pem"] == "must not be locked with a passphrase")
    }

    @Test func noByteCanBeChangedIntoATrap() throws {
        let bytes = try #require(PEMBlocks.read(Sample.rsa)?.first?.bytes)
        for index in bytes.indices {
            for value in [UInt8(0), 0x7F, 0x80, 0x84, 0xFF] {
                var changed = bytes
                changed[index] = value
                // Read or refused, and never a trap.
                _ = try? X509Certificate(der: changed)
            }
            #expect(throws: DERReader.Flaw.self) { try X509Certificate(der: Array(bytes[..<index])) }
        }
    }

    @Test func aChainOutOfOrderIsRefused() {
        #expect(flaw(Sample.curve, Sample.curveKey, Sample.rsa)["chain_pem"] != nil)
        #expect(flaw(Sample.curve, Sample.curveKey, "x")["chain_pem"] != nil)
        #expect(flaw(Sample.curve, Sample.curveKey, Sample.authority + "\n" + Sample.rsa)["chain_pem"] != nil)
    }

    @Test(
        "signatures of every kind",
        arguments: [
            SelfSigned.rsaSHA256, SelfSigned.rsaSHA512, SelfSigned.pssSHA256, SelfSigned.pssSHA384, SelfSigned.p256,
            SelfSigned.p384, SelfSigned.p521, SelfSigned.edwards,
        ])
    func signed(_ text: String) throws {
        let one = try #require(Certificates.chain(text, nil)?.first)
        #expect(one.signature.check(with: one.publicKey) == .genuine)
        for other in [SelfSigned.rsaSHA256, SelfSigned.pssSHA256, SelfSigned.p256, SelfSigned.edwards]
        where other != text {
            let authority = try #require(Certificates.chain(other, nil)?.first)
            #expect(one.signature.check(with: authority.publicKey) == .forged)
        }
        // A byte of what was signed.
        var bytes = try #require(PEMBlocks.read(text)?.first?.bytes)
        bytes[one.signature.content.startIndex + 18] ^= 1
        let changed = try CertificateSignature(Self.inside(bytes))
        #expect(changed.check(with: one.publicKey) == .forged)
    }

    private static func inside(_ der: [UInt8]) throws -> DERReader {
        var outer = DERReader(der[...])
        return try outer.next(DERReader.Tag.sequence).reader
    }

    @Test func aSignatureThatIsNotTakenIsNeitherGenuineNorForged() throws {
        let old = try #require(Certificates.chain(SelfSigned.sha1, nil)?.first)
        #expect(old.signature.check(with: old.publicKey) == .unknown)
    }

    @Test func anAuthorityThatOnlyHasTheNameIsRefused() throws {
        // The last byte of the certificate is the last one of its signature.
        var bytes = try #require(PEMBlocks.read(Sample.curve)?.first?.bytes)
        bytes[bytes.count - 1] ^= 1
        let forged = "-----BEGIN CERTIFICATE-----\n\(Base64.encode(bytes))\n-----END CERTIFICATE-----"
        #expect(flaw(forged, Sample.curveKey) == [:])
        #expect(
            flaw(forged, Sample.curveKey, Sample.authority)
                == ["chain_pem": "has a certificate 2 whose key did not sign the one before"])
    }

    @Test func whatItSaysIsRead() throws {
        let one = try #require(Certificates.chain(Sample.curve, nil)?.first)
        #expect(one.names == ["example.org", "*.example.org"])
        #expect(one.issuerText == "O=Example, CN=Example Root")
        #expect(one.fingerprint.utf8.count == 64 && !one.serial.isEmpty && one.notBefore < one.notAfter)
        for (name, isCovered) in [
            ("example.org", true), ("www.example.org", true), ("a.b.example.org", false), ("example.net", false),
            (".example.org", false),
        ] {
            #expect(one.covers(name) == isCovered, "\(name)")
        }
    }
}
