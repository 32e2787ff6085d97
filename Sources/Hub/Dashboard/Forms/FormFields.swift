import Model
import ResourceKit

/// The inputs of a form, derived from the declaration of a kind.
struct FormFields {
    /// A choice of a reference input.
    struct Option: Sendable, Equatable {
        var value: String
        var label: String
    }

    var values: FormValues
    /// Path of a field → why its value was refused.
    var flaws: [String: String] = [:]
    /// Whether the form changes something that exists.
    var isEdit = false
    /// Kind → resources to choose from; a reference to another kind is typed.
    var options: [String: [Option]] = [:]

    func models(_ fields: [Field], prefix: String = "") -> [JSONValue] {
        fields.filter { !isEdit || !$0.isImmutable }.map { .object(model($0, path: prefix + $0.name)) }
    }

    /// Flaws as a list above the form; each leads to its input.
    func errorList(_ fields: [Field]) -> [JSONValue] {
        let ids = Set(inputPaths(fields, prefix: ""))
        return flaws.sorted { $0.key < $1.key }.map { path, why in
            let target = ids.contains(path) ? path : ids.filter { path.hasPrefix($0) }.max { $0.count < $1.count }
            return [
                "field": .string(errorLabel(path, fields)), "why": .string(why + "."),
                "target": target.map { .string(Self.id($0)) } ?? .null,
            ]
        }
    }

    private func errorLabel(_ path: String, _ fields: [Field]) -> String {
        fields.first { $0.name == path }.map { Self.label(of: $0) } ?? Self.label(path)
    }

    private func inputPaths(_ fields: [Field], prefix: String) -> [String] {
        fields.flatMap { field -> [String] in
            if case .object(let inner) = field.kind, !inner.isEmpty {
                return inputPaths(inner, prefix: prefix + field.name + ".")
            }
            return [prefix + field.name]
        }
    }

    private func model(_ field: Field, path: String) -> [String: JSONValue] {
        let flaw = flaw(at: path, of: field)
        let id = Self.id(path)
        let hasHint = !field.summary.isEmpty
        let described = [flaw != nil ? "\(id)-flaw" : nil, hasHint ? "\(id)-hint" : nil].compactMap { $0 }
        var model: [String: JSONValue] = [
            "id": .string(id), "name": .string(path), "label": .string(Self.label(of: field)),
            "hint": .string(field.summary), "hint_id": .string("\(id)-hint"), "flaw_id": .string("\(id)-flaw"),
            "flaw": flaw.map { .string($0) } ?? .null, "is_required": .bool(field.isRequired && !field.isSecret),
            "described_by": .string(described.joined(separator: " ")), "example": .string(example(field)),
        ]
        model.merge(input(field, path: path)) { $1 }
        return model
    }

    private func flaw(at path: String, of field: Field) -> String? {
        if let flaw = flaws[path] { return flaw }
        if case .list = field.kind {
            // An entry's flaw belongs to the one input of the list.
            let entry = flaws.filter { $0.key.hasPrefix(path + "[") }.min { $0.key < $1.key }
            return entry.map { "has an entry that \($0.value)" }
        }
        return nil
    }

    private func example(_ field: Field) -> String {
        guard let value = field.example else { return "" }
        if case .map = field.kind { return "" }
        return field.kind.inputText(value)
    }

