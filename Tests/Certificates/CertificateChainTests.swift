import Crypto
import Model
import SwiftASN1
import TestSupport
import Testing

@testable import CertificateCoding

@Suite struct CertificateChainTests {
    private typealias Sample = SampleCertificates

    @Test func noByteCanBeChangedIntoATrap() throws {
        let bytes = try #require(PEMText.read(Sample.rsa)?.first?.derBytes)
        for index in bytes.indices {
            for value in [UInt8(0), 0x7F, 0x80, 0x84, 0xFF] {
                var changed = bytes
                changed[index] = value
                // Read or refused, and never a trap.
                _ = try? CertificateFacts(der: changed)
            }
            #expect(throws: (any Error).self) { try CertificateFacts(der: Array(bytes[..<index])) }
        }
    }

    @Test func whatItSaysIsRead() throws {
        let one = try #require(CertificateChain(pem: Sample.curve)).own
        #expect(one.names == ["example.org", "*.example.org"])
        #expect(one.issuer == "CN=Example Root,O=Example")
        #expect(one.serial == "1001")
        #expect(one.fingerprint.utf8.count == 64)
        #expect(one.notBefore.rfc3339 == "2020-01-01T00:00:00.000Z")
        #expect(one.notAfter.rfc3339 == "2120-01-01T00:00:00.000Z")
        for (name, isCovered) in [
            ("example.org", true), ("www.example.org", true), ("a.b.example.org", false), ("example.net", false),
            (".example.org", false), ("*.www.example.org", false), ("*.example.org", true),
        ] {
            #expect(one.covers(name) == isCovered, "\(name)")
        }
    }

    @Test func whatIsMadeCanBeRead() throws {
        let key = P256.Signing.PrivateKey()
        let start = Timestamp(millisecondsSinceEpoch: 1_700_000_000_000)
        let end = start.advanced(by: .seconds(86_400))
        let pem = try SelfSignedCertificate.pem(
            names: ["a.example", "*.b.example"], addresses: [[127, 0, 0, 1]], key: key, from: start, to: end)
        let chain = try CertificateChain.checked(certificatePEM: pem, keyPEM: key.pemRepresentation, now: start)
        #expect(chain.own.names == ["a.example", "*.b.example"])
        #expect(chain.own.notBefore == start && chain.own.notAfter == end)
        #expect(chain.own.issuer == "CN=Roost\\, self-signed")
        let late = #expect(throws: Problem.self) {
            try CertificateChain.checked(certificatePEM: pem, keyPEM: key.pemRepresentation, now: end)
        }
        #expect(late?.fields["certificate_pem"]?.contains("has ended") == true)
        // No authority of its own is allowed to sign others.
        #expect(!chain.own.isSigned(by: chain.own))
    }

    @Test func onlyTheHolderOfTheKeyHasSigned() throws {
        let own = try #require(CertificateChain(pem: Sample.curve)).own
        #expect(own.isSigned(by: try #require(CertificateChain(pem: Sample.authority)).own))
        #expect(!own.isSigned(by: try #require(CertificateChain(pem: Sample.impostor)).own))
        #expect(!own.isSigned(by: own))
    }
}
