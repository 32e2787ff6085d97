import Host
import Model
public import ResourceKit

/// From the body of a creation to drafts: of the resource, and of those below it that the body names by their plural.
extension Hub {
    /// Resources of one kind that may be nested in one creation.
    public static let nestedMax = 200

    /// Kinds that a creation of this kind may nest.
    public func nestable(in kind: ResourceKind) -> [ResourceKind] {
        kinds.filter { below in
            below.parent?.kind == kind.name && below.verbs.contains(.create)
                && !kind.fields.contains { $0.name == below.nestedName }
        }
    }

    /// What the body of a creation may hold, with all that may be nested in it.
    func nestedFields(of kind: ResourceKind) -> [Field] {
        kind.fields
            + nestable(in: kind).map { below in
                Field(
                    below.nestedName, .list(of: .object(nestedFields(of: below)), countMax: Self.nestedMax),
                    "Created with it: \(below.plural).")
            }
    }

    /// Checks the whole body, with every flaw at its path.
    /// - Throws: `invalid`.
    func drafted(_ mutation: Mutation) throws -> CreationDraft {
        guard mutation.body.objectValue != nil else {
            throw Problem(.invalid, "The body must be a JSON object, not \(mutation.body.typeName).")
        }
        var flaws = FieldFlaws()
        let draft = drafted(mutation.body, mutation.kind, path: "", into: &flaws)
        if let problem = flaws.problem { throw problem }
        guard let draft else { throw Problem(.internalError, "A body without flaws gave no draft.") }
        return draft
    }

    /// nil when the body is no object.
    private func drafted(
        _ body: JSONValue, _ kind: ResourceKind, path: String, into flaws: inout FieldFlaws
    ) -> CreationDraft? {
        guard var members = body.objectValue else {
            flaws.add(String(path.dropLast()), "must be an object, not \(body.typeName)")
            return nil
        }
        var below: [CreationDraft] = []
        for child in nestable(in: kind) {
            guard let nested = members.removeValue(forKey: child.nestedName), !nested.isNull else { continue }
            guard let values = nested.arrayValue, values.count <= Self.nestedMax else {
                flaws.add(path + child.nestedName, "must be a list of at most \(Self.nestedMax) entries")
                continue
            }
            for (index, value) in values.enumerated() {
                let place = "\(path)\(child.nestedName)[\(index)]."
                if let draft = drafted(value, child, path: place, into: &flaws) { below.append(draft) }
            }
        }
        let spec = checkedSpec(members, kind, path: path, into: &flaws)
        let now = world.clock.now()
        let (id, isOwn) = newId(kind, spec)
        var record = ResourceRecord(
            kind: kind.name, id: id, status: kind.isAsynchronous ? .pending : .active, spec: spec, createdAt: now,
            updatedAt: now)
        if case .slug(let field) = kind.identity { record.spec[field] = .string(id) }
        return CreationDraft(kind: kind, path: path, record: record, hasOwnId: isOwn, below: below)
    }

    /// Checks the members of one resource and fills in defaults. `null` means the default.
    private func checkedSpec(
        _ members: [String: JSONValue], _ kind: ResourceKind, path: String, into flaws: inout FieldFlaws
    ) -> [String: JSONValue] {
        var own = FieldFlaws()
        kind.fields.check(members, into: &own)
        let spec = kind.fields.withDefaults(members.filter { !$0.value.isNull })
        if own.problem == nil { kind.validate(spec, &own) }
        for (name, why) in own.reasons { flaws.add(path + name, why) }
        return spec
    }

    /// The id of a new resource, and whether the caller chose it.
    private func newId(_ kind: ResourceKind, _ spec: [String: JSONValue]) -> (id: String, isOwn: Bool) {
        switch kind.identity {
        case .uuid: return (world.random.uuid(), false)
        case .slug(let field):
            if let id = spec[field]?.stringValue { return (id, true) }
            if let name = spec["name"]?.stringValue, Names.slugFlaw(name) == nil { return (name, false) }
            return (world.random.uuid(), false)
        case .prefixed(let prefix): return (prefix + slugSuffix(), false)
        }
    }

    /// Ten random characters of a–z and 0–9.
    private func slugSuffix() -> String {
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var text: [UInt8] = []
        while text.count < 10 {
            // Bytes above the largest multiple of 36 are thrown away, so that every character is as likely.
            text += world.random.bytes(16).filter { $0 < 252 }.map { alphabet[Int($0) % 36] }
        }
        return String(decoding: text.prefix(10), as: UTF8.self)
    }
}
