import Model

/// Writes `Encodable` values as a ``JSONValue``, with `snake_case` names. Not by way of text: a hub reads and writes
/// thousands of messages a second.
final class JSONValueEncoder: Encoder {
    private enum Content {
        case none
        case value(JSONValue)
        case object
        case array
    }

    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }
    private var content = Content.none
    fileprivate var object: [String: JSONValue] = [:]
    fileprivate var array: [JSONValue] = []
    /// Containers that were handed out and are filled by whoever has them.
    fileprivate var members: [(name: String, encoder: JSONValueEncoder)] = []
    fileprivate var elements: [(index: Int, encoder: JSONValueEncoder)] = []

    init(_ codingPath: [any CodingKey] = []) { self.codingPath = codingPath }

    static func encode<Value: Encodable>(_ value: Value, _ path: [any CodingKey] = []) throws -> JSONValue {
        if let primitive = try primitive(value, path) { return primitive }
        let encoder = JSONValueEncoder(path)
        try value.encode(to: encoder)
        return encoder.finish()
    }

    private func finish() -> JSONValue {
        for (name, encoder) in members { object[name] = encoder.finish() }
        for (index, encoder) in elements { array[index] = encoder.finish() }
        return switch content {
        // What encodes nothing is an empty object, as elsewhere.
        case .none, .object: .object(object)
        case .array: .array(array)
        case .value(let value): value
        }
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        content = .object
        return KeyedEncodingContainer(KeyedWriter<Key>(encoder: self))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        content = .array
        return UnkeyedWriter(encoder: self)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { ValueWriter(encoder: self) }

    fileprivate func set(_ value: JSONValue) { content = .value(value) }

    /// What is one JSON value by itself; nil for what is made of others.
    private static func primitive<Value>(_ value: Value, _ path: [any CodingKey]) throws -> JSONValue? {
        // Comparing types is cheap and a cast is not: most values are asked only for what they are.
        if Value.self == String.self, let text = value as? String { return .string(text) }
        if Value.self == Int.self, let number = value as? Int { return .int(Int64(number)) }
        if Value.self == Int64.self, let number = value as? Int64 { return .int(number) }
        if Value.self == Bool.self, let flag = value as? Bool { return .bool(flag) }
        if Value.self == JSONValue.self, let json = value as? JSONValue { return json }
        if Value.self == Double.self, let number = value as? Double { return try json(number, path) }
        if Value.self == Float.self, let number = value as? Float { return try json(Double(number), path) }
        guard Value.self is any FixedWidthInteger.Type, let number = value as? any FixedWidthInteger else { return nil }
        return Int64(exactly: number).map(JSONValue.int) ?? .double(Double(number))
    }

    private static func json(_ number: Double, _ path: [any CodingKey]) throws -> JSONValue {
        guard number.isFinite else {
            throw EncodingError.invalidValue(number, .init(codingPath: path, debugDescription: "not a finite number"))
        }
        return Int64(exactly: number).map(JSONValue.int) ?? .double(number)
    }
}

private struct KeyedWriter<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let encoder: JSONValueEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    private func child(_ key: any CodingKey) -> JSONValueEncoder {
        let child = JSONValueEncoder(codingPath + [key])
        encoder.members.append((WireName.of(key), child))
        return child
    }

    func encodeNil(forKey key: Key) throws { encoder.object[WireName.of(key)] = .null }

    func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
        encoder.object[WireName.of(key)] = try JSONValueEncoder.encode(value, codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        child(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer { child(key).unkeyedContainer() }
    func superEncoder() -> any Encoder { child(PlaceKey("super")) }
    func superEncoder(forKey key: Key) -> any Encoder { child(key) }
}

private struct UnkeyedWriter: UnkeyedEncodingContainer {
    let encoder: JSONValueEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }
    var count: Int { encoder.array.count }

    private func child() -> JSONValueEncoder {
        let child = JSONValueEncoder(codingPath + [PlaceKey(count)])
        encoder.elements.append((count, child))
        encoder.array.append(.null)
        return child
    }

    func encodeNil() throws { encoder.array.append(.null) }

    func encode<Value: Encodable>(_ value: Value) throws {
        encoder.array.append(try JSONValueEncoder.encode(value, codingPath + [PlaceKey(count)]))
    }

    func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        child().container(keyedBy: type)
    }

    func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { child().unkeyedContainer() }
    func superEncoder() -> any Encoder { child() }
}

private struct ValueWriter: SingleValueEncodingContainer {
    let encoder: JSONValueEncoder
    var codingPath: [any CodingKey] { encoder.codingPath }

    func encodeNil() throws { encoder.set(.null) }
    func encode<Value: Encodable>(_ value: Value) throws {
        encoder.set(try JSONValueEncoder.encode(value, codingPath))
    }
}
