extension JSONValue: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
            return
        }
        // A decoder tells the type of a value only by refusing the others, so each refusal leads to the next attempt.
        let attempts: [() throws -> JSONValue] = [
            { .bool(try container.decode(Bool.self)) }, { .int(try container.decode(Int64.self)) },
            { .double(try container.decode(Double.self)) }, { .string(try container.decode(String.self)) },
            { .array(try container.decode([JSONValue].self)) },
        ]
        for attempt in attempts {
            do {
                self = try attempt()
                return
            } catch {
                continue
            }
        }
        self = .object(try container.decode([String: JSONValue].self))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .int(let value): try container.encode(value)
        case .double(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
