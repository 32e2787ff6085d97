import Model
import ResourceKit
import Yams

/// Reads YAML (1.2 core schema, without the surprises of 1.1) by the declaration of what is expected: text stays text
/// where a field wants text, even when it looks like a number, and `no` is never false.
struct DeclaredYAML {
    static let bytesMax = 1_048_576
    /// Aliases can make a small text large; past this many values it is refused.
    private static let valuesMax = 50_000

    /// Path of a value → its line.
    private(set) var lines: [String: Int] = [:]
    private var values = 0

    /// What went wrong at a place of the file.
    struct Flaw: Error {
        var line: Int?
        var message: String
    }

    static func root(_ text: String) throws(Flaw) -> Node {
        guard text.utf8.count <= bytesMax else { throw Flaw(line: nil, message: "The file is larger than 1 MiB.") }
        do {
            guard let node = try Yams.compose(yaml: text) else {
                throw Flaw(line: nil, message: "The file is empty.")
            }
            return node
        } catch let flaw as Flaw {
            throw flaw
        } catch let error as YamlError {
            throw flaw(of: error)
        } catch {
            throw Flaw(line: nil, message: "The file is not valid YAML.")
        }
    }

    private static func flaw(of error: YamlError) -> Flaw {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return Flaw(line: mark.line, message: "The YAML is malformed: \(problem).")
        case .duplicatedKeysInMapping(let duplicates, let context):
            return Flaw(
                line: context.mark.line, message: "\(duplicates.sorted().joined(separator: ", ")) appears twice.")
        default: return Flaw(line: nil, message: "The file is not valid YAML.")
        }
    }

    /// The members of a mapping in order.
    mutating func members(of node: Node, path: String) throws(Flaw) -> [(key: String, node: Node)] {
        try note(node, path)
        guard case .mapping(let mapping) = node else {
            throw Flaw(line: node.mark?.line, message: "\(path.isEmpty ? "The file" : path) must be a mapping.")
        }
        var result: [(key: String, node: Node)] = []
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key else {
                throw Flaw(line: key.mark?.line, message: "A key of \(path.isEmpty ? "the file" : path) is no text.")
            }
            lines[Self.joined(path, scalar.string)] = key.mark?.line ?? value.mark?.line ?? 0
            result.append((scalar.string, value))
        }
        return result
    }

    mutating func value(_ node: Node, _ kind: Field.Kind, path: String) throws(Flaw) -> JSONValue {
        try note(node, path)
        if Self.isNull(node) { return .null }
        switch kind {
        case .json: return try untyped(node, path: path)
        case .object(let fields) where fields.isEmpty: return try untyped(node, path: path)
        case .object(let fields):
            var result: [String: JSONValue] = [:]
            for (key, inner) in try members(of: node, path: path) {
                let path = Self.joined(path, key)
                let known = fields.first { $0.name == key }
                guard let known else {
                    let hint = Spelling.nearest(to: key, in: fields.map(\.name)).map { " Did you mean \($0)?" } ?? ""
                    throw Flaw(line: lines[path], message: "\(printable(path)) is not a known field.\(hint)")
                }
                result[key] = try value(inner, known.kind, path: path)
            }
            return .object(result)
        case .map(_, let element, _):
            var result: [String: JSONValue] = [:]
            for (key, inner) in try members(of: node, path: path) {
                result[key] = try value(inner, element, path: Self.joined(path, key))
            }
            return .object(result)
        case .list(let element, _):
            guard case .sequence(let sequence) = node else {
                throw Flaw(line: node.mark?.line, message: "\(printable(path)) must be a list.")
            }
            var result: [JSONValue] = []
            for (index, inner) in sequence.enumerated() {
                result.append(try value(inner, element, path: "\(path)[\(index)]"))
            }
            return .array(result)
        case .environmentValue:
            guard case .mapping = node else { return .string(try text(node, path)) }
            var result: [String: JSONValue] = [:]
            for (key, inner) in try members(of: node, path: path) {
                let text = try text(inner, Self.joined(path, key))
                result[key] = key == "secret" ? Self.boolean(text) ?? .string(text) : .string(text)
            }
            return .object(result)
        default: return try scalar(node, kind, path)
        }
    }

    /// A value that no declaration says anything about, by the core schema of YAML 1.2.
    private mutating func untyped(_ node: Node, path: String) throws(Flaw) -> JSONValue {
        try note(node, path)
        if Self.isNull(node) { return .null }
        switch node {
        case .mapping:
            var result: [String: JSONValue] = [:]
            for (key, inner) in try members(of: node, path: path) {
                result[key] = try untyped(inner, path: Self.joined(path, key))
            }
            return .object(result)
        case .sequence(let sequence):
            var result: [JSONValue] = []
            for (index, inner) in sequence.enumerated() {
                result.append(try untyped(inner, path: "\(path)[\(index)]"))
            }
            return .array(result)
        default:
            let text = try text(node, path)
            guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else {
                return .string(text)
            }
            if let number = Int64(text) { return .int(number) }
            if let number = Double(text), number.isFinite, text.first?.isNumber == true || text.first == "-" {
                return .double(number)
            }
            return Self.boolean(text) ?? .string(text)
        }
    }

    private func scalar(_ node: Node, _ kind: Field.Kind, _ path: String) throws(Flaw) -> JSONValue {
        let text = try text(node, path)
        return switch kind {
        case .integer: Int64(text).map { .int($0) } ?? .string(text)
        case .number: Double(text).flatMap { $0.isFinite ? .double($0) : nil } ?? .string(text)
        case .boolean: Self.boolean(text) ?? .string(text)
        case .duration, .size: Int64(text).map { .int($0) } ?? .string(text)
        default: .string(text)
        }
    }

    private func text(_ node: Node, _ path: String) throws(Flaw) -> String {
        guard case .scalar(let scalar) = node else {
            throw Flaw(line: node.mark?.line, message: "\(printable(path)) must be a single value.")
        }
        return scalar.string
    }

    private mutating func note(_ node: Node, _ path: String) throws(Flaw) {
        values += 1
        guard values <= Self.valuesMax else {
            throw Flaw(line: node.mark?.line, message: "The file has too many values.")
        }
        if lines[path] == nil, let mark = node.mark { lines[path] = mark.line }
    }

    private static func isNull(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null"].contains(scalar.string)
    }

    private static func boolean(_ text: String) -> JSONValue? { text == "true" ? true : text == "false" ? false : nil }

    static func joined(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}
