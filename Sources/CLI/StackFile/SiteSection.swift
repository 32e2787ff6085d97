import Model
import ResourceKit
import Yams

/// The part of a stack file below `sites:`.
enum SiteSection {
    /// Reads one site. A secret is text, or `{from_env: NAME}`, which takes it from the environment of whoever applies
    /// the file; a list of them is separated by white space or commas there.
    ///
    /// - Parameter environment: nil leaves references unread, for a check alone.
    static func read(
        _ node: Node, _ domain: String, _ kind: ResourceKind, _ environment: [String: String]?,
        _ reader: inout DeclaredYAML
    ) throws(DeclaredYAML.Flaw) -> [String: JSONValue] {
        let fields = kind.fields.filter { $0.name != "domain" }
        let path = "sites.\(domain)"
        var plain: [(Node, Node)] = []
        var spec: [String: JSONValue] = [:]
        guard case .mapping(let mapping) = node else {
            return try reader.value(node, .object(fields), path: path).objectValue ?? [:]
        }
        for (key, inner) in mapping {
            guard let field = fields.first(where: { $0.name == key.string && $0.isSecret }),
                case .mapping = inner
            else {
                plain.append((key, inner))
                continue
            }
            spec[field.name] = try secret(inner, field, "\(path).\(field.name)", environment, &reader)
        }
        let rest = Node.mapping(Node.Mapping(plain, mapping.tag, mapping.style, mapping.mark))
        return (try reader.value(rest, .object(fields), path: path).objectValue ?? [:]).merging(spec) { $1 }
    }

    private static func secret(
        _ node: Node, _ field: Field, _ path: String, _ environment: [String: String]?, _ reader: inout DeclaredYAML
    ) throws(DeclaredYAML.Flaw) -> JSONValue {
        let kind: Field.Kind = .object([Field("from_env", .line, "", required: true)])
        let name = try reader.value(node, kind, path: path)["from_env"]?.stringValue ?? ""
        // Long enough to stand for anything that is checked.
        var text = String(repeating: "unread-", count: 3)
        if let environment {
            guard let value = environment[name] else {
                throw DeclaredYAML.Flaw(
                    line: reader.lines[path],
                    message: "\(path): the environment variable \(printable(name)) is not set.")
            }
            text = value
        }
        guard case .list = field.kind else { return .string(text) }
        return .array(text.split { $0.isWhitespace || $0 == "," }.map { .string(String($0)) })
    }

    /// Why a site is refused: path below it, with a leading dot, and reason.
    static func flaws(
        _ spec: [String: JSONValue], _ domain: String, _ kind: ResourceKind
    ) -> [(path: String, why: String)] {
        var flaws = FieldFlaws()
        var whole = spec.filter { !$0.value.isNull }
        whole["domain"] = .string(domain)
        kind.fields.check(whole, into: &flaws)
        // Secrets that are not named stay what they are on the hub, so whether they are there is for the hub to say.
        for field in kind.fields where field.isSecret && whole[field.name] == nil {
            if case .list = field.kind { whole[field.name] = ["kept"] } else { whole[field.name] = "kept" }
        }
        if flaws.problem == nil { kind.validate(kind.fields.withDefaults(whole), &flaws) }
        return flaws.reasons.map { ($0.key == "domain" ? "" : ".\($0.key)", $0.value) }
    }
}
