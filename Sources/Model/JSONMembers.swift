/// Finds the members of a JSON object without reading what they hold.
///
/// Only the places are found: whether a value is JSON is not looked at, so nothing may be believed that was not read by
/// ``JSONParser`` as well, or is known to be equal to something that was.
public struct JSONMembers {
    /// A member: its name without quotes, and both places in the text.
    public struct Member {
        public let name: String
        /// With quotes.
        public let namePlace: Range<Int>
        public let valuePlace: Range<Int>
    }

    private let bytes: UnsafeBufferPointer<UInt8>
    private var position = 0

    /// The members of the object that fills the text, in its order. Nil for all that is no object, and for an object
    /// with more than `countMax` members, an escape in a name, or one name twice.
    public static func find(in bytes: UnsafeBufferPointer<UInt8>, countMax: Int = 64) -> [Member]? {
        var members = JSONMembers(bytes: bytes)
        return members.find(countMax)
    }

    private init(bytes: UnsafeBufferPointer<UInt8>) { self.bytes = bytes }

    private mutating func find(_ countMax: Int) -> [Member]? {
        skipSpace()
        guard take(UInt8(ascii: "{")) else { return nil }
        var found: [Member] = []
        repeat {
            skipSpace()
            guard found.count < countMax, let namePlace = name() else { return nil }
            skipSpace()
            guard take(UInt8(ascii: ":")) else { return nil }
            skipSpace()
            guard let valuePlace = value() else { return nil }
            let inside = namePlace.lowerBound + 1..<namePlace.upperBound - 1
            let text = String(decoding: UnsafeBufferPointer(rebasing: bytes[inside]), as: UTF8.self)
            guard !found.contains(where: { $0.name == text }) else { return nil }
            found.append(Member(name: text, namePlace: namePlace, valuePlace: valuePlace))
            skipSpace()
        } while take(UInt8(ascii: ","))
        guard take(UInt8(ascii: "}")) else { return nil }
        skipSpace()
        return position == bytes.count ? found : nil
    }

    private mutating func skipSpace() {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x0A, 0x0D, 0x09: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func name() -> Range<Int>? {
        let start = position
        guard let isPlain = string(), isPlain else { return nil }
        return start..<position
    }

    /// Goes over a string; whether it is without escapes, nil when there is none.
    private mutating func string() -> Bool? {
        guard take(UInt8(ascii: "\"")) else { return nil }
        var isPlain = true
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                position += 1
                return isPlain
            case UInt8(ascii: "\\"):
                isPlain = false
                position += 2
            default: position += 1
            }
        }
        return nil
    }

    /// Goes over a value up to what follows it, which is neither space nor part of it.
    private mutating func value() -> Range<Int>? {
        let start = position
        var depth = 0
        var end = position
        while position < bytes.count {
            switch bytes[position] {
            case UInt8(ascii: "\""):
                guard string() != nil else { return nil }
                end = position
                continue
            case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return start < end ? start..<end : nil }
                depth -= 1
            case UInt8(ascii: ",") where depth == 0: return start < end ? start..<end : nil
            case 0x20, 0x0A, 0x0D, 0x09:
                position += 1
                continue
            default: break
            }
            position += 1
            end = position
        }
        return nil
    }
}
