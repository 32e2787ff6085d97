import Model

/// The query of a request, decoded.
struct QueryParameters: Sendable {
    private var values: [String: String] = [:]

    /// - Throws: `invalid` for a broken escape or a parameter that is given twice.
    init(_ text: String?) throws(Problem) {
        for part in (text ?? "").split(separator: "&") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard let name = PercentCoding.decode(pair[0], plusIsSpace: true),
                let value = PercentCoding.decode(pair.count > 1 ? pair[1] : "", plusIsSpace: true)
            else { throw Problem(.invalid, "The query has a broken percent escape or is not UTF-8.") }
            guard values.updateValue(value, forKey: name) == nil else {
                throw .invalid(String(name.prefix(80)), "is given twice")
            }
        }
    }

    /// The value; nil when it is absent or empty.
    subscript(_ name: String) -> String? { values[name].flatMap { $0.isEmpty ? nil : $0 } }

    /// The value as it is given, which may be empty; nil when it is absent.
    func given(_ name: String) -> String? { values[name] }

    /// What a filter compares with; nil when it is absent or empty.
    /// - Throws: `invalid` for more than so many bytes, and for a NUL, which no database has in a text.
    func text(_ name: String, bytesMax: Int = 255) throws(Problem) -> String? {
        guard let text = self[name] else { return nil }
        guard text.utf8.count <= bytesMax, !text.utf8.contains(0) else {
            throw .invalid(name, "must have at most \(bytesMax) bytes and no NUL")
        }
        return text
    }

    /// Names of all that is given.
    var names: [String] { values.keys.sorted() }

    /// A filter that nobody knows would answer everything, to someone who asked for less.
    /// - Throws: `invalid` for a parameter that is not one of these.
    func expectOnly(_ known: Set<String>) throws(Problem) {
        for name in names where !known.contains(name) {
            let list = known.sorted().joined(separator: ", ")
            throw .invalid(String(name.prefix(80)), "is not a parameter of this list; it takes \(list)")
        }
    }

    /// - Throws: `invalid` unless the value is `true` or `false`.
    func flag(_ name: String) throws(Problem) -> Bool {
        switch values[name] {
        case nil, "false": false
        case "true": true
        default: throw .invalid(name, "must be true or false")
        }
    }

    func integer(_ name: String, in range: ClosedRange<Int64>, default standard: Int64) throws(Problem) -> Int64 {
        guard let text = values[name] else { return standard }
        guard text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int64(text), range.contains(number) else {
            throw .invalid(name, "must be a whole number from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func choice(_ name: String, _ choices: [String]) throws(Problem) -> String? {
        guard let value = values[name] else { return nil }
        guard choices.contains(value) else { throw .invalid(name, "must be one of \(choices.joined(separator: ", "))") }
        return value
    }

    func time(_ name: String) throws(Problem) -> Timestamp? {
        guard let text = values[name] else { return nil }
        guard let time = Timestamp(rfc3339: text) else {
            throw .invalid(name, "must be a time in UTC such as 2030-01-01T00:00:00Z")
        }
        return time
    }
}

/// Percent escapes (RFC 3986 section 2.1).
enum PercentCoding {
    /// The decoded text; nil for a broken escape and for what is not UTF-8.
    static func decode(_ text: Substring, plusIsSpace: Bool = false) -> String? {
        var out: [UInt8] = []
        var bytes = text.utf8.makeIterator()
        while let byte = bytes.next() {
            switch byte {
            case UInt8(ascii: "%"):
                guard let high = bytes.next().flatMap(digit), let low = bytes.next().flatMap(digit) else { return nil }
                out.append(high << 4 | low)
            case UInt8(ascii: "+") where plusIsSpace: out.append(UInt8(ascii: " "))
            default: out.append(byte)
            }
        }
        return String(validating: out, as: UTF8.self)
    }

    /// Everything but letters, digits and `-._~` escaped.
    static func encode(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E:
                out.append(Character(Unicode.Scalar(byte)))
            default: out += "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }
        return out
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 48
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 87
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 55
        default: nil
        }
    }
}
