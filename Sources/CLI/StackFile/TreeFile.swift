public import Model
public import ResourceKit
import Yams

/// Resources as a file: lists of them by the plural of their kind, with what is below each nested in it. References may
/// be names.
public struct TreeFile: Sendable {
    /// One resource of the file.
    public struct Entry: Sendable {
        public var kind: ResourceKind
        /// The fields that the file names.
        public var spec: [String: JSONValue]
        /// Where it stands: `regions[0].clusters[1]`.
        public var path: String
        public var below: [Entry]
    }

    /// In the order in which they can be made.
    public var entries: [Entry]

    /// Reads a file of any kinds.
    /// - Throws: `invalid` with the file, the line, the path and the reason.
    public static func parse(_ text: String, name: String, kinds: [ResourceKind]) throws(Problem) -> TreeFile {
        try reading(text, name) { (reader, root) throws(DeclaredYAML.Flaw) in
            let top =
                kinds.filter { $0.verbs.contains(.create) && ($0.parent?.isOptional ?? true) }
                + kinds.filter { $0.singletonPath != nil }
            var found: [String: JSONValue] = [:]
            for (key, node) in try reader.members(of: root, path: "") {
                guard let kind = top.first(where: { Self.word($0) == key }) else {
                    let hint = Spelling.nearest(to: key, in: top.map(Self.word)).map { " Did you mean \($0)?" } ?? ""
                    throw DeclaredYAML.Flaw(
                        line: reader.lines[key], message: "\(printable(key)) is not a kind of resource.\(hint)")
                }
                let fields = Field.Kind.object(Self.fields(of: kind, kinds))
                found[key] = try reader.value(
                    node, kind.singletonPath == nil ? .list(of: fields, countMax: 10_000) : fields, path: key)
            }
            var entries: [Entry] = []
            for kind in kinds where top.contains(where: { $0.name == kind.name }) {
                let word = Self.word(kind)
                guard let value = found[word] else { continue }
                for (index, one) in (value.arrayValue ?? [value]).enumerated() {
                    let path = value.arrayValue == nil ? word : "\(word)[\(index)]"
                    entries.append(try Self.entry(one, kind, path: path, kinds, reader.lines))
                }
            }
            return TreeFile(entries: entries)
        }
    }

    /// Reads a file of one cluster, with the name of its region.
    /// - Throws: `invalid` with the file, the line, the path and the reason.
    public static func parseCluster(
        _ text: String, name: String, kinds: [ResourceKind]
    ) throws(Problem) -> (region: String, cluster: Entry) {
        try reading(text, name) { (reader, root) throws(DeclaredYAML.Flaw) in
            guard let kind = kinds.first(where: { $0.name == "cluster" }) else {
                throw DeclaredYAML.Flaw(line: nil, message: "This program knows no clusters.")
            }
            let region = Field("region", .slug, "Name of the region.", required: true)
            var value = try reader.value(root, .object([region] + Self.fields(of: kind, kinds)), path: "")
            guard let named = value["region"]?.stringValue else {
                throw DeclaredYAML.Flaw(line: 1, message: "region is required.")
            }
            value = .object((value.objectValue ?? [:]).filter { $0.key != "region" })
            return (named, try Self.entry(value, kind, path: "", kinds, reader.lines))
        }
    }

    private static func reading<Result>(
        _ text: String, _ name: String, _ body: (inout DeclaredYAML, Node) throws(DeclaredYAML.Flaw) -> Result
    ) throws(Problem) -> Result {
        var reader = DeclaredYAML()
        do throws(DeclaredYAML.Flaw) {
            return try body(&reader, try DeclaredYAML.root(text))
        } catch {
            throw Problem(.invalid, "\(name)\(error.line.map { ":\($0)" } ?? ""): \(error.message)")
        }
    }

    /// The word for a kind at the top of a file.
    static func word(_ kind: ResourceKind) -> String {
        kind.plural.split(separator: "-").joined(separator: "_")
    }

    private static func below(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> [ResourceKind] {
        kinds.filter { other in
            other.parent?.kind == kind.name && other.verbs.contains(.create)
                && !kind.fields.contains { $0.name == other.nestedName }
        }
    }

    private static func fields(of kind: ResourceKind, _ kinds: [ResourceKind]) -> [Field] {
        kind.fields
            + below(kind, kinds).map { other in
                Field(other.nestedName, .list(of: .object(fields(of: other, kinds)), countMax: 10_000), "Below it.")
            }
    }

    private static func entry(
        _ value: JSONValue, _ kind: ResourceKind, path: String, _ kinds: [ResourceKind], _ lines: [String: Int]
    ) throws(DeclaredYAML.Flaw) -> Entry {
        var spec = (value.objectValue ?? [:]).filter { !$0.value.isNull }
        var entry = Entry(kind: kind, spec: [:], path: path, below: [])
        for other in below(kind, kinds) {
            for (index, one) in (spec.removeValue(forKey: other.nestedName)?.arrayValue ?? []).enumerated() {
                let place = (path.isEmpty ? "" : path + ".") + "\(other.nestedName)[\(index)]"
                entry.below.append(try Self.entry(one, other, path: place, kinds, lines))
            }
        }
        var flaws = FieldFlaws()
        kind.fields.check(spec, partial: kind.singletonPath != nil, into: &flaws)
        if flaws.problem == nil { kind.validate(kind.fields.withDefaults(spec), &flaws) }
        if let first = flaws.reasons.min(by: { $0.key < $1.key }) {
            let place = (path.isEmpty ? "" : path + ".") + first.key
            throw DeclaredYAML.Flaw(
                line: lines[place] ?? lines[path] ?? 1, message: "\(printable(place)) \(first.value).")
        }
        entry.spec = spec
        return entry
    }
}
