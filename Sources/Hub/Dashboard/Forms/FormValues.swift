import Model
import ResourceKit

/// What the inputs of a form hold, as text: from a stored resource, or as a person typed it.
struct FormValues: Sendable, Equatable {
    /// One row of a map.
    struct Row: Sendable, Equatable {
        var key: String
        var value: String
        var isSecret: Bool
        /// A secret that is stored and not shown: an empty value keeps it.
        var isKept = false
    }

    /// Path of the field → text of its input.
    var texts: [String: String] = [:]
    /// Path of the field → rows.
    var rows: [String: [Row]] = [:]

    /// Rows beyond this are not read.
    static let rowsMax = 1000

    init() {}

    /// The inputs as they show a resource.
    init(showing object: [String: JSONValue], of fields: [Field], prefix: String = "") {
        for field in fields {
            let path = prefix + field.name
            let value = object[field.name] ?? .null
            switch field.kind {
            case .object(let inner) where !inner.isEmpty:
                let nested = FormValues(showing: value.objectValue ?? [:], of: inner, prefix: path + ".")
                texts.merge(nested.texts) { $1 }
                rows.merge(nested.rows) { $1 }
            case .map(_, let element, _) where element.isRowValue:
                rows[path] = (value.objectValue ?? [:]).sorted { $0.key < $1.key }.map { Self.row($0.key, $0.value) }
            default: texts[path] = Self.shownText(value, of: field)
            }
        }
    }

    /// What an input shows for a stored value. A checkbox cannot be empty, so it shows the default.
    static func shownText(_ value: JSONValue, of field: Field) -> String {
        if field.isSecret { return "" }
        if case .boolean = field.kind, value.isNull { return field.defaultValue == true ? "true" : "false" }
        return field.kind.inputText(value)
    }

    /// The inputs as they were sent.
    init(sent body: FormBody, for fields: [Field], keeping stored: FormValues? = nil, prefix: String = "") {
        for field in fields {
            let path = prefix + field.name
            switch field.kind {
            case .object(let inner) where !inner.isEmpty:
                let nested = FormValues(sent: body, for: inner, keeping: stored, prefix: path + ".")
                texts.merge(nested.texts) { $1 }
                rows.merge(nested.rows) { $1 }
            case .map(_, let element, _) where element.isRowValue:
                rows[path] = Self.rows(at: path, in: body, keeping: stored?.rows[path] ?? [])
            default: texts[path] = body[path]
            }
        }
    }

    private static func row(_ key: String, _ value: JSONValue) -> Row {
        guard let members = value.objectValue else {
            return Row(key: key, value: value.stringValue ?? value.canonicalText, isSecret: false)
        }
        let isSecret = members["secret"] == true
        return Row(
            key: key, value: isSecret ? "" : members["value"]?.stringValue ?? "", isSecret: isSecret, isKept: isSecret)
    }

    private static func rows(at path: String, in body: FormBody, keeping stored: [Row]) -> [Row] {
        var result: [Row] = []
        for number in 0..<rowsMax {
            guard let key = body["\(path)[\(number)].key"] else { break }
            let name = trimmed(key) ?? ""
            let value = body["\(path)[\(number)].value"] ?? ""
            guard !name.isEmpty || !value.isEmpty else { continue }
            let isSecret = body["\(path)[\(number)].secret"] == "true"
            let isKept = isSecret && stored.contains { $0.key == name && $0.isKept }
            result.append(Row(key: name, value: value, isSecret: isSecret, isKept: isKept))
        }
        return result
    }
}

extension Field.Kind {
    /// Whether a map of these is edited row by row.
    var isRowValue: Bool {
        switch self {
        case .string, .text, .environmentValue, .integer, .number, .duration, .size, .choice: true
        default: false
        }
    }

    /// Whether a list of these is edited as lines.
    var isLineValue: Bool {
        switch self {
        case .string, .integer, .number, .duration, .size, .choice, .reference: true
        default: false
        }
    }

    /// A value as its input shows it.
    func inputText(_ value: JSONValue) -> String {
        switch (self, value) {
        case (_, .null): ""
        case (.duration, .int(let seconds)): Duration.seconds(seconds).shortText
        case (.size, .int(let bytes)): Self.sizeText(bytes)
        case (.list(let element, _), .array(let values)) where element.isLineValue:
            values.map { element.inputText($0) }.joined(separator: "\n")
        case (_, .string(let text)): text
        default: value.canonicalText
        }
    }

    /// The shortest exact text: `512M`.
    static func sizeText(_ bytes: Int64) -> String {
        for (unit, shift) in [("T", 40), ("G", 30), ("M", 20), ("K", 10)] as [(String, Int64)]
        where bytes > 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return String(bytes)
    }

    /// What an input's text means; a text that means nothing stays text, and the check of the field says why not.
    func value(fromInput text: String) -> JSONValue {
        switch self {
        case .text: return .string(text)
        case .integer: return trimmed(text).flatMap { Int64($0) }.map { .int($0) } ?? .string(text)
        case .number:
            guard let number = trimmed(text).flatMap({ Double($0) }), number.isFinite else { return .string(text) }
            return .double(number)
        case .boolean: return text == "true" ? true : text == "false" ? false : .string(text)
        case .list(let element, _) where element.isLineValue:
            return .array(
                text.split(whereSeparator: \.isNewline).compactMap { trimmed(String($0)) }
                    .map { element.value(fromInput: $0) })
        case .list, .map, .object:
            return (try? JSONParser.parse(text))
                ?? .string(text)  // the check says what is wrong
        default: return .string(trimmed(text) ?? "")
        }
    }
}
