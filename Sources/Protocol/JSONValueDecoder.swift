import Model

/// Reads `Decodable` values from a ``JSONValue`` with `snake_case` names.
struct JSONValueDecoder: Decoder {
    let value: JSONValue
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    init(_ value: JSONValue, _ codingPath: [any CodingKey] = []) {
        self.value = value
        self.codingPath = codingPath
    }

    func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
        guard case .object(let members) = value else { throw Self.misfit("an object", value, codingPath) }
        return KeyedDecodingContainer(KeyedReader<Key>(members: members, codingPath: codingPath))
    }

    func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
        guard case .array(let values) = value else { throw Self.misfit("a list", value, codingPath) }
        return UnkeyedReader(values: values, codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueDecodingContainer {
        ValueReader(value: value, codingPath: codingPath)
    }

    /// - Parameter path: only made where it is needed; most values are neither made of others nor misfits.
    static func decode<Value: Decodable>(
        _ type: Value.Type, _ value: JSONValue, _ path: @autoclosure () -> [any CodingKey] = []
    ) throws -> Value {
        if let primitive = try primitive(type, value, path) { return primitive }
        return try Value(from: JSONValueDecoder(value, path()))
    }

    /// nil for types that are made of others.
    private static func primitive<Value>(
        _ type: Value.Type, _ value: JSONValue, _ path: () -> [any CodingKey]
    ) throws -> Value? {
        func fit<Found>(_ found: Found?, _ wanted: String) throws -> Value? {
            guard let found, let result = found as? Value else { throw misfit(wanted, value, path()) }
            return result
        }
        if type == String.self { return try fit(value.stringValue, "a string") }
        if type == Int.self { return try fit(value.intValue.flatMap { Int(exactly: $0) }, "a whole number") }
        if type == Int64.self { return try fit(value.intValue, "a whole number") }
        if type == Bool.self { return try fit(value.boolValue, "a boolean") }
        if type == JSONValue.self { return try fit(value, "a value") }
        if type == Double.self { return try fit(value.doubleValue, "a number") }
        if type == Float.self { return try fit(value.doubleValue.map { Float($0) }, "a number") }
        guard let integer = type as? any FixedWidthInteger.Type else { return nil }
        return try fit(number(integer, value), "a whole number")
    }

    private static func number<Number: FixedWidthInteger>(_ type: Number.Type, _ value: JSONValue) -> Number? {
        value.intValue.flatMap { Number(exactly: $0) }
    }

    static func misfit(_ wanted: String, _ value: JSONValue, _ path: [any CodingKey]) -> DecodingError {
        let context = DecodingError.Context(
            codingPath: path, debugDescription: "\(value.typeName) where \(wanted) should be")
        return value.isNull ? .valueNotFound(JSONValue.self, context) : .typeMismatch(JSONValue.self, context)
    }
}

private struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
    let members: [String: JSONValue]
    let codingPath: [any CodingKey]

    var allKeys: [Key] { members.keys.sorted().compactMap { Key(stringValue: $0) } }

    private func member(_ key: any CodingKey) throws -> JSONValue {
        guard let value = members[WireName.of(key)] else {
            throw DecodingError.keyNotFound(key, .init(codingPath: codingPath, debugDescription: "is missing"))
        }
        return value
    }

    private func child(_ key: any CodingKey) throws -> JSONValueDecoder {
        JSONValueDecoder(try member(key), codingPath + [key])
    }

    func contains(_ key: Key) -> Bool { members[WireName.of(key)] != nil }
    func decodeNil(forKey key: Key) throws -> Bool { try member(key).isNull }

    func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
        try JSONValueDecoder.decode(type, try member(key), codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) throws -> KeyedDecodingContainer<Nested> {
        try child(key).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
        try child(key).unkeyedContainer()
    }

    func superDecoder() throws -> any Decoder { try child(PlaceKey("super")) }
    func superDecoder(forKey key: Key) throws -> any Decoder { try child(key) }
}

private struct UnkeyedReader: UnkeyedDecodingContainer {
    let values: [JSONValue]
    let codingPath: [any CodingKey]
    var currentIndex = 0

    var count: Int? { values.count }
    var isAtEnd: Bool { currentIndex >= values.count }
    private var path: [any CodingKey] { codingPath + [PlaceKey(currentIndex)] }

    init(values: [JSONValue], codingPath: [any CodingKey]) {
        self.values = values
        self.codingPath = codingPath
    }

    private func current() throws -> JSONValue {
        guard !isAtEnd else {
            throw DecodingError.valueNotFound(
                JSONValue.self, .init(codingPath: path, debugDescription: "the list has ended"))
        }
        return values[currentIndex]
    }

    /// The decoder of the current element; goes on to the next.
    private mutating func child() throws -> JSONValueDecoder {
        let child = JSONValueDecoder(try current(), path)
        currentIndex += 1
        return child
    }

    mutating func decodeNil() throws -> Bool {
        guard try current().isNull else { return false }
        currentIndex += 1
        return true
    }

    mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        let value = try JSONValueDecoder.decode(type, try current(), path)
        currentIndex += 1
        return value
    }

    mutating func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type
    ) throws -> KeyedDecodingContainer<Nested> {
        try child().container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer { try child().unkeyedContainer() }
    mutating func superDecoder() throws -> any Decoder { try child() }
}

private struct ValueReader: SingleValueDecodingContainer {
    let value: JSONValue
    let codingPath: [any CodingKey]

    func decodeNil() -> Bool { value.isNull }
    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try JSONValueDecoder.decode(type, value, codingPath)
    }
}
