/// A strict JSON reader (RFC 8259): valid UTF-8, no duplicate members, no trailing text, bounded depth.
///
/// Hub and agent read each other's documents with it, so that what was hashed and what is used cannot differ.
public struct JSONParser {
    /// Deepest nesting that is accepted; deeper input is an error, not a stack overflow.
    public static let depthMax = 64

    // Only read below `bytes.count`, and only while ``parse(_:)`` holds the memory: each place is checked first.
    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0
    /// Members of the objects that are being read, those of the innermost last: each object is made at its end, in the
    /// size that it needs.
    private var members: [(name: String, value: JSONValue)] = []

    private init(_ bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    /// Reads one value that fills the whole input.
    ///
    /// - Throws: `Problem` with code `malformed_json` that names the byte where reading failed.
    public static func parse(_ bytes: [UInt8]) throws(Problem) -> JSONValue {
        try bytes.withUnsafeBufferPointer { bytes throws(Problem) in try parse(bytes) }
    }

    /// Reads one value from memory that stays while it is read. See ``parse(_:)-([UInt8])``.
    public static func parse(_ bytes: UnsafeBufferPointer<UInt8>) throws(Problem) -> JSONValue {
        do {
            _ = try UTF8Span(validating: bytes.span)
        } catch {
            throw Problem(.malformedJSON, "The text is not valid UTF-8.")
        }
        return try whole(bytes)
    }

    /// Reads one value from a string. See ``parse(_:)-([UInt8])``.
    public static func parse(_ text: String) throws(Problem) -> JSONValue {
        // Most texts lie in memory as they are; the others are copied.
        let value = try text.utf8.withContiguousStorageIfAvailable { bytes in
            Result<JSONValue, Problem> { () throws(Problem) in try whole(bytes) }
        }?.get()
        if let value { return value }
        return try Array(text.utf8).withUnsafeBufferPointer { bytes throws(Problem) in try whole(bytes) }
    }

    private static func whole(_ bytes: UnsafeBufferPointer<UInt8>) throws(Problem) -> JSONValue {
        var parser = JSONParser(bytes)
        parser.skipSpace()
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.failure("unexpected text after the value") }
        return value
    }

    private func failure(_ what: String) -> Problem {
        Problem(.malformedJSON, "The JSON is malformed at byte \(position): \(what).")
    }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func starts(with word: UnsafeBufferPointer<UInt8>) -> Bool {
        guard word.count <= bytes.count - position else { return false }
        return (0..<word.count).allSatisfy { bytes[position + $0] == word[$0] }
    }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func expect(_ word: StaticString, _ value: JSONValue) throws(Problem) -> JSONValue {
        let matches = word.withUTF8Buffer { starts(with: $0) }
        guard matches else { throw failure("unknown word") }
        position += word.utf8CodeUnitCount
        return value
    }

