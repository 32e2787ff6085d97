import Model
import ResourceKit

/// What an update sends. The API replaces each field that is named, so an entry that is added to a map must come with
/// the entries that are there.
enum SpecChanges {
    static func merged(
        _ spec: [String: JSONValue], into current: JSONValue, fields: [Field]
    ) -> [String: JSONValue] {
        var result = spec
        for field in fields {
            guard let named = spec[field.name]?.objectValue, let present = current[field.name]?.objectValue else {
                continue
            }
            switch field.kind {
            case .map: result[field.name] = .object(present.merging(named) { $1 })
            case .object(let inner):
                let known = present.filter { member in inner.contains { $0.name == member.key } }
                result[field.name] = .object(
                    known.merging(merged(named, into: .object(present), fields: inner)) { $1 })
            default: break
            }
        }
        return result
    }

    /// Takes fields (`git-ref`) and entries (`env.NAME`, `health-check.path`) away.
    static func clearing(
        _ names: [String], in spec: [String: JSONValue], of current: JSONValue, fields: [Field], path: [String]
    ) throws(UsageError) -> [String: JSONValue] {
        var result = spec
        for name in names {
            let parts = name.split(separator: ".", maxSplits: 1).map(String.init)
            let fieldName = (parts.first ?? "").split(separator: "-").joined(separator: "_")
            guard let field = fields.first(where: { $0.name == fieldName }) else {
                let known = fields.map { $0.name.split(separator: "_").joined(separator: "-") }
                let hint = Spelling.nearest(to: name, in: known).map { " Did you mean \($0)?" } ?? ""
                throw UsageError("--unset \(name.prefix(80)): there is no such field.\(hint)", path: path)
            }
            guard parts.count == 2 else {
                result[fieldName] = .null
                continue
            }
            var members = (result[fieldName] ?? current[fieldName])?.objectValue ?? [:]
            let key: String
            if case .object = field.kind {
                key = parts[1].split(separator: "-").joined(separator: "_")
            } else {
                key = parts[1]
            }
            guard members.removeValue(forKey: key) != nil else {
                throw UsageError("--unset \(name.prefix(80)): there is no such entry.", path: path)
            }
            result[fieldName] = .object(members)
        }
        return result
    }
}
