import Model

/// A submitted form (`application/x-www-form-urlencoded`, WHATWG URL section 5.1).
struct FormBody: Sendable, Equatable {
    /// In the order sent.
    private(set) var pairs: [(name: String, value: String)] = []
    private var last: [String: String] = [:]

    static let bytesMax = 1 << 20
    static let pairsMax = 5000

    init() {}

    /// - Throws: `too_large` for more than ``pairsMax`` pairs.
    init(_ bytes: some Collection<UInt8>) throws {
        for part in bytes.split(separator: UInt8(ascii: "&")) {
            guard pairs.count < Self.pairsMax else {
                throw Problem(.tooLarge, "The form has more than \(Self.pairsMax) values.")
            }
            let halves = part.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
            append(Self.decode(halves[0]), halves.count > 1 ? Self.decode(halves[1]) : "")
        }
    }

    mutating func append(_ name: String, _ value: String) {
        pairs.append((name, value))
        last[name] = value
    }

    /// The last value of a name: a checkbox follows the hidden value that stands for "not checked".
    subscript(_ name: String) -> String? { last[name] }

    /// The value without white space around it; nil when nothing is left.
    func line(_ name: String) -> String? { last[name].flatMap { trimmed($0) } }

    static func == (left: FormBody, right: FormBody) -> Bool {
        left.pairs.elementsEqual(right.pairs) { $0.name == $1.name && $0.value == $1.value }
    }

    /// Percent-decoding, `+` as a space; browsers send line ends as CR LF.
    static func decode(_ bytes: some Collection<UInt8>) -> String {
        var out: [UInt8] = []
        out.reserveCapacity(bytes.count)
        var rest = Array(bytes)[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "+"): out.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                if rest.count >= 2, let high = hexValue(rest[rest.startIndex]),
                    let low = hexValue(rest[rest.startIndex + 1])
                {
                    out.append(high << 4 | low)
                    rest = rest.dropFirst(2)
                } else {
                    out.append(byte)
                }
            default: out.append(byte)
            }
        }
        var lines: [UInt8] = []
        lines.reserveCapacity(out.count)
        for (index, byte) in out.enumerated() {
            if byte == 0x0D {
                if index + 1 < out.count, out[index + 1] == 0x0A { continue }
                lines.append(0x0A)
            } else {
                lines.append(byte)
            }
        }
        return String(decoding: lines, as: UTF8.self)
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}

/// Text without white space at both ends; nil when nothing is left.
func trimmed(_ text: String) -> String? {
    var rest = text[...]
    while rest.first?.isWhitespace == true { rest.removeFirst() }
    while rest.last?.isWhitespace == true { rest.removeLast() }
    return rest.isEmpty ? nil : String(rest)
}

/// Percent-encodes all but unreserved characters (RFC 3986 section 2.3), for a path segment or a query value.
func percentEncoded(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF".utf8)
    var out: [UInt8] = []
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
            UInt8(ascii: "~"):
            out.append(byte)
        default: out.append(contentsOf: [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]])
        }
    }
    return String(decoding: out, as: UTF8.self)
}

/// A path of this site, whatever was asked for: no other host, no line breaks.
func localPath(_ path: String) -> String {
    let isLocal =
        path.hasPrefix("/") && !path.hasPrefix("//") && path.utf8.count <= 2048
        && path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "\\") }
    return isLocal ? path : "/"
}