    private mutating func value(depth: Int) throws(Problem) -> JSONValue {
        guard depth < Self.depthMax else { throw failure("nested deeper than \(Self.depthMax)") }
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try expect("true", .bool(true))
        case UInt8(ascii: "f"): return try expect("false", .bool(false))
        case UInt8(ascii: "n"): return try expect("null", .null)
        case .some: return try number()
        case nil: throw failure("unexpected end")
        }
    }

    private mutating func object(depth: Int) throws(Problem) -> JSONValue {
        position += 1
        let first = members.count
        skipSpace()
        if current == UInt8(ascii: "}") {
            position += 1
            return .object([:])
        }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw failure("expected a member name") }
            let name = try string()
            skipSpace()
            guard current == UInt8(ascii: ":") else { throw failure("expected a colon") }
            position += 1
            skipSpace()
            members.append((name, try value(depth: depth + 1)))
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "}"):
                position += 1
                return .object(try takeMembers(from: first))
            default: throw failure("expected a comma or the end of the object")
            }
        }
    }

    private mutating func takeMembers(from first: Int) throws(Problem) -> [String: JSONValue] {
        var object = [String: JSONValue](minimumCapacity: members.count - first)
        for (name, value) in members[first...] {
            guard object.updateValue(value, forKey: name) == nil else {
                throw failure("member \"\(name.prefix(60))\" appears twice")
            }
        }
        members.removeSubrange(first...)
        return object
    }

    private mutating func array(depth: Int) throws(Problem) -> JSONValue {
        position += 1
        var values: [JSONValue] = []
        skipSpace()
        if current == UInt8(ascii: "]") {
            position += 1
            return .array(values)
        }
        while true {
            skipSpace()
            values.append(try value(depth: depth + 1))
            skipSpace()
            switch current {
            case UInt8(ascii: ","): position += 1
            case UInt8(ascii: "]"):
                position += 1
                return .array(values)
            default: throw failure("expected a comma or the end of the list")
            }
        }
    }

    private mutating func string() throws(Problem) -> String {
        position += 1
        let start = position
        // Nearly all strings have no escapes and are taken as they are.
        while let byte = current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 { position += 1 }
        if current == UInt8(ascii: "\"") {
            defer { position += 1 }
            return String(decoding: UnsafeBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self)
        }
        var out = Array(bytes[start..<position])
        while let byte = current {
            position += 1
            switch byte {
            case UInt8(ascii: "\""): return String(decoding: out, as: UTF8.self)
            case 0..<0x20: throw failure("control character in a string")
            case UInt8(ascii: "\\"): try escape(into: &out)
            default: out.append(byte)
            }
        }
        throw failure("unterminated string")
    }

    private mutating func escape(into out: inout [UInt8]) throws(Problem) {
        guard let byte = current else { throw failure("unterminated escape") }
        position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): out.append(byte)
        case UInt8(ascii: "b"): out.append(0x08)
        case UInt8(ascii: "f"): out.append(0x0C)
        case UInt8(ascii: "n"): out.append(0x0A)
        case UInt8(ascii: "r"): out.append(0x0D)
        case UInt8(ascii: "t"): out.append(0x09)
        case UInt8(ascii: "u"):
            var code = UInt32(try hex4())
            if (0xD800..<0xDC00).contains(code) {
                let isPair =
                    position + 1 < bytes.count && bytes[position] == UInt8(ascii: "\\")
                    && bytes[position + 1] == UInt8(ascii: "u")
                guard isPair else { throw failure("lone surrogate") }
                position += 2
                let low = UInt32(try hex4())
                guard (0xDC00..<0xE000).contains(low) else { throw failure("lone surrogate") }
                code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
            }
            guard let scalar = Unicode.Scalar(code) else { throw failure("lone surrogate") }
            out.append(contentsOf: String(Character(scalar)).utf8)
        default: throw failure("unknown escape")
        }
    }

    private mutating func hex4() throws(Problem) -> UInt16 {
        guard position + 4 <= bytes.count,
            bytes[position..<position + 4].allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let code = UInt16(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
        else { throw failure("expected four hex digits") }
        position += 4
        return code
    }

    private mutating func digits() throws(Problem) {
        let start = position
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) { position += 1 }
        guard position > start else { throw failure("expected a value") }
    }

    private mutating func number() throws(Problem) -> JSONValue {
        let start = position
        var isWhole = true
        if current == UInt8(ascii: "-") { position += 1 }
        let firstDigit = position
        try digits()
        if bytes[firstDigit] == UInt8(ascii: "0"), position - firstDigit > 1 { throw failure("leading zero") }
        if current == UInt8(ascii: ".") {
            isWhole = false
            position += 1
            try digits()
        }
        if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
            isWhole = false
            position += 1
            if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
            try digits()
        }
        if isWhole, let whole = wholeNumber(start..<position) { return .int(whole) }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        guard let value = Double(text), value.isFinite else { throw failure("number out of range") }
        // `1.5e3` is the whole number 1500, and is written as such: equal values must be one value.
        if let whole = Int64(exactly: value) { return .int(whole) }
        return .double(value)
    }

    /// Nil for one that does not fit.
    private func wholeNumber(_ place: Range<Int>) -> Int64? {
        let isNegative = bytes[place.lowerBound] == UInt8(ascii: "-")
        // Below zero, since there is one more number there.
        var value: Int64 = 0
        for index in place.dropFirst(isNegative ? 1 : 0) {
            let (tens, isTooLong) = value.multipliedReportingOverflow(by: 10)
            let (next, isTooLarge) = tens.subtractingReportingOverflow(Int64(bytes[index] - UInt8(ascii: "0")))
            if isTooLong || isTooLarge { return nil }
            value = next
        }
        return isNegative ? value : value == .min ? nil : -value
    }
}
