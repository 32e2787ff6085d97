import HubCore
import Model
import ResourceKit

/// JSON Schema (2020-12, as OpenAPI 3.1 uses it) from declared fields.
enum Schema {
    static func reference(_ name: String) -> JSONValue { ["$ref": .string("#/components/schemas/\(name)")] }

    static func items(_ schema: JSONValue) -> JSONValue {
        [
            "type": "object", "required": ["items"],
            "properties": ["items": ["type": "array", "items": schema]],
        ]
    }

    static func page(of schema: JSONValue) -> JSONValue {
        [
            "type": "object", "required": ["items", "next_cursor", "has_more"], "additionalProperties": false,
            "properties": [
                "items": ["type": "array", "items": schema], "next_cursor": ["type": ["string", "null"]],
                "has_more": ["type": "boolean"],
            ],
        ]
    }

    /// The object that fields take.
    ///
    /// - Parameters:
    ///   - partial: nothing is required, and null puts a default back.
    ///   - more: members besides the fields.
    static func object(
        _ fields: [Field], partial: Bool = false, more: [String: JSONValue] = [:], required: [String] = []
    )
        -> JSONValue
    {
        var properties = more
        for field in fields where !(partial && field.isImmutable) {
            properties[field.name] = described(
                isNullable: partial && !field.isRequired || !partial && !field.isRequired, field)
        }
        let names = (partial ? [] : fields.filter(\.isRequired).map(\.name)) + required
        var schema: JSONValue = [
            "type": "object", "properties": .object(properties), "additionalProperties": false,
        ]
        if !names.isEmpty { schema["required"] = .array(names.map(JSONValue.string)) }
        return schema
    }

    private static func described(isNullable: Bool, _ field: Field) -> JSONValue {
        var schema = isNullable ? nullable(value(field.kind)) : value(field.kind)
        schema["description"] = .string(field.summary)
        if let standard = field.defaultValue { schema["default"] = standard }
        if let example = field.example { schema["examples"] = [example] }
        if field.isSecret { schema["writeOnly"] = true }
        return schema
    }

    static func nullable(_ schema: JSONValue) -> JSONValue {
        var schema = schema
        if schema == [:] { return schema }
        switch schema["type"] {
        case .some(.string(let type)): schema["type"] = [.string(type), "null"]
        default: schema = ["anyOf": [schema, ["type": "null"]]]
        }
        if case .array(let choices)? = schema["enum"] { schema["enum"] = .array(choices + [.null]) }
        return schema
    }

    static func value(_ kind: Field.Kind) -> JSONValue {
        switch kind {
        case .string: return ["type": "string", "maxLength": 65_536]
        case .text(let bytesMax): return ["type": "string", "maxLength": .int(Int64(bytesMax))]
        case .integer(let range):
            return ["type": "integer", "minimum": .int(range.lowerBound), "maximum": .int(range.upperBound)]
        case .number(let range):
            return ["type": "number", "minimum": .double(range.lowerBound), "maximum": .double(range.upperBound)]
        case .boolean: return ["type": "boolean"]
        case .duration:
            return [
                "anyOf": [
                    ["type": "number", "minimum": 0],
                    ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)?(ms|s|m|h|d)?$"],
                ]
            ]
        case .size:
            return [
                "anyOf": [
                    ["type": "integer", "minimum": 0],
                    ["type": "string", "pattern": "^[0-9]+(\\.[0-9]+)? ?([kKmMgGtT]?([iI]?[bB])?)$"],
                ]
            ]
        case .choice(let choices):
            return ["type": "string", "enum": .array(choices.map(JSONValue.string))]
        case .list(let element, let countMax):
            return ["type": "array", "items": value(element), "maxItems": .int(Int64(countMax))]
        case .map(_, let element, let countMax):
            return [
                "type": "object", "additionalProperties": value(element), "maxProperties": .int(Int64(countMax)),
            ]
        case .object(let fields): return fields.isEmpty ? ["type": "object"] : object(fields)
        case .environmentValue:
            return [
                "anyOf": [
                    ["type": "string", "maxLength": 32_768],
                    [
                        "type": "object", "additionalProperties": false,
                        "properties": [
                            "value": ["type": "string", "maxLength": 32_768], "secret": ["type": "boolean"],
                        ],
                    ],
                ]
            ]
        case .json: return [:]
        case .reference: return ["type": "string", "maxLength": 255]
        }
    }

    /// Members of a creation that hold resources below the new one.
    static func nested(
        _ kinds: [ResourceKind], suffix: String, isNullable: Bool = false
    ) -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for kind in kinds {
            let list: JSONValue = [
                "type": isNullable ? ["array", "null"] : "array", "items": reference("\(kind.name)-\(suffix)"),
                "maxItems": .int(Int64(Hub.nestedMax)), "description": .string("Created with it, or nothing is."),
            ]
            result[kind.nestedName] = list
        }
        return result
    }

    /// The list of what a link names.
    static func linked(_ link: ResourceLink) -> JSONValue {
        let item: JSONValue = [
            "type": "object", "required": ["id", "name", "status"], "additionalProperties": false,
            "properties": [
                "id": ["type": "string"], "name": ["type": ["string", "null"]], "status": ["type": "string"],
            ],
        ]
        var page = page(of: item)
        guard var properties = page["properties"]?.objectValue else { return page }
        properties[link.field] = ["type": "array", "items": ["type": "string"]]
        page["properties"] = .object(properties)
        return page
    }

    /// A resource as it is read.
    static func resource(
        _ kind: ResourceKind, shownOnce: Bool = false, more: [String: JSONValue] = [:]
    ) -> JSONValue {
        var properties: [String: JSONValue] = [
            "id": ["type": "string"], "revision": ["type": "integer"],
            "status": ["type": "string", "enum": .array(ResourceStatus.allCases.map { .string($0.rawValue) })],
            "status_message": ["type": ["string", "null"]],
            "created_at": ["type": "string", "format": "date-time"],
            "updated_at": ["type": "string", "format": "date-time"],
        ]
        if let parent = kind.parent { properties[parent.field] = ["type": ["string", "null"]] }
        for field in kind.reported + kind.fields where !field.isSecret && !field.isInputOnly {
            var schema = nullable(value(field.kind))
            schema["description"] = .string(field.summary)
            properties[field.name] = schema
        }
        let required = properties.keys.sorted().map(JSONValue.string)
        return [
            "type": "object", "description": .string(kind.summary),
            "properties": .object(properties.merging(more) { $1 }),
            "required": .array(required), "additionalProperties": .bool(shownOnce),
        ]
    }
}
