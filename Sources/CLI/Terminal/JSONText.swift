import Model

extension JSONValue {
    /// JSON for people and programs alike: two spaces of indent, members sorted by name.
    func prettyText(indent: Int = 0) -> String {
        let pad = String(repeating: "  ", count: indent + 1)
        let end = String(repeating: "  ", count: indent)
        switch self {
        case .object(let members) where !members.isEmpty:
            let lines = members.sorted { $0.key < $1.key }.map { key, value in
                "\(pad)\(JSONValue.string(key).canonicalText): \(value.prettyText(indent: indent + 1))"
            }
            return "{\n\(lines.joined(separator: ",\n"))\n\(end)}"
        case .array(let values) where !values.isEmpty:
            return "[\n\(values.map { pad + $0.prettyText(indent: indent + 1) }.joined(separator: ",\n"))\n\(end)]"
        default: return canonicalText
        }
    }

    /// One line for a table or a plan.
    var shortText: String {
        switch self {
        case .null: ""
        case .bool(let value): value ? "yes" : "no"
        case .string(let value): value.split(separator: "\n", omittingEmptySubsequences: false).joined(separator: "⏎")
        case .array(let values): values.map(\.shortText).joined(separator: ", ")
        default: canonicalText
        }
    }
}
