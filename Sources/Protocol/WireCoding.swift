public import Model

/// Codable types to and from ``JSONValue``, with `snake_case` names on the wire.
public enum WireCoding {
    /// The value as JSON.
    /// - Throws: when a number is not finite.
    public static func encode(_ value: some Encodable) throws -> JSONValue {
        try JSONValueEncoder.encode(value)
    }

    /// - Throws: `invalid` that names the path of the first member that does not fit.
    public static func decode<Value: Decodable>(_ type: Value.Type, from value: JSONValue) throws(Problem) -> Value {
        do {
            return try JSONValueDecoder.decode(type, value)
        } catch let error as DecodingError {
            throw Problem(.invalid, "\(path(of: error)) does not fit.", context: "\(error)")
        } catch {
            throw Problem(wrapping: error, doing: "Reading a message")
        }
    }

    private static func path(of error: DecodingError) -> String {
        let path: [any CodingKey]
        switch error {
        case .keyNotFound(let key, let context): path = context.codingPath + [key]
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            path = context.codingPath
        @unknown default: path = []
        }
        return path.isEmpty ? "The message" : path.map(\.stringValue).joined(separator: ".")
    }
}

extension DesiredStateEnvelope {
    public var json: JSONValue { ["document": document, "hash": .string(hash), "signature": .string(signature)] }

    public init(json: JSONValue) throws(Problem) {
        guard let document = json["document"], let hash = json["hash"]?.stringValue,
            let signature = json["signature"]?.stringValue
        else { throw Problem(.invalid, "The desired state needs document, hash and signature.") }
        self.init(document: document, hash: hash, signature: signature)
    }
}