    private func input(_ field: Field, path: String) -> [String: JSONValue] {
        let text = values.texts[path] ?? (isEdit ? "" : field.defaultValue.map { field.kind.inputText($0) } ?? "")
        let value = JSONValue.string(text)
        switch field.kind {
        case .object(let inner) where !inner.isEmpty:
            return ["is_group": true, "fields": .array(groupModels(inner, field: field, path: path))]
        case .boolean: return ["is_check": true, "is_checked": .bool(text == "true")]
        case .choice(let choices):
            return ["is_choice": true, "options": .array(choiceOptions(choices, text, isRequired: field.isRequired))]
        case .reference(let kind):
            guard let known = options[kind], !known.isEmpty else { return line(field, value) }
            return ["is_choice": true, "options": .array(referenceOptions(known, text, isRequired: field.isRequired))]
        case .map(_, let element, _) where element.isRowValue:
            var model: [String: JSONValue] = ["is_map": true, "rows": .array(rowModels(element, path: path))]
            if case .environmentValue = element {
                model["hint"] = "A value that is marked secret is stored encrypted and never shown again."
            }
            return model
        case .text, .list, .map, .object:
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).count
            var hint = field.summary
            if case .list(let element, _) = field.kind, element.isLineValue { hint += " One per line." }
            return [
                "is_text": true, "value": value, "rows": .int(Int64(min(max(lines + 1, 2), 16))), "hint": .string(hint),
                "placeholder": .string(field.isSecret && isEdit ? "leave empty to keep it" : ""),
            ]
        default: return line(field, value)
        }
    }

    /// Members of a group; their defaults may stand at the group.
    private func groupModels(_ inner: [Field], field: Field, path: String) -> [JSONValue] {
        let fields = inner.map { member -> Field in
            var member = member
            if let value = field.defaultValue?[member.name] { member.defaultValue = value }
            return member
        }
        return models(fields, prefix: path + ".")
    }

    private func line(_ field: Field, _ value: JSONValue) -> [String: JSONValue] {
        var model: [String: JSONValue] = [
            "is_line": true, "value": value, "input_type": "text", "autocomplete": "off", "placeholder": "",
            "input_mode": .null, "is_code": false,
        ]
        switch field.kind {
        case .integer: model["input_mode"] = "numeric"
        case .number: model["input_mode"] = "decimal"
        case .duration, .size: break
        default: model["is_code"] = .bool(field.name != "name")
        }
        if let text = field.defaultValue.map({ field.kind.inputText($0) }), !text.isEmpty {
            model["placeholder"] = .string("\(text) unless given")
        }
        if field.isSecret {
            model["input_type"] = "password"
            model["value"] = ""
            model["autocomplete"] = "new-password"
            if isEdit { model["placeholder"] = "leave empty to keep it" }
        }
        return model
    }

    private func choiceOptions(_ choices: [String], _ text: String, isRequired: Bool) -> [JSONValue] {
        let empty: [JSONValue] =
            isRequired || !text.isEmpty && choices.contains(text)
            ? [] : [["value": "", "label": "—", "is_selected": false]]
        return empty
            + choices.map { ["value": .string($0), "label": .string($0), "is_selected": .bool($0 == text)] }
    }

    private func referenceOptions(_ known: [Option], _ text: String, isRequired: Bool) -> [JSONValue] {
        var shown = known
        if !text.isEmpty, !known.contains(where: { $0.value == text }) {
            shown.append(Option(value: text, label: text))
        }
        let empty: [JSONValue] = isRequired ? [] : [["value": "", "label": "—", "is_selected": false]]
        return empty
            + shown.map {
                ["value": .string($0.value), "label": .string($0.label), "is_selected": .bool($0.value == text)]
            }
    }

    /// The rows, and empty ones to fill in.
    private func rowModels(_ element: Field.Kind, path: String) -> [JSONValue] {
        var hasSecret = false
        if case .environmentValue = element { hasSecret = true }
        let rows = values.rows[path] ?? []
        let spare = FormValues.Row(key: "", value: "", isSecret: false)
        return (rows + Array(repeating: spare, count: rows.isEmpty ? 3 : 2)).enumerated().map { number, row in
            let base = "\(path)[\(number)]"
            let flaw = row.key.isEmpty && row.value.isEmpty ? nil : flaws["\(path).\(row.key)"]
            return [
                "key": .string(row.key), "value": .string(row.value), "number": .int(Int64(number + 1)),
                "key_name": .string(base + ".key"), "value_name": .string(base + ".value"),
                "secret_name": .string(base + ".secret"), "secret_id": .string(Self.id(base) + "-secret"),
                "has_secret": .bool(hasSecret), "is_secret": .bool(row.isSecret),
                "placeholder": row.isKept ? "stored; leave empty to keep it" : "value",
                "flaw": flaw.map { .string("\(row.key) \($0).") } ?? .null,
            ]
        }
    }

    /// Id of the input of a path.
    static func id(_ path: String) -> String {
        "f-" + String(path.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" })
    }

    /// A reference is called after what it refers to.
    static func label(of field: Field) -> String {
        guard case .reference = field.kind, field.name.hasSuffix("_id") else { return label(field.name) }
        return label(String(field.name.dropLast(3)))
    }

    /// `git_url` → "Git URL".
    static func label(_ path: String) -> String {
        let acronyms = [
            "url": "URL", "id": "ID", "ssh": "SSH", "dns": "DNS", "cpu": "CPU", "ip": "IP", "api": "API", "sha": "SHA",
            "totp": "TOTP", "ms": "(ms)", "tls": "TLS", "https": "HTTPS", "hsts": "HSTS", "acme": "ACME",
            "pem": "(PEM)", "www": "WWW", "oidc": "OIDC", "lb": "LB", "fqdn": "FQDN", "fqdns": "FQDNs", "ns": "NS",
        ]
        if path == "env" { return "Environment" }
        let words = path.split(whereSeparator: { $0 == "_" || $0 == "." || $0 == "-" }).map(String.init)
        let text = words.map { acronyms[$0] ?? $0 }.joined(separator: " ")
        return text.prefix(1).uppercased() + text.dropFirst()
    }
}
