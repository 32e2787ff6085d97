import Model
import ResourceKit

/// Turns the options of a command line into the spec of a resource.
struct FieldValues {
    private static let valueBytesMax = 1_048_576

    let path: [String]
    /// Reads what `@FILE` and `-` name.
    var readFile: (String) throws -> String = { name throws in try LocalFiles.read(name, bytesMax: valueBytesMax) }

    /// The fields that the command line names, and only those.
    ///
    /// - Throws: ``UsageError`` for a value that cannot be read, naming the option.
    func spec(_ options: [FieldOption], _ arguments: Arguments) throws -> [String: JSONValue] {
        var spec: JSONValue = .object([:])
        for option in options {
            guard let value = try value(of: option, arguments) else { continue }
            Self.set(value, at: option.path[...], in: &spec)
        }
        return spec.objectValue ?? [:]
    }

    static func set(_ value: JSONValue, at path: ArraySlice<String>, in target: inout JSONValue) {
        guard let first = path.first else {
            target = value
            return
        }
        var members = target.objectValue ?? [:]
        var inner = members[first] ?? .object([:])
        set(value, at: path.dropFirst(), in: &inner)
        members[first] = inner
        target = .object(members)
    }

    private func value(of option: FieldOption, _ arguments: Arguments) throws -> JSONValue? {
        let name = option.name
        switch option.form {
        case .flag:
            guard !(arguments.has(name) && arguments.has("no-\(name)")) else {
                throw UsageError("--\(name) and --no-\(name) exclude each other.", path: path)
            }
            return arguments.has(name) ? true : arguments.has("no-\(name)") ? false : nil
        case .scalar:
            guard let text = arguments.value(name) else { return nil }
            return try scalar(try self.text(text, isReference: option.readsFiles), option.field.kind, name)
        case .json:
            guard let text = arguments.value(name) else { return nil }
            do {
                return try JSONParser.parse(try self.text(text, isReference: true))
            } catch let problem as Problem {
                throw UsageError("--\(name): \(problem.message)", path: path)
            }
        case .list(let element):
            guard arguments.has(name) else { return nil }
            return .array(
                try arguments.values(name).map {
                    try scalar(try text($0, isReference: option.readsFiles), element, name)
                })
        case .map(let element):
            guard arguments.has(name) else { return nil }
            return .object(try pairs(arguments.values(name), name) { try scalar($0, element, name) })
        case .environment:
            guard arguments.has(name) || arguments.has("secret-\(name)") else { return nil }
            let open = try pairs(arguments.values(name), name) { .string($0) }
            let secret = try pairs(arguments.values("secret-\(name)"), "secret-\(name)") {
                ["value": .string(try text($0, isReference: true)), "secret": true]
            }
            return .object(open.merging(secret) { $1 })
        }
    }

    private func pairs(
        _ words: [String], _ name: String, _ value: (String) throws -> JSONValue
    ) throws -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for word in words {
            let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            // The word is not repeated in the message: it may be the secret itself.
            guard parts.count == 2, !parts[0].isEmpty else {
                throw UsageError("--\(name) must look like KEY=VALUE.", path: path)
            }
            result[String(parts[0])] = try value(String(parts[1]))
        }
        return result
    }

    /// `@FILE` and `-` stand for what is in them; one line break at the end belongs to the file, not to the value.
    private func text(_ word: String, isReference: Bool) throws -> String {
        guard isReference, word == "-" || (word.hasPrefix("@") && word.count > 1) else { return word }
        var content = try readFile(word == "-" ? "-" : String(word.dropFirst()))
        if content.hasSuffix("\r\n") || content.hasSuffix("\n") { content.removeLast() }
        return content
    }

    private func scalar(_ text: String, _ kind: Field.Kind, _ name: String) throws -> JSONValue {
        switch kind {
        case .integer:
            guard let number = Int64(text) else { throw UsageError("--\(name) must be a whole number.", path: path) }
            return .int(number)
        case .number:
            guard let number = Double(text), number.isFinite else {
                throw UsageError("--\(name) must be a number.", path: path)
            }
            return .double(number)
        case .boolean:
            guard text == "true" || text == "false" else {
                throw UsageError("--\(name) must be true or false.", path: path)
            }
            return .bool(text == "true")
        case .duration, .size: return Int64(text).map { .int($0) } ?? .string(text)
        default: return .string(text)
        }
    }
}
