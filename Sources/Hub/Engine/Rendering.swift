public import Model
public import ResourceKit

extension Hub {
    /// A record as clients see it: no secrets, only declared fields.
    public func rendered(_ record: ResourceRecord, _ kind: ResourceKind) -> JSONValue {
        let record = current(record)
        var members: [String: JSONValue] = [
            "id": .string(record.id), "status": .string(record.status.rawValue),
            "status_message": record.statusMessage.map(JSONValue.string) ?? .null,
            "created_at": .string(record.createdAt.rfc3339), "updated_at": .string(record.updatedAt.rfc3339),
            "revision": .int(record.version),
        ]
        if let parent = kind.parent { members[parent.field] = record.parentId.map(JSONValue.string) ?? .null }
        for field in kind.reported where !field.isSecret {
            members[field.name] = record.state[field.name].map { field.kind.withoutSecrets($0) } ?? .null
        }
        for field in kind.fields where !field.isSecret && !field.isInputOnly {
            members[field.name] = record.spec[field.name].map { field.kind.withoutSecrets($0) } ?? .null
        }
        return .object(members)
    }
}

extension Field.Kind {
    /// The value with every secret member left out. Of a secret environment variable, only that it is one remains.
    func withoutSecrets(_ value: JSONValue) -> JSONValue {
        switch (self, value) {
        // An object without declared members is free-form, and never the caller's.
        case (.object(let fields), .object(let members)) where !fields.isEmpty:
            var result: [String: JSONValue] = [:]
            for field in fields where !field.isSecret {
                if let member = members[field.name] { result[field.name] = field.kind.withoutSecrets(member) }
            }
            return .object(result)
        case (.list(let element, _), .array(let values)): return .array(values.map { element.withoutSecrets($0) })
        case (.map(_, let kind, _), .object(let members)):
            return .object(members.mapValues { kind.withoutSecrets($0) })
        case (.environmentValue, .object(let members)) where members["secret"] == true: return ["secret": true]
        default: return value
        }
    }

    /// Gives secret variables that were sent without a value the value that is stored, so that what was read can be
    /// sent back.
    func keepingSecrets(of old: JSONValue, in new: JSONValue) -> JSONValue {
        guard case .map(_, .environmentValue, _) = self, case .object(let stored) = old, case .object(var named) = new
        else { return new }
        for (name, value) in named where value == ["secret": true] {
            if let kept = stored[name], kept["secret"] == true { named[name] = kept }
        }
        return .object(named)
    }
}
