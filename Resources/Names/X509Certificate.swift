import AgentProtocol
import Model

/// What a certificate says (RFC 5280 section 4.1).
struct X509Certificate {
    let serial: String
    let issuer: ArraySlice<UInt8>
    let subject: ArraySlice<UInt8>
    let notBefore: Timestamp
    let notAfter: Timestamp
    /// The public key with its algorithm, in DER.
    let publicKey: ArraySlice<UInt8>
    /// DNS names that it is for, in lower case.
    private(set) var names: [String] = []
    /// Whether it may sign others.
    private(set) var isAuthority = false
    /// SHA-256 of all of it.
    let fingerprint: String
    let signature: CertificateSignature

    private static let subjectAlternativeName: [UInt8] = [0x55, 0x1D, 0x11]
    private static let basicConstraints: [UInt8] = [0x55, 0x1D, 0x13]

    init(der: [UInt8]) throws(DERReader.Flaw) {
        fingerprint = sha256Hex(der)
        var outer = DERReader(der[...])
        var certificate = try outer.next(DERReader.Tag.sequence).reader
        guard outer.isAtEnd else { throw DERReader.Flaw() }
        signature = try CertificateSignature(certificate)
        var content = try certificate.next(DERReader.Tag.sequence).reader
        _ = try content.optional(0xA0)
        let number = try content.next(DERReader.Tag.integer).content
        guard (1...21).contains(number.count) else { throw DERReader.Flaw() }
        serial = number.map { Self.hex($0) }.joined()
        _ = try content.next(DERReader.Tag.sequence)
        issuer = try content.next(DERReader.Tag.sequence).whole
        var validity = try content.next(DERReader.Tag.sequence).reader
        notBefore = try Self.time(try validity.next())
        notAfter = try Self.time(try validity.next())
        subject = try content.next(DERReader.Tag.sequence).whole
        publicKey = try content.next(DERReader.Tag.sequence).whole
        _ = try content.optional(0x81)
        _ = try content.optional(0x82)
        guard let extensions = try content.optional(0xA3) else { return }
        var wrapped = extensions.reader
        var list = try wrapped.next(DERReader.Tag.sequence).reader
        while !list.isAtEnd {
            var one = try list.next(DERReader.Tag.sequence).reader
            let identifier = try one.next(DERReader.Tag.identifier).content
            _ = try one.optional(DERReader.Tag.boolean)
            var value = try one.next(DERReader.Tag.octets).reader
            if identifier.elementsEqual(Self.subjectAlternativeName) {
                names = try Self.names(&value)
            } else if identifier.elementsEqual(Self.basicConstraints) {
                var constraints = try value.next(DERReader.Tag.sequence).reader
                isAuthority = try constraints.optional(DERReader.Tag.boolean)?.content.first == 0xFF
            }
        }
    }

    /// Section 4.2.1.6; other kinds of names are left out.
    private static func names(_ value: inout DERReader) throws(DERReader.Flaw) -> [String] {
        var list = try value.next(DERReader.Tag.sequence).reader
        var result: [String] = []
        while !list.isAtEnd {
            let name = try list.next()
            guard name.tag == 0x82, name.content.allSatisfy({ (0x21...0x7E).contains($0) }) else { continue }
            result.append(String(decoding: name.content, as: UTF8.self).lowercased())
        }
        return result
    }

    /// Section 4.1.2.5: two digits of the year until 2049, four from then on.
    private static func time(_ element: DERReader.Element) throws(DERReader.Flaw) -> Timestamp {
        var digits = String(decoding: element.content, as: UTF8.self)
        guard digits.hasSuffix("Z") else { throw DERReader.Flaw() }
        if element.tag == 0x17, let year = Int(digits.prefix(2)) { digits = (year < 50 ? "20" : "19") + digits }
        guard element.tag == 0x17 || element.tag == 0x18, digits.utf8.count == 15 else { throw DERReader.Flaw() }
        func part(_ start: Int, _ count: Int) -> Substring { digits.dropFirst(start).prefix(count) }
        let text =
            "\(part(0, 4))-\(part(4, 2))-\(part(6, 2))T\(part(8, 2)):\(part(10, 2)):\(part(12, 2))Z"
        guard let time = Timestamp(rfc3339: text) else { throw DERReader.Flaw() }
        return time
    }

    private static func hex(_ byte: UInt8) -> String {
        let text = String(byte, radix: 16)
        return text.utf8.count == 1 ? "0\(text)" : text
    }

    /// Whether clients that ask for this name accept it (RFC 9525 section 6.3: `*` stands for exactly one label).
    func covers(_ name: String) -> Bool {
        if names.contains(name) { return true }
        guard let dot = name.firstIndex(of: "."), dot > name.startIndex else { return false }
        return names.contains("*\(name[dot...])")
    }

    /// The issuer for people: `CN=Example CA, O=Example` (RFC 4514, in the order of the certificate).
    var issuerText: String {
        do {
            return try Self.text(of: issuer)
        } catch {
            return "unreadable"
        }
    }

    private static let attributes: [[UInt8]: String] = [
        [0x55, 4, 3]: "CN", [0x55, 4, 6]: "C", [0x55, 4, 7]: "L", [0x55, 4, 8]: "ST", [0x55, 4, 10]: "O",
        [0x55, 4, 11]: "OU",
    ]

    private static func text(of name: ArraySlice<UInt8>) throws(DERReader.Flaw) -> String {
        var outer = DERReader(name)
        var list = try outer.next(DERReader.Tag.sequence).reader
        var parts: [String] = []
        while !list.isAtEnd {
            var set = try list.next(DERReader.Tag.set).reader
            var pair = try set.next(DERReader.Tag.sequence).reader
            let type = Array(try pair.next(DERReader.Tag.identifier).content)
            let value = String(decoding: try pair.next().content, as: UTF8.self)
            let plain = value.unicodeScalars.filter { $0.value >= 0x20 && $0.value != 0x7F }.prefix(200)
            if let word = attributes[type] { parts.append("\(word)=\(String(String.UnicodeScalarView(plain)))") }
        }
        return parts.joined(separator: ", ")
    }
}
