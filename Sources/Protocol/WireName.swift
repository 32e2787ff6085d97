/// Names of members on the wire: `serviceId` is `service_id`. Names of a dictionary's entries are data and stay.
enum WireName {
    static func of<Key: CodingKey>(_ key: Key) -> String {
        ObjectIdentifier(Key.self) == dictionaryKey ? key.stringValue : snakeCase(key.stringValue)
    }

    /// An upper-case letter begins a word, and the last of several in a row does when a lower-case letter follows.
    static func snakeCase(_ name: String) -> String {
        guard name.utf8.contains(where: isUpper) else { return name }
        let letters = Array(name.utf8)
        var out: [UInt8] = []
        out.reserveCapacity(letters.count + 4)
        for (index, letter) in letters.enumerated() {
            guard isUpper(letter) else {
                out.append(letter)
                continue
            }
            let followsUpper = index > 0 && isUpper(letters[index - 1])
            let endsRow = index + 1 < letters.count && !isUpper(letters[index + 1])
            if index > 0, !followsUpper || endsRow { out.append(UInt8(ascii: "_")) }
            out.append(letter | 0x20)
        }
        return String(decoding: out, as: UTF8.self)
    }

    private static func isUpper(_ letter: UInt8) -> Bool { (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(letter) }

    /// The type of a dictionary's keys in the standard library, which has no public name.
    private static let dictionaryKey: ObjectIdentifier? = {
        let probe = KeyTypeProbe()
        // What an empty dictionary does with the probe is all that is wanted of it, and cannot fail.
        try? [String: Int]().encode(to: probe)
        return probe.keyType
    }()
}

/// Notes which type of key it is asked for.
private final class KeyTypeProbe: Encoder {
    let codingPath: [any CodingKey] = []
    let userInfo: [CodingUserInfoKey: Any] = [:]
    private(set) var keyType: ObjectIdentifier?
    private let inner = JSONValueEncoder()

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        keyType = ObjectIdentifier(type)
        return inner.container(keyedBy: type)
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer { inner.unkeyedContainer() }
    func singleValueContainer() -> any SingleValueEncodingContainer { inner.singleValueContainer() }
}

/// A place in a list, or a name that no type declares.
struct PlaceKey: CodingKey {
    let stringValue: String
    let intValue: Int?

    init(_ index: Int) {
        stringValue = "\(index)"
        intValue = index
    }

    init(_ name: String) {
        stringValue = name
        intValue = nil
    }

    init?(stringValue: String) { self.init(stringValue) }
    init?(intValue: Int) { self.init(intValue) }
}
