public import Model

/// Why a spec was refused: field path → reason.
public struct FieldFlaws: Sendable, Equatable {
    public private(set) var reasons: [String: String] = [:]
    public init() {}
    /// Notes why a field is refused; the first reason stays.
    public mutating func add(_ path: String, _ why: String) { if reasons[path] == nil { reasons[path] = why } }

    /// One problem for all flaws; the sentence names the first by path.
    public var problem: Problem? {
        guard let first = reasons.min(by: { $0.key < $1.key }) else { return nil }
        return Problem(.invalid, "\(first.key) \(first.value).", fields: reasons)
    }
}

extension [Field] {
    /// Checks an object against the fields: unknown members, missing ones, and each value.
    ///
    /// - Parameter partial: whether absent required fields are fine (an update).
    public func check(
        _ object: [String: JSONValue], path: String = "", partial: Bool = false, into flaws: inout FieldFlaws
    ) {
        let known = Set(map(\.name))
        for key in object.keys where !known.contains(key) {
            flaws.add(path + String(key.prefix(80)), "is not a known field")
        }
        for field in self {
            guard let value = object[field.name], !value.isNull else {
                if field.isRequired, !partial || object[field.name] != nil {
                    flaws.add(path + field.name, "is required")
                }
                continue
            }
            field.kind.check(value, path: path + field.name, into: &flaws)
        }
    }

    /// The object with defaults for what the caller did not name.
    public func withDefaults(_ object: [String: JSONValue]) -> [String: JSONValue] {
        var result = object
        for field in self {
            switch (field.kind, result[field.name]) {
            case (.object(let inner), .some(.object(let members))):
                result[field.name] = .object(inner.withDefaults(members))
            case (.object(let inner), nil):
                if case .object(let members)? = field.defaultValue {
                    result[field.name] = .object(inner.withDefaults(members))
                }
            case (_, nil): if let value = field.defaultValue { result[field.name] = value }
            default: break
            }
        }
        return result
    }

    /// The object as the audit log may hold it.
    ///
    /// Members that are no known field are replaced as well: a misspelt secret is a secret still. So is every value of
    /// an environment variable, flagged or not: people forget the flag.
    public func redacted(_ object: [String: JSONValue]) -> [String: JSONValue] {
        let marker: JSONValue = "[redacted]"
        let known = Set(map(\.name))
        var result = object.filter { known.contains($0.key) }
        for field in self {
            guard let value = result[field.name] else { continue }
            result[field.name] = field.replacingSecrets(in: value, isEveryVariableSecret: true) { _ in marker }
        }
        for key in object.keys where !known.contains(key) { result[key] = marker }
        return result
    }

    /// The object with each secret text replaced by what `replace` makes of it: sealing, opening, leaving out.
    public func replacingSecrets(
        in object: [String: JSONValue], _ replace: (JSONValue) throws -> JSONValue
    ) rethrows -> [String: JSONValue] {
        var result = object
        for field in self {
            guard let value = object[field.name] else { continue }
            result[field.name] = try field.replacingSecrets(in: value, isEveryVariableSecret: false, replace)
        }
        return result
    }
}

extension Field {
    func replacingSecrets(
        in value: JSONValue, isEveryVariableSecret: Bool, _ replace: (JSONValue) throws -> JSONValue
    ) rethrows -> JSONValue {
        guard !isSecret else { return value.isNull ? value : try replace(value) }
        return try kind.replacingSecrets(in: value, isEveryVariableSecret: isEveryVariableSecret, replace)
    }
}

extension Field.Kind {
    func replacingSecrets(
        in value: JSONValue, isEveryVariableSecret all: Bool, _ replace: (JSONValue) throws -> JSONValue
    ) rethrows -> JSONValue {
        switch (self, value) {
        case (.object(let fields), .object(var members)):
            for field in fields {
                guard let member = members[field.name] else { continue }
                members[field.name] = try field.replacingSecrets(in: member, isEveryVariableSecret: all, replace)
            }
            return .object(members)
        case (.list(let element, _), .array(let values)):
            return .array(try values.map { try element.replacingSecrets(in: $0, isEveryVariableSecret: all, replace) })
        case (.map(_, let kind, _), .object(let members)):
            return .object(
                try members.mapValues { try kind.replacingSecrets(in: $0, isEveryVariableSecret: all, replace) })
        case (.environmentValue, .object(var members)):
            guard all || members["secret"] == true, let text = members["value"] else { return value }
            members["value"] = try replace(text)
            return .object(members)
        case (.environmentValue, .string): return all ? try replace(value) : value
        default: return value
        }
    }

