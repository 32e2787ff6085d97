import Model
import ResourceKit

/// Pages of any kind, from its declaration.
enum GenericPages {
    /// Name of a kind for people: `install-token` → "install token".
    static func title(_ kind: ResourceKind) -> String {
        switch kind.name {
        case "node": "server"
        case "api-key": "API key"
        default: String(kind.name.map { $0 == "-" ? " " : $0 })
        }
    }

    static func pluralTitle(_ kind: ResourceKind) -> String {
        kind.name == "node" ? "Servers" : FormFields.label(kind.plural)
    }

    /// The cells of a list's row: name or id first, then the declared columns, status and age.
    static func columns(_ kind: ResourceKind) -> [String] {
        ["label"] + kind.columns.filter { !["name", "email", "domain", "username"].contains($0) } + [
            "status", "created_at",
        ]
    }

    static func columnModels(_ kind: ResourceKind) -> JSONValue {
        .array(
            columns(kind).map { name in
                ["label": .string(heading(name, kind))]
            })
    }

    static func row(_ resource: JSONValue, _ kind: ResourceKind, names: [String: String], now: Timestamp) -> JSONValue {
        let cells = columns(kind).map { name -> JSONValue in
            var cell: [String: JSONValue] = ["label": .string(heading(name, kind))]
            switch name {
            case "label":
                cell["link"] = .string("/\(kind.plural)/\(percentEncoded(resource.id))")
                cell["text"] = .string(resource.label)
            case "status": cell["state"] = PageParts.state(resource.text("status") ?? "active")
            default:
                cell.merge(value(resource[name] ?? .null, field(name, of: kind), names: names, now: now)) { $1 }
            }
            return .object(cell)
        }
        return ["key": .string(kind.name + resource.id), "cells": .array(cells)]
    }

    private static func heading(_ name: String, _ kind: ResourceKind) -> String {
        switch name {
        case "label": "Name"
        case "created_at": "Created"
        default: field(name, of: kind).map { FormFields.label(of: $0) } ?? FormFields.label(name)
        }
    }

    private static func field(_ name: String, of kind: ResourceKind) -> Field? {
        (kind.fields + kind.reported).first { $0.name == name }
    }

    private static func value(
        _ value: JSONValue, _ field: Field?, names: [String: String], now: Timestamp
    ) -> [String: JSONValue] {
        if case .reference(let kind)? = field?.kind, let id = value.stringValue {
            return [
                "reference": .string("/\(plural(kind))/\(percentEncoded(id))"),
                "reference_text": .string(names[id] ?? String(id.prefix(8))),
            ]
        }
        if let text = value.stringValue, Timestamp(rfc3339: text) != nil {
            return ["time": PageParts.time(text, now: now)]
        }
        if field?.name == "commit" { return ["plain": .string(PageParts.short(value.stringValue))] }
        let text = plain(value, field)
        return ["plain": .string(PageParts.excerpt(text, 80)), "is_blank": .bool(text.isEmpty)]
    }

    /// English kinds of this project all form their plural with an s.
    private static func plural(_ kind: String) -> String { kind + "s" }

    /// One line for a value.
    static func plain(_ value: JSONValue, _ field: Field?) -> String {
        switch value {
        case .null: ""
        case .bool(let flag): flag ? "yes" : "no"
        case .array(let values): values.map { $0.stringValue ?? $0.canonicalText }.joined(separator: ", ")
        case .object(let members):
            members.sorted { $0.key < $1.key }.filter { !$0.value.isNull }
                .map { "\($0.key): \($0.value["secret"] == true ? "(secret)" : plain($0.value, nil))" }
                .joined(separator: ", ")
        default: field?.kind.inputText(value) ?? value.stringValue ?? value.canonicalText
        }
    }

    /// All fields as facts; groups are spread out.
    static func facts(
        _ resource: JSONValue, _ fields: [Field], names: [String: String], now: Timestamp, prefix: String = ""
    ) -> [JSONValue] {
        fields.flatMap { field -> [JSONValue] in
            let value = resource[field.name] ?? .null
            let label = prefix + FormFields.label(of: field)
            if case .object(let inner) = field.kind, !inner.isEmpty {
                return facts(value, inner, names: names, now: now, prefix: label + ": ")
            }
            return [.object(fact(value, field, label: label, names: names, now: now))]
        }
    }

    private static func fact(
        _ value: JSONValue, _ field: Field, label: String, names: [String: String], now: Timestamp
    ) -> [String: JSONValue] {
        var fact: [String: JSONValue] = ["label": .string(label), "is_wide": false]
        let text = plain(value, field)
        if field.isSecret {
            fact["none"] = "secret, not shown"
        } else if text.isEmpty {
            fact["none"] = .string(field.isRequired ? "not set" : "none")
        } else if case .reference(let kind) = field.kind {
            fact["link"] = .string("/\(plural(kind))/\(percentEncoded(text))")
            fact["text"] = .string(names[text] ?? text)
        } else if Timestamp(rfc3339: text) != nil {
            fact["time"] = PageParts.time(text, now: now)
        } else if case .object = value {
            fact["block"] = .string(indented(value))
            fact["is_wide"] = true
        } else if case .array(let values) = value, values.contains(where: { $0.objectValue != nil }) {
            fact["block"] = .string(indented(value))
            fact["is_wide"] = true
        } else {
            let isCode = text.contains { $0 == "/" || $0 == "$" || $0 == "=" } || text.count > 40
            fact[isCode ? "code" : "plain"] = .string(text)
            fact["is_wide"] = .bool(text.count > 40)
        }
        return fact
    }

    /// JSON for reading.
    static func indented(_ value: JSONValue, _ depth: Int = 0) -> String {
        let pad = String(repeating: "  ", count: depth + 1)
        let close = String(repeating: "  ", count: depth)
        switch value {
        case .object(let members) where !members.isEmpty:
            let lines = members.sorted { $0.key < $1.key }.map {
                "\(pad)\(JSONValue.string($0.key).canonicalText): \(indented($0.value, depth + 1))"
            }
            return "{\n\(lines.joined(separator: ",\n"))\n\(close)}"
        case .array(let values) where !values.isEmpty:
            return "[\n\(values.map { pad + indented($0, depth + 1) }.joined(separator: ",\n"))\n\(close)]"
        default: return value.canonicalText
        }
    }
}
