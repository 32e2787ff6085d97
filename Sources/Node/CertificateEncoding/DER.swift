/// Writes the distinguished encoding rules of ASN.1 (X.690), as far as certificates and their requests need them.
enum DER {
    static func sequence(_ parts: [UInt8]...) -> [UInt8] { tagged(0x30, parts.flatMap { $0 }) }
    static func set(_ parts: [UInt8]...) -> [UInt8] { tagged(0x31, parts.flatMap { $0 }) }
    static func octets(_ content: [UInt8]) -> [UInt8] { tagged(0x04, content) }
    static func bits(_ content: [UInt8], unused: UInt8 = 0) -> [UInt8] { tagged(0x03, [unused] + content) }
    static func utf8(_ text: String) -> [UInt8] { tagged(0x0C, Array(text.utf8)) }
    static func boolean(_ value: Bool) -> [UInt8] { tagged(0x01, [value ? 0xFF : 0]) }

    /// A constructed, context-specific element.
    static func context(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { tagged(0xA0 | number, content) }
    /// A primitive, context-specific element.
    static func implicit(_ number: UInt8, _ content: [UInt8]) -> [UInt8] { tagged(0x80 | number, content) }

    /// A whole number above zero, from its big-endian bytes.
    static func integer(_ magnitude: [UInt8]) -> [UInt8] {
        var bytes = Array(magnitude.drop { $0 == 0 })
        if bytes.first.map({ $0 >= 0x80 }) ?? true { bytes.insert(0, at: 0) }
        return tagged(0x02, bytes)
    }

    static func identifier(_ arcs: [UInt64]) -> [UInt8] {
        var content = [UInt8(arcs[0] * 40 + arcs[1])]
        for arc in arcs.dropFirst(2) {
            var digits = [UInt8(arc & 0x7F)]
            var rest = arc >> 7
            while rest > 0 {
                digits.insert(UInt8(rest & 0x7F) | 0x80, at: 0)
                rest >>= 7
            }
            content += digits
        }
        return tagged(0x06, content)
    }

    /// `YYYYMMDDhhmmssZ`, or without its century before 2050 (RFC 5280 section 4.1.2.5).
    static func time(_ rfc3339: String) -> [UInt8] {
        let digits = rfc3339.utf8.filter { (0x30...0x39).contains($0) }.prefix(14)
        if digits.starts(with: "19".utf8) || digits.lexicographicallyPrecedes("2050".utf8) {
            return tagged(0x17, digits.dropFirst(2) + [UInt8(ascii: "Z")])
        }
        return tagged(0x18, digits + [UInt8(ascii: "Z")])
    }

    private static func tagged(_ tag: UInt8, _ content: some Collection<UInt8>) -> [UInt8] {
        var length: [UInt8]
        if content.count < 0x80 {
            length = [UInt8(content.count)]
        } else {
            length = []
            var rest = content.count
            while rest > 0 {
                length.insert(UInt8(rest & 0xFF), at: 0)
                rest >>= 8
            }
            length.insert(0x80 | UInt8(length.count), at: 0)
        }
        return [tag] + length + content
    }
}