    func check(_ value: JSONValue, path: String, into flaws: inout FieldFlaws) {
        switch self {
        case .string(let check):
            guard let text = value.stringValue else {
                return flaws.add(path, "must be a string, not \(value.typeName)")
            }
            if let flaw = Names.lineFlaw(text, bytesMax: 65_536) ?? check(text) { flaws.add(path, flaw) }
        case .text(let bytesMax):
            guard let text = value.stringValue else {
                return flaws.add(path, "must be a string, not \(value.typeName)")
            }
            if text.utf8.count > bytesMax { flaws.add(path, "must have at most \(bytesMax) bytes") }
            if text.utf8.contains(0) { flaws.add(path, "must not contain NUL") }
        case .integer(let range):
            guard let number = value.intValue, case .int = value else {
                return flaws.add(path, "must be a whole number, not \(value.typeName)")
            }
            if !range.contains(number) {
                flaws.add(path, "must be between \(range.lowerBound) and \(range.upperBound)")
            }
        case .number(let range):
            guard let number = value.doubleValue else {
                return flaws.add(path, "must be a number, not \(value.typeName)")
            }
            if !range.contains(number) {
                flaws.add(path, "must be between \(range.lowerBound) and \(range.upperBound)")
            }
        case .boolean:
            if value.boolValue == nil { flaws.add(path, "must be true or false") }
        case .duration(let range):
            guard let span = Duration(json: value) else {
                return flaws.add(path, "must be a time span such as 30, \"250ms\" or \"5m\"")
            }
            if !range.contains(span) {
                flaws.add(path, "must be between \(range.lowerBound.shortText) and \(range.upperBound.shortText)")
            }
        case .size(let range):
            guard let bytes = ByteCount.parse(json: value) else {
                return flaws.add(path, "must be a size such as 1048576 or \"256M\"")
            }
            if !range.contains(bytes) {
                flaws.add(
                    path, "must be between \(ByteCount.text(range.lowerBound)) and \(ByteCount.text(range.upperBound))")
            }
        case .choice(let choices):
            guard let text = value.stringValue, choices.contains(text) else {
                return flaws.add(path, "must be one of \(choices.joined(separator: ", "))")
            }
        case .list, .map, .object: checkMembers(value, path: path, into: &flaws)
        case .json: break
        case .environmentValue: checkVariable(value, path: path, into: &flaws)
        case .reference:
            guard let text = value.stringValue else { return flaws.add(path, "must be an id, not \(value.typeName)") }
            if let flaw = Names.lineFlaw(text, bytesMax: 255) { flaws.add(path, flaw) }
        }
    }

    private func checkMembers(_ value: JSONValue, path: String, into flaws: inout FieldFlaws) {
        switch self {
        case .list(let element, let countMax):
            guard let values = value.arrayValue else { return flaws.add(path, "must be a list, not \(value.typeName)") }
            if values.count > countMax { return flaws.add(path, "must have at most \(countMax) entries") }
            for (index, item) in values.enumerated() { element.check(item, path: "\(path)[\(index)]", into: &flaws) }
        case .map(let key, let kind, let countMax):
            guard let members = value.objectValue else {
                return flaws.add(path, "must be an object, not \(value.typeName)")
            }
            if members.count > countMax { return flaws.add(path, "must have at most \(countMax) entries") }
            for (name, item) in members {
                if let flaw = key(name) { flaws.add("\(path).\(name.prefix(80))", "has a name that \(flaw)") }
                kind.check(item, path: "\(path).\(name)", into: &flaws)
            }
        case .object(let fields):
            guard let members = value.objectValue else {
                return flaws.add(path, "must be an object, not \(value.typeName)")
            }
            // Without declared members anything goes, up to a size.
            guard !fields.isEmpty else {
                if value.canonicalBytes.count > 65_536 { flaws.add(path, "must have at most 65536 bytes of JSON") }
                return
            }
            fields.check(members, path: path + ".", into: &flaws)
        default: break
        }
    }

    private func checkVariable(_ value: JSONValue, path: String, into flaws: inout FieldFlaws) {
        let text: JSONValue?
        if let members = value.objectValue {
            for key in members.keys where key != "value" && key != "secret" {
                flaws.add("\(path).\(key.prefix(80))", "is not a known field")
            }
            if let secret = members["secret"], secret.boolValue == nil {
                flaws.add("\(path).secret", "must be true or false")
            }
            text = members["value"]
        } else {
            text = value
        }
        guard let text = text?.stringValue else {
            return flaws.add(path, "must be text, or an object with value and secret")
        }
        if text.utf8.count > 32_768 { flaws.add(path, "must have at most 32768 bytes") }
        if text.utf8.contains(0) { flaws.add(path, "must not contain NUL") }
    }
}

extension Duration {
    /// A time span of a spec: a number of seconds or text with a unit.
    public init?(json: JSONValue) {
        switch json {
        case .int(let seconds) where seconds >= 0 && seconds < 10_000_000_000: self = .seconds(seconds)
        case .double(let seconds) where seconds >= 0 && seconds < 1e10: self = .milliseconds(Int64(seconds * 1000))
        case .string(let text):
            guard let span = Duration.parse(text) else { return nil }
            self = span
        default: return nil
        }
    }
}

extension ByteCount {
    /// A size of a spec: a number of bytes or text with a unit.
    public static func parse(json: JSONValue) -> Int64? {
        switch json {
        case .int(let bytes) where bytes >= 0: bytes
        case .string(let text): parse(text)
        default: nil
        }
    }
}
