/// Reads the distinguished encoding rules of ASN.1 (X.690), as far as certificates and keys need them. Every length is
/// checked against what is there.
struct DERReader {
    /// One element: its tag, its content, and all of its bytes.
    struct Element {
        var tag: UInt8
        var content: ArraySlice<UInt8>
        var whole: ArraySlice<UInt8>

        /// The elements inside.
        var reader: DERReader { DERReader(content) }
    }

    /// The bytes are not what they should be.
    struct Flaw: Error {}

    enum Tag {
        static let boolean: UInt8 = 0x01
        static let integer: UInt8 = 0x02
        static let bits: UInt8 = 0x03
        static let octets: UInt8 = 0x04
        static let identifier: UInt8 = 0x06
        static let sequence: UInt8 = 0x30
        static let set: UInt8 = 0x31
    }

    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { rest = bytes }

    var isAtEnd: Bool { rest.isEmpty }

    /// The next element.
    mutating func next() throws(Flaw) -> Element {
        let start = rest.startIndex
        guard rest.count >= 2 else { throw Flaw() }
        let tag = rest[start]
        // Tags of several bytes stand in none of what is read here.
        guard tag & 0x1F != 0x1F else { throw Flaw() }
        var (length, head) = (Int(rest[start + 1]), 2)
        if length >= 0x80 {
            let count = length & 0x7F
            guard (1...4).contains(count), rest.count >= 2 + count else { throw Flaw() }
            length = rest[(start + 2)..<(start + 2 + count)].reduce(0) { $0 << 8 | Int($1) }
            head += count
            // The shortest form, and no other (section 10.1).
            guard length >= 0x80, count == 1 || length >= 1 << (8 * (count - 1)) else { throw Flaw() }
        }
        guard rest.count - head >= length else { throw Flaw() }
        let whole = rest[start..<(start + head + length)]
        rest = rest[whole.endIndex...]
        return Element(tag: tag, content: whole.dropFirst(head), whole: whole)
    }

    /// The next element, which must be of this tag.
    mutating func next(_ tag: UInt8) throws(Flaw) -> Element {
        let element = try next()
        guard element.tag == tag else { throw Flaw() }
        return element
    }

    /// The next element if it is of this tag.
    mutating func optional(_ tag: UInt8) throws(Flaw) -> Element? {
        guard rest.first == tag else { return nil }
        return try next()
    }
}
