import Catalog
import HubCore
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// Tries hostile values on a hub with its pages, and judges what comes back.
final class HostileRun {
    private let server: ServerFixture
    private let samples: KindSamples
    private let cookie: String
    private var toolSession = ""
    private var toolNames: [String] = []
    private(set) var requests = 0
    private(set) var accepted = 0

    private init(_ server: ServerFixture, cookie: String) {
        self.server = server
        self.cookie = cookie
        samples = KindSamples(server)
    }

    static func run(_ body: (HostileRun) async throws -> Void) async throws {
        try await ServerFixture.run { server in
            let session = try await server.hub.loginWithKey(server.key, address: "127.0.0.1")
            let run = HostileRun(server, cookie: "roost_session=\(session.token)")
            try await run.openToolSession()
            try await body(run)
        }
    }

    private func send(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil, raw: [UInt8]? = nil, headers: HTTPHeaders = [:]
    ) async throws -> ServerFixture.Answer {
        requests += 1
        let answer = try await server.send(method, path, body, raw: raw, headers: headers)
        #expect(
            answer.status < 500, "\(method) \(path) \(Self.short(body)): \(answer.status) \(answer.text.prefix(300))")
        return answer
    }

    private static func short(_ body: JSONValue?) -> String { String((body?.canonicalText ?? "").prefix(300)) }

    // MARK: one resource

    /// Creates with a hostile value in every field at once, and without those that are refused again, until it is taken
    /// or none is left: each field is judged by itself, and what is taken is looked at in full.
    func tryFields(of kind: ResourceKind) async throws {
        let collection = try await samples.collection(kind)
        for (text, values) in Self.attempts(kind.fields, HostileValues.texts) {
            try await untilTaken(values, text) { chosen in
                let answer = try await send(.POST, collection, try await body(kind, chosen))
                guard answer.status < 300 else { return try refused(answer, kind, text, path: "", chosen) }
                if let text { try await checkTaken(answer, kind, chosen, text) }
                try await remove(answer, kind)
                return []
            }
        }
    }

    /// A hostile text, or nil for what is no text, and the value that each field gets of it.
    private typealias Attempt = (text: String?, values: [String: Chosen])

    private struct Chosen {
        var field: Field
        var value: JSONValue
        var place: TextPlace?
    }

    /// Each text in the first place for texts of every field, one of each sort in the second, and so on; then what is
    /// no text.
    private static func attempts(_ fields: [Field], _ texts: [String], depth: Int = .max) -> [Attempt] {
        var result: [Attempt] = []
        let places = fields.map { (field: $0, places: $0.textPlaces) }
        for index in 0..<min(depth, places.map(\.places.count).max() ?? 0) {
            for text in index == 0 ? texts : HostileValues.few {
                var values: [String: Chosen] = [:]
                for (field, places) in places where index < places.count {
                    values[field.name] = Chosen(field: field, value: places[index].value(text), place: places[index])
                }
                result.append((text, values))
            }
        }
        for value in HostileValues.others {
            let values = fields.map { ($0.name, Chosen(field: $0, value: value, place: nil)) }
            result.append((nil, Dictionary(values) { first, _ in first }))
        }
        return result
    }

    /// - Parameter attempt: answers the fields that are refused; none when all were taken.
    private func untilTaken(
        _ values: [String: Chosen], _ text: String?, _ attempt: ([String: Chosen]) async throws -> Set<String>
    ) async throws {
        var values = values
        while !values.isEmpty {
            let refused = try await attempt(values)
            guard !refused.isEmpty else { return }
            let left = values.filter { !refused.contains($0.key) }
            // A refusal for what two fields are together may name the one that is no text.
            values = left.count < values.count ? left : [:]
        }
    }

    private func body(_ kind: ResourceKind, _ chosen: [String: Chosen]) async throws -> JSONValue {
        var body = try await samples.body(kind)
        for (name, one) in chosen { body[name] = one.value }
        return body
    }

    /// A refusal says in one sentence what is wrong, and where.
    /// - Returns: the fields that it names.
    private func refused(
        _ answer: ServerFixture.Answer, _ kind: ResourceKind, _ text: String?, path: String, _ chosen: [String: Chosen]
    ) throws -> Set<String> {
        let json = try answer.json
        let said = (text ?? "").debugDescription.prefix(90)
        let what: Comment = "\(kind.name) \(chosen.keys.sorted()) \(said): \(answer.text.prefix(400))"
        #expect(answer.status == 400 || answer.status == 409, what)
        #expect(json["error"]?.stringValue?.isEmpty == false, what)
        let paths = json["fields"]?.objectValue?.keys.sorted() ?? []
        guard answer.status == 400 || !paths.isEmpty else { return [] }
        #expect(!paths.isEmpty && paths.allSatisfy { $0.hasPrefix(path) }, what)
        let names = paths.map { $0.dropFirst(path.count).prefix { $0 != "." && $0 != "[" } }
        return Set(names.map(String.init))
    }

    private func checkTaken(
        _ answer: ServerFixture.Answer, _ kind: ResourceKind, _ chosen: [String: Chosen], _ text: String
    ) async throws {
        accepted += chosen.count
        let what: Comment = "\(kind.name) \(chosen.keys.sorted()) \(text.debugDescription.prefix(90))"
        let id = try #require(try answer.json["id"]?.stringValue, what)
        let own = "\(kind.plural)/\(Self.encoded(id))"
        let read = try await send(.GET, own)
        #expect(read.status == 200, what)
        for one in chosen.values { try checkGiven(one, text, try read.json, what) }
        guard kind.verbs.contains(.list), text.contains("<") || text.contains("{{") else { return }
        try await checkPage("/\(own)", what)
        if kind.verbs.contains(.update) { try await checkPage("/\(own)/edit", what) }
        try await checkPage("/\(kind.plural)", what)
        let list = try await send(.GET, try await samples.collection(kind) + "?limit=200")
        #expect(try list.json["items"]?.arrayValue?.contains { $0["id"]?.stringValue == id } == true, what)
    }

    /// To the letter: two texts that read the same can be different bytes.
    private func checkGiven(_ one: Chosen, _ text: String, _ answer: JSONValue, _ what: Comment) throws {
        guard let place = one.place else { return }
        let given = answer[one.field.name].flatMap(place.text)
        if one.field.isSecret {
            #expect(given == nil, "\(what): the secret \(one.field.name) is shown")
        } else {
            let isSame = given.map { Array($0.utf8) } == Array(text.utf8)
            #expect(isSame, "\(what): \(one.field.name)\(place.path) is \(given.debugDescription.prefix(300))")
        }
    }

    /// A page shows the text as text: none of it becomes a tag or an attribute.
    private func checkPage(_ path: String, _ what: Comment, status: Int = 200) async throws {
        requests += 1
        let page = try await server.send(.GET, path, headers: ["Cookie": cookie], anonymous: true)
        #expect(page.status == status, "\(path) \(what): \(page.status)")
        for mark in ["<script>alert(1)", "\"\u{301} onmouseover"] {
            #expect(!page.text.utf8.contains(mark.utf8), "\(path) \(what)")
        }
    }

    private func remove(_ answer: ServerFixture.Answer, _ kind: ResourceKind) async throws {
        guard kind.verbs.contains(.delete), let id = try answer.json["id"]?.stringValue else { return }
        let gone = try await send(.DELETE, "\(kind.plural)/\(Self.encoded(id))")
        #expect(gone.status < 300, "\(kind.name) \(id): \(gone.text.prefix(300))")
    }

    func tryUpdates(of kind: ResourceKind) async throws {
        let id = kind.singletonPath == nil ? try await samples.one(kind.name) : ""
        let path = kind.singletonPath ?? "\(kind.plural)/\(id)"
        let fields = kind.fields.filter { !$0.isImmutable && !$0.isRequired }
        for (text, values) in Self.attempts(fields, HostileValues.few, depth: 1) {
            guard let text else { continue }
            try await untilTaken(values, text) { chosen in
                let answer = try await send(.PUT, path, .object(chosen.mapValues(\.value)))
                guard answer.status < 300 else { return try refused(answer, kind, text, path: "", chosen) }
                let now = try await send(.GET, path).json
                for one in chosen.values { try checkGiven(one, text, now, "\(kind.name) changed") }
                return []
            }
        }
    }

    /// Bytes that are no text, in the place of one.
    func tryMalformed(_ kind: ResourceKind) async throws {
        let collection = try await samples.collection(kind)
        let name = try #require(kind.fields.first).name
        for bytes in HostileValues.malformed {
            let raw = Array("{\"\(name)\":\"".utf8) + bytes + Array("\"}".utf8)
            let answer = try await send(.POST, collection, raw: raw)
            #expect(answer.status == 400, "\(kind.name) \(bytes): \(answer.text.prefix(200))")
        }
    }

    // MARK: other ways in

    /// The same below another resource, in one request with it.
    func tryNested(_ kind: ResourceKind) async throws {
        guard let parent = kind.parent, let above = Catalog.kind(named: parent.kind), above.verbs.contains(.create),
            server.hub.nestable(in: above).contains(where: { $0.name == kind.name })
        else { return }
        let path = try await samples.collection(above) + "?plan=true"
        let fields = kind.fields.filter { $0.name != parent.field }
        for (text, values) in Self.attempts(fields, HostileValues.few, depth: 1) {
            guard let text else { continue }
            try await untilTaken(values, text) { chosen in
                var inner = try await body(kind, chosen)
                inner[parent.field] = nil
                var outer = try await samples.body(above)
                outer[kind.nestedName] = [inner]
                let answer = try await send(.POST, path, outer)
                guard answer.status >= 300 else { return [] }
                return try refused(answer, kind, text, path: "\(kind.nestedName)[0].", chosen)
            }
        }
    }

    private func openToolSession() async throws {
        let answer = try await call("initialize", ["protocolVersion": "2025-11-25", "capabilities": [:]])
        toolSession = try #require(answer.headers["Mcp-Session-Id"].first)
        var cursor: JSONValue = .null
        repeat {
            let page = try await call("tools/list", ["cursor": cursor]).json["result"]
            toolNames += page?["tools"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
            cursor = page?["nextCursor"] ?? .null
        } while !cursor.isNull
    }

    private func call(_ method: String, _ parameters: JSONValue) async throws -> ServerFixture.Answer {
        var headers: HTTPHeaders = ["Accept": "application/json, text/event-stream"]
        if !toolSession.isEmpty { headers.add(name: "Mcp-Session-Id", value: toolSession) }
        return try await send(
            .POST, "/mcp", ["jsonrpc": "2.0", "id": 1, "method": .string(method), "params": parameters],
            headers: headers)
    }

    /// The same as arguments of the tool that creates the kind, without doing it.
    func tryTools(of kind: ResourceKind) async throws {
        let prefix = String(kind.plural.map { $0 == "-" ? "_" : $0 }) + "_create"
        let tool = try #require(toolNames.first { $0.hasPrefix(prefix) }, "there is no tool \(prefix)")
        let isBelow = kind.parent.map { !$0.isOptional } ?? false
        for (text, values) in Self.attempts(kind.fields, HostileValues.few, depth: 1) {
            guard let text else { continue }
            try await untilTaken(values, text) { chosen in
                var arguments = try await body(kind, chosen)
                // One way in takes the parent as a field, the other in the path.
                if isBelow, let parent = kind.parent {
                    let argument = tool.hasSuffix("_below") ? "id" : parent.field
                    arguments[argument] = .string(try await samples.one(parent.kind))
                }
                arguments["plan"] = true
                let answer = try await call("tools/call", ["name": .string(tool), "arguments": arguments])
                let result = try answer.json["result"]
                let what: Comment = "\(tool) \(text.debugDescription.prefix(90)): \(answer.text.prefix(400))"
                #expect(result?["isError"]?.boolValue != nil, what)
                let content = result?["structuredContent"]
                let code = content?["code"]?.stringValue ?? ""
                #expect(!["internal_error", "storage_failed"].contains(code), what)
                guard result?["isError"] == true, code == "invalid" else { return [] }
                let paths = content?["fields"]?.objectValue?.keys.sorted() ?? []
                #expect(!paths.isEmpty, what)
                return Set(paths.map { String($0.prefix { $0 != "." && $0 != "[" }) })
            }
        }
    }

    // MARK: afterwards

    /// Whatever was taken or refused, what shows many things at once goes on.
    func checkTheRest() async throws {
        for text in HostileValues.few where !text.isEmpty {
            let word = Self.encoded(text)
            for path in ["search?q=", "tenants?search=", "audit-logs?actor=", "events?kind=", "users?search="] {
                let answer = try await send(.GET, path + word)
                #expect(answer.status == 200 || answer.status == 400, "\(path)\(word): \(answer.text.prefix(200))")
            }
            try await checkPage("/search?q=\(word)", "search", status: text.utf8.contains(0) ? 400 : 200)
        }
        for kind in Catalog.kinds where kind.verbs.contains(.list) && kind.parent == nil {
            #expect(try await send(.GET, "\(kind.plural)?limit=200").status == 200)
            try await checkPage("/\(kind.plural)", "list")
        }
        let audit = try await send(.GET, "audit-logs?limit=200")
        #expect(try audit.json["items"]?.arrayValue?.count == 200)
        try await checkPage("/audit-logs", "audit")
        #expect(try await send(.GET, "/docs/openapi.json").json["openapi"] != nil)
        #expect(try await server.hub.firstBrokenAudit(as: .local) == nil)
    }

    private static func encoded(_ text: String) -> String {
        text.utf8.map { byte in
            Names.isAlphanumeric(byte) || byte == 0x2D || byte == 0x5F
                ? String(UnicodeScalar(byte)) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }.joined()
    }
}

extension Collection where Element: Equatable {
    /// Whether the elements of another are in this one, in their order and next to each other.
    fileprivate func contains(_ other: some Collection<Element>) -> Bool {
        indices.contains { self[$0...].starts(with: other) }
    }
}
