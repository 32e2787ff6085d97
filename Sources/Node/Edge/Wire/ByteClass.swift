/// Classes of octets in HTTP/1.1 (RFC 9110 section 5.6.2, RFC 9112) and comparisons without a copy.
enum ByteClass {
    static let cr = UInt8(ascii: "\r")
    static let lf = UInt8(ascii: "\n")
    static let space = UInt8(ascii: " ")
    static let tab = UInt8(ascii: "\t")
    static let colon = UInt8(ascii: ":")
    static let slash = UInt8(ascii: "/")
    static let comma = UInt8(ascii: ",")

    /// `token` characters as two bit sets over ASCII: a branch-free test without a table in memory.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        let low: UInt64 = 0x03FF_6CFA_0000_0000
        let high: UInt64 = 0x57FF_FFFF_C7FF_FFFE
        if byte < 64 { return low &>> UInt64(byte) & 1 == 1 }
        if byte < 128 { return high &>> UInt64(byte &- 64) & 1 == 1 }
        return false
    }

    /// `field-vchar`, space and tab: what a field value may hold.
    @inline(__always)
    static func isFieldValue(_ byte: UInt8) -> Bool { (byte >= 0x20 && byte != 0x7F) || byte == tab }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    /// Value of a hexadecimal digit, or nil.
    @inline(__always)
    static func hexValue(_ byte: UInt8) -> UInt8? {
        if byte &- 0x30 < 10 { return byte &- 0x30 }
        let lower = byte | 0x20
        if lower &- 0x61 < 6 { return lower &- 0x61 &+ 10 }
        return nil
    }

    @inline(__always)
    static func lower(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    static let hexDigits: StaticString = "0123456789abcdef"
}

extension UnsafePointer<UInt8> {
    /// Whether `count` bytes from here equal `text`, which is lower case, without regard to case.
    @inline(__always)
    func equalsIgnoringCase(_ text: StaticString, count: Int) -> Bool {
        guard text.utf8CodeUnitCount == count else { return false }
        let other = text.utf8Start
        for index in 0..<count where ByteClass.lower(self[index]) != other[index] { return false }
        return true
    }

    /// The same with `_` read as `-`, as CGI and WSGI programs see field names.
    func equalsLoosely(_ text: StaticString, count: Int) -> Bool {
        guard text.utf8CodeUnitCount == count else { return false }
        let other = text.utf8Start
        for index in 0..<count {
            let byte = self[index] == UInt8(ascii: "_") ? UInt8(ascii: "-") : ByteClass.lower(self[index])
            if byte != other[index] { return false }
        }
        return true
    }

    /// Whether a comma-separated list (RFC 9110 section 5.6.1) holds `token`, which is lower case.
    func listHolds(_ token: StaticString, count: Int) -> Bool {
        var holds = false
        forEachListElement(count: count) { start, length in
            if (self + start).equalsIgnoringCase(token, count: length) { holds = true }
        }
        return holds
    }

    /// Calls with offset and length of each element of a comma-separated list, white space trimmed.
    func forEachListElement(count: Int, _ body: (Int, Int) -> Void) {
        var start = 0
        while start <= count {
            var end = start
            while end < count, self[end] != ByteClass.comma { end += 1 }
            var first = start
            var last = end
            while first < last, self[first] == ByteClass.space || self[first] == ByteClass.tab { first += 1 }
            while last > first, self[last - 1] == ByteClass.space || self[last - 1] == ByteClass.tab { last -= 1 }
            if last > first { body(first, last - first) }
            start = end + 1
        }
    }

    /// A string of `range`, invalid UTF-8 repaired.
    func string(_ range: ByteRange) -> String {
        String(decoding: UnsafeBufferPointer(start: self + range.start, count: range.count), as: UTF8.self)
    }
}

/// A stretch of a buffer: offset and length. Small, so that a head of a hundred fields stays in a few cache lines.
struct ByteRange: Equatable {
    var offset: Int32 = 0
    var length: Int32 = 0

    @inline(__always) var start: Int { Int(offset) }
    @inline(__always) var count: Int { Int(length) }
    @inline(__always) var end: Int { Int(offset) + Int(length) }
    @inline(__always) var isEmpty: Bool { length == 0 }

    @inline(__always)
    init(start: Int, end: Int) {
        offset = Int32(truncatingIfNeeded: start)
        length = Int32(truncatingIfNeeded: end - start)
    }

    init() {}
}
