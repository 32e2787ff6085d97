import Model
import ResourceKit

/// An option of a command that sets a field of a resource, derived from the field's declaration.
struct FieldOption: Sendable {
    /// How words become a value.
    enum Form: Sendable {
        case scalar
        case flag
        case list(Field.Kind)
        /// `KEY=VALUE`.
        case map(Field.Kind)
        /// `KEY=VALUE`, and `--secret-…` for what nobody may read again.
        case environment
        /// JSON text, for shapes that have no option of their own.
        case json
    }

    /// Names from the resource down to the field.
    var path: [String]
    var field: Field
    var form: Form

    /// `health_check.path` becomes `health-check-path`; a list's option names one entry: `hostnames` → `hostname`.
    var name: String {
        let words = path.joined(separator: "_").split(separator: "_").joined(separator: "-")
        return switch form {
        case .list where words.hasSuffix("iases"): String(words.dropLast(2))
        case .list where words.hasSuffix("s"): String(words.dropLast())
        default: words
        }
    }

    /// Whether `@FILE` and `-` stand for what is in them: what is secret, and what comes in files anyway.
    var readsFiles: Bool { field.isSecret || field.name.hasSuffix("_pem") }

    /// The options for a kind's fields, objects flattened.
    static func options(for fields: [Field], below path: [String] = []) -> [FieldOption] {
        fields.flatMap { field -> [FieldOption] in
            let path = path + [field.name]
            switch field.kind {
            case .object(let inner) where !inner.isEmpty: return options(for: inner, below: path)
            case .object: return [FieldOption(path: path, field: field, form: .json)]
            case .boolean: return [FieldOption(path: path, field: field, form: .flag)]
            case .list(.object, _), .list(.map, _), .list(.list, _):
                return [FieldOption(path: path, field: field, form: .json)]
            case .list(let element, _): return [FieldOption(path: path, field: field, form: .list(element))]
            case .map(_, .environmentValue, _): return [FieldOption(path: path, field: field, form: .environment)]
            case .map(_, .object, _), .map(_, .map, _), .map(_, .list, _):
                return [FieldOption(path: path, field: field, form: .json)]
            case .map(_, let value, _): return [FieldOption(path: path, field: field, form: .map(value))]
            default: return [FieldOption(path: path, field: field, form: .scalar)]
            }
        }
    }

    /// What the command line takes for this field.
    func declarations(section: String = "FIELDS") -> [OptionDeclaration] {
        var about = field.summary
        if let value = field.defaultValue, value != [:], value != [] { about += " Default: \(value.shortText)." }
        if let value = field.example { about += " Example: \(value.shortText)." }
        if field.isRequired { about += " Required." }
        if readsFiles { about += " Read from a file with @FILE, from standard input with -." }
        let placeholder = Self.placeholder(field.kind)
        switch form {
        case .scalar, .json: return [OptionDeclaration(name, placeholder: placeholder, about, section: section)]
        case .flag:
            return [
                OptionDeclaration(name, about, arity: .flag, section: section),
                OptionDeclaration("no-\(name)", "The opposite of --\(name).", arity: .flag, section: section),
            ]
        case .list(let element):
            let plural = path.joined(separator: "-").split(separator: "_").joined(separator: "-")
            return [
                OptionDeclaration(
                    name, aliases: plural == name ? [] : [plural], placeholder: Self.placeholder(element),
                    about + " May be repeated.", arity: .repeated, section: section)
            ]
        case .map:
            return [
                OptionDeclaration(
                    name, placeholder: "KEY=VALUE", about + " May be repeated.", arity: .repeated, section: section)
            ]
        case .environment:
            return [
                OptionDeclaration(
                    name, placeholder: "KEY=VALUE", about + " May be repeated.", arity: .repeated, section: section),
                OptionDeclaration(
                    "secret-\(name)", placeholder: "KEY=VALUE",
                    "As --\(name), but nobody can read it again. KEY=@FILE reads a file, KEY=- standard input, so that "
                        + "the secret is on no command line. May be repeated.",
                    arity: .repeated, section: section),
            ]
        }
    }

    private static func placeholder(_ kind: Field.Kind) -> String {
        switch kind {
        case .integer, .number: "NUMBER"
        case .duration: "SPAN"
        case .size: "SIZE"
        case .choice(let choices): choices.joined(separator: "|")
        case .reference(let kind): kind.uppercased()
        case .object, .list, .map: "JSON"
        case .text: "TEXT"
        default: "VALUE"
        }
    }
}
