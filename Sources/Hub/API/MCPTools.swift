import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model
import NIOCore
import Synchronization

/// A tool of the MCP server: one operation of the API, and so one with its rules, its audit and its errors.
struct MCPTool: Sendable {
    /// `services_deploy`: the domain first, so that a sorted list is grouped by it.
    var name: String
    var endpoint: Endpoint
    /// As `tools/list` shows it.
    var description: JSONValue
    /// Arguments that go into the body; all others have a place of their own.
    var bodyFields: Set<String>
    /// Arguments that are parameters, by the name of the argument.
    var parameters: [String: Parameter]

    struct Parameter: Sendable {
        var name: String
        /// `path`, `query` or `header`.
        var place: String
    }
}

/// The tools of an API, in the order of their names.
struct MCPCatalog: Sendable {
    static let pageSize = 50

    let tools: [MCPTool]
    private let byName: [String: MCPTool]

    /// - Parameter schemas: what `#/components/schemas/` refers to.
    init(_ endpoints: [Endpoint], schemas: [String: JSONValue]) {
        var byName: [String: MCPTool] = [:]
        for endpoint in endpoints where Self.isTool(endpoint, among: endpoints) {
            let short = Self.shortName(endpoint.operation)
            let long = "\(endpoint.operation.tag)_\(endpoint.operation.id)"
            let name = Self.plain(byName[Self.plain(short)] == nil ? short : long)
            byName[name] = Self.tool(name, endpoint, schemas)
        }
        self.byName = byName
        tools = byName.values.sorted { $0.name < $1.name }
    }

    subscript(name name: String) -> MCPTool? { byName[name] }

    /// The tools that are of any use to a caller.
    func tools(for principal: Principal) -> [MCPTool] { tools.filter { $0.isUseful(to: principal) } }

    /// What answers with a stream, takes an archive or is not for clients is no tool; nor is the second way to make
    /// something below another, since the first takes the parent as a field.
    private static func isTool(_ endpoint: Endpoint, among all: [Endpoint]) -> Bool {
        guard case .key = endpoint.access, !endpoint.operation.isHidden, !endpoint.operation.isAlias,
            !endpoint.operation.isUpload
        else {
            return false
        }
        let id = endpoint.operation.id
        guard id.hasPrefix("create-"), id.hasSuffix("-below") else { return true }
        let flat = id.dropLast("-below".count)
        return !all.contains { $0.operation.id == flat }
    }

    /// `services` and `deploy-service` → `services_deploy`.
    private static func shortName(_ operation: Operation) -> String {
        let tag = operation.tag
        let singular = tag.hasSuffix("s") ? String(tag.dropLast()) : tag
        var verb = operation.id
        for noun in [tag, singular] {
            if verb.hasSuffix("-\(noun)") { verb.removeLast(noun.utf8.count + 1) }
            if verb.hasSuffix("-\(noun)-below") {
                verb.removeLast(noun.utf8.count + 7)
                verb += "-below"
            }
            if verb.hasPrefix("\(noun)-") { verb.removeFirst(noun.utf8.count + 1) }
        }
        return verb == tag ? "\(tag)_list" : "\(tag)_\(verb)"
    }

    /// Letters, digits, `_` and `-`, at most 64 of them: what all clients take.
    private static func plain(_ name: String) -> String {
        let letters = name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return String(letters.prefix(64))
    }

    // MARK: descriptions

    private static func tool(_ name: String, _ endpoint: Endpoint, _ schemas: [String: JSONValue]) -> MCPTool {
        let operation = endpoint.operation
        let body = operation.body.map { resolved($0, schemas) }
        var properties = body?["properties"]?.objectValue ?? [:]
        var required = (body?["required"]?.arrayValue ?? []).compactMap(\.stringValue)
        let bodyFields = Set(properties.keys)
        var parameters: [String: MCPTool.Parameter] = [:]
        for parameter in operation.parameters {
            guard let own = parameter["name"]?.stringValue, let place = parameter["in"]?.stringValue else { continue }
            let argument = own == "If-Match" ? "if_match" : own == "Idempotency-Key" ? "idempotency_key" : own
            // Nothing follows a stream through a tool; and a member of the body comes before a parameter.
            guard argument != "follow", !bodyFields.contains(argument) else { continue }
            var schema = resolved(parameter["schema"] ?? [:], schemas)
            schema["description"] = parameter["description"]
            properties[argument] = schema
            parameters[argument] = .init(name: own, place: place)
            if parameter["required"] == true { required.append(argument) }
        }
        var input: JSONValue = [
            "type": "object", "properties": .object(properties), "additionalProperties": false,
        ]
        if !required.isEmpty { input["required"] = .array(required.map { .string($0) }) }
        let method = endpoint.method
        let isReading = method == .get
        let isIdempotent = isReading || method == .put || method == .delete
        let description: JSONValue = [
            "name": .string(name), "title": .string(title(operation)), "description": .string(text(endpoint)),
            "inputSchema": input,
            "annotations": [
                "title": .string(title(operation)), "readOnlyHint": .bool(isReading),
                "destructiveHint": .bool(method == .delete || !isReading && operation.isDestructive),
                "idempotentHint": .bool(isIdempotent), "openWorldHint": false,
            ],
            "_meta": ["roost/domain": .string(operation.tag)],
        ]
        return MCPTool(
            name: name, endpoint: endpoint, description: description, bodyFields: bodyFields, parameters: parameters)
    }

