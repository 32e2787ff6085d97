import Model
import ResourceKit

/// Makes the body of a request from a form.
struct FormDecoding {
    /// What the form was filled with when it was made; nil when it creates something.
    var stored: [String: JSONValue]?

    /// The members to send: for a new resource what was filled in, for an existing one what was changed.
    func body(_ values: FormValues, of fields: [Field]) -> [String: JSONValue] {
        var body: [String: JSONValue] = [:]
        for field in fields where stored == nil || !field.isImmutable {
            if let value = value(of: field, values, path: field.name, stored: stored?[field.name] ?? .null) {
                body[field.name] = value
            }
        }
        return body
    }

    /// nil: leave the member out.
    private func value(of field: Field, _ values: FormValues, path: String, stored old: JSONValue) -> JSONValue? {
        switch field.kind {
        case .object(let inner) where !inner.isEmpty: return group(inner, values, path: path, stored: old)
        case .map(_, let element, _) where element.isRowValue: return map(element, values, path: path, stored: old)
        default: break
        }
        guard let text = values.texts[path] else { return nil }
        if stored != nil {
            if text == FormValues.shownText(old, of: field) { return nil }
            if trimmed(text) == nil { return Self.cleared(field) }
        } else if trimmed(text) == nil {
            return nil
        }
        return field.kind.value(fromInput: text)
    }

    private static func cleared(_ field: Field) -> JSONValue {
        if case .list = field.kind { return [] }
        return .null
    }

    /// A group is sent whole when any member changed, so that it does not matter whether the hub merges or replaces it.
    private func group(_ inner: [Field], _ values: FormValues, path: String, stored old: JSONValue) -> JSONValue? {
        var changed: [String: JSONValue] = [:]
        for field in inner {
            let previous = old[field.name] ?? .null
            guard let value = value(of: field, values, path: "\(path).\(field.name)", stored: previous) else {
                continue
            }
            // A group that nobody filled in stays away: some may not be there at all.
            if previous.isNull, value == field.defaultValue { continue }
            changed[field.name] = value
        }
        guard !changed.isEmpty else { return nil }
        return .object((old.objectValue ?? [:]).merging(changed) { $1 })
    }

    private func map(_ element: Field.Kind, _ values: FormValues, path: String, stored old: JSONValue) -> JSONValue? {
        guard let rows = values.rows[path] else { return nil }
        let shown =
            FormValues(
                showing: ["map": old],
                of: [
                    Field("map", .map(key: { _ in nil }, value: element, countMax: FormValues.rowsMax), "")
                ]
            ).rows["map"] ?? []
        guard rows.sorted(by: { $0.key < $1.key }) != shown, stored != nil || !rows.isEmpty else { return nil }
        var members: [String: JSONValue] = [:]
        for row in rows { members[row.key] = Self.value(of: row, element) }
        return .object(members)
    }

    private static func value(of row: FormValues.Row, _ element: Field.Kind) -> JSONValue {
        guard case .environmentValue = element else { return element.value(fromInput: row.value) }
        guard row.isSecret else { return .string(row.value) }
        // A stored secret goes back as it came: flagged and without its value, which keeps it.
        if row.isKept, row.value.isEmpty { return ["secret": true] }
        return ["value": .string(row.value), "secret": true]
    }
}