    private static func title(_ operation: Operation) -> String {
        let words = String(operation.id.map { $0 == "-" ? " " : $0 })
        return words.prefix(1).uppercased() + words.dropFirst()
    }

    private static func text(_ endpoint: Endpoint) -> String {
        let answers = endpoint.operation.answers.map(\.code)
        let follows = answers.contains(202) ? " The work goes on afterwards: read the resource for its status." : ""
        return endpoint.operation.summary + follows
    }

    /// The schema without references, which not every client follows.
    private static func resolved(_ schema: JSONValue, _ schemas: [String: JSONValue], depth: Int = 0) -> JSONValue {
        guard depth < 16 else { return [:] }
        switch schema {
        case .object(let members):
            let prefix = "#/components/schemas/"
            if let reference = members["$ref"]?.stringValue, reference.hasPrefix(prefix) {
                return resolved(schemas[String(reference.dropFirst(prefix.count))] ?? [:], schemas, depth: depth + 1)
            }
            return .object(members.mapValues { resolved($0, schemas, depth: depth + 1) })
        case .array(let values): return .array(values.map { resolved($0, schemas, depth: depth + 1) })
        default: return schema
        }
    }
}

extension MCPTool {
    /// Answers that are longer are refused: nothing that reads tool results can use them.
    static let answerBytesMax = 1_048_576

    func isUseful(to principal: Principal) -> Bool {
        let action =
            switch endpoint.method {
            case .get: "read"
            case .delete: "delete"
            default: "write"
            }
        let scope = endpoint.operation.scope ?? .init(endpoint.operation.tag, action)
        return principal.may(scope.action, scope.plural) && (!scope.isPlatformOnly || principal.brands == .all)
    }

    /// Runs the operation as a request of the caller.
    ///
    /// - Parameter origin: the request that carried the call.
    /// - Throws: whatever the operation refuses; `invalid` for arguments that it does not know.
    func call(_ arguments: [String: JSONValue], _ origin: APIRequest) async throws -> JSONValue {
        var body: [String: JSONValue] = [:]
        var id = ""
        var query: [String] = []
        var head = HTTPRequest(
            method: endpoint.method, scheme: "http", authority: origin.request.head.authority, path: endpoint.path)
        for (name, value) in arguments {
            if bodyFields.contains(name) {
                body[name] = value
                continue
            }
            guard let parameter = parameters[name] else { throw Problem.invalid(name, "is not a known argument") }
            guard !value.isNull else { continue }
            guard let text = Self.text(value) else { throw Problem.invalid(name, "must be text or a number") }
            switch parameter.place {
            case "path": id = text
            case "query": query.append("\(PercentCoding.encode(parameter.name))=\(PercentCoding.encode(text))")
            default: try Self.set(parameter.name, text, argument: name, in: &head)
            }
        }
        guard !endpoint.path.contains("{id}") || !id.isEmpty else { throw Problem.invalid("id", "is required") }
        guard !id.utf8.contains(0) else { throw Problem(.notFound, "There is no such resource.") }
        let asked = query.sorted().joined(separator: "&")
        head.path = query.isEmpty ? endpoint.path : "\(endpoint.path)?\(asked)"
        head.headerFields[.contentType] = "application/json"
        let isEmpty = body.isEmpty && !endpoint.operation.isBodyRequired
        let bytes: [UInt8] = isEmpty ? [] : JSONValue.object(body).canonicalBytes
        let request = Request(head: head, body: RequestBody(buffer: ByteBuffer(bytes: bytes)))
        let response = try await endpoint.handle(
            APIRequest(
                request: request, id: id, query: try QueryParameters(asked), principal: origin.principal,
                address: origin.address))
        let collected = Collected(limit: Self.answerBytesMax)
        try await response.body.write(CollectingWriter(collected))
        let answer = collected.bytes
        return answer.isEmpty ? [:] : try JSONParser.parse(answer)
    }

    private static func text(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .int, .double, .bool: value.canonicalText
        default: nil
        }
    }

    private static func set(
        _ name: String, _ text: String, argument: String, in head: inout HTTPRequest
    ) throws {
        guard text.utf8.count <= 1024, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            let field = HTTPField.Name(name)
        else { throw Problem.invalid(argument, "must be printable ASCII, at most 1024 bytes") }
        head.headerFields[field] = text
    }
}

/// The bytes of an answer that stays inside the program.
private final class Collected: Sendable {
    private let limit: Int
    private let content = Mutex<[UInt8]>([])

    var bytes: [UInt8] { content.withLock { $0 } }

    init(limit: Int) { self.limit = limit }

    func add(_ buffer: ByteBuffer) throws {
        try content.withLock { content in
            guard content.count + buffer.readableBytes <= limit else {
                throw Problem(
                    .tooLarge, "The answer has more than \(limit) bytes.",
                    hint: "Ask for less: a smaller limit or page.")
            }
            content.append(contentsOf: buffer.readableBytesView)
        }
    }
}

private struct CollectingWriter: ResponseBodyWriter {
    private let collected: Collected

    init(_ collected: Collected) { self.collected = collected }

    mutating func write(_ buffer: ByteBuffer) async throws { try collected.add(buffer) }
    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
}
