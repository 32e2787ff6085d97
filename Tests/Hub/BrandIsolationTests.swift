import Catalog
import HubCore
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// Every endpoint of the API's own description, tried with the key of another brand.
@Suite struct BrandIsolationTests {
    private struct Attempt {
        var method: HTTPMethod
        var path: String
        var body: JSONValue?
    }

    /// Words that must be in no answer: names and ids of the other brand's resources.
    private struct Marks {
        var words: [String]
        func leaked(in text: String) -> String? { words.first { text.contains($0) } }
    }

    @Test func noEndpointLeaksOrChangesWhatIsAnothers() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            for kind in Catalog.kinds where kind.verbs.contains(.create) { _ = try await samples.one(kind.name) }
            // A stack and all below it, of the brand as well.
            let brand = try #require(samples.shared["brand"])
            let own = try await key(server, brands: [brand])
            let stack = try await made(server, own, "stacks", ["name": "own-stack"])
            let service = try await made(
                server, own, "stacks/\(stack)/services",
                ["name": "own-service", "git_url": "https://git.example.org/x", "run_command": "run"])
            var ids = samples.shared
            ids["stack"] = stack
            ids["service"] = service
            ids["platform-config"] = "platform-config"
            let other = try await server.send(.POST, "brands", try await samples.body(try samples.kind("brand")))
            let stranger = try await key(server, brands: [try #require(try other.json["id"]?.stringValue)])
            // What the hub does by itself is done before, so that whatever changes afterwards was changed by a request.
            try await server.hub.settle()
            let before = try await snapshot(server)
            let marks = Marks(words: [brand, stack, service, ids["tenant"] ?? "", "own-stack", "own-service"])
            let attempts = try attempts(server, ids, try await server.send(.GET, "/docs/openapi.json").json)
            #expect(attempts.count > 400, "\(attempts.count) attempts")
            for attempt in attempts {
                // The same key of idempotency that the brand used: it is the caller's own.
                let headers: HTTPHeaders = ["X-API-Key": stranger, "Idempotency-Key": "stacks"]
                let answer = try await server.send(
                    attempt.method, attempt.path, attempt.body, headers: headers, anonymous: true)
                try check(attempt, answer, marks)
            }
            try await callTools(server, stranger, ids, marks)
            #expect(try await snapshot(server) == before, "something was changed")
            print("brand isolation: \(attempts.count) attempts")
        }
    }

    private func check(_ attempt: Attempt, _ answer: ServerFixture.Answer, _ marks: Marks) throws {
        let what = "\(attempt.method) \(attempt.path): \(answer.status) \(answer.text.prefix(300))"
        #expect(answer.status < 500, "\(what)")
        // What names a resource in its path is refused; a list holds nothing of another brand.
        let isOfOne = marks.leaked(in: attempt.path) != nil
        if isOfOne { #expect([403, 404, 405].contains(answer.status), "\(what)") }
        if (200..<300).contains(answer.status) {
            #expect(attempt.method == .GET, "\(what)")
            #expect(marks.leaked(in: answer.text) == nil, "\(what)")
        } else if let word = marks.leaked(in: answer.text) {
            // A refusal may repeat what the caller said, and nothing else.
            let said = attempt.path + (attempt.body?.canonicalText ?? "")
            #expect(said.contains(word), "\(what)")
        }
    }

    /// Each method of each path, with the ids of the brand and with no body, an empty one and a good one.
    private func attempts(
        _ server: ServerFixture, _ ids: [String: String], _ document: JSONValue
    ) throws -> [Attempt] {
        var result: [Attempt] = []
        let paths = try #require(document["paths"]?.objectValue)
        let open: Set<String> = ["/api/v1/login", "/api/v1/logout"]
        let bases = ["/api/v1/", "/oidc/"]
        for (path, item) in paths.sorted(by: { $0.key < $1.key }) where bases.contains(where: path.hasPrefix) {
            guard !open.contains(path), !path.hasPrefix("/api/v1/agent/"), !path.hasPrefix("/api/v1/hooks/") else {
                continue
            }
            let plural = path.split(separator: "/").dropFirst(2).first.map(String.init) ?? ""
            let isClient = path.contains("/oidc/clients")
            let kind = Catalog.kinds.first { $0.plural == plural || isClient && $0.name == "oidc-client" }
            let real = path.split(separator: "/").map { part in
                part == "{id}" ? (kind.flatMap { ids[$0.name] } ?? "none") : String(part)
            }
            let place = "/" + real.joined(separator: "/")
            for method in item.objectValue?.keys.sorted() ?? [] {
                let verb = HTTPMethod(rawValue: method.uppercased())
                guard verb != .GET else {
                    result.append(Attempt(method: verb, path: place, body: nil))
                    let word = path.hasSuffix("/search") ? "q" : "search"
                    result.append(Attempt(method: verb, path: place + "?\(word)=sample&limit=200", body: nil))
                    continue
                }
                var named: JSONValue = [:]
                for (name, id) in ids { named["\(name.split(separator: "-").joined(separator: "_"))_id"] = .string(id) }
                let isOfOne = path.contains("{id}")
                for body: JSONValue? in [nil, [:], ["name": "mine"], named, ["brand_id": .string(ids["brand"] ?? "")]] {
                    // Without a resource in the path, creating something of one's own is no trespass.
                    if !isOfOne, body == ["name": "mine"] { continue }
                    result.append(Attempt(method: verb, path: place, body: body))
                }
                result.append(Attempt(method: verb, path: place + "?plan=true", body: isOfOne ? ["name": "x"] : named))
            }
        }
        return result
    }

    /// Every tool of the MCP server, with the ids of the brand wherever it takes one.
    private func callTools(
        _ server: ServerFixture, _ key: String, _ ids: [String: String], _ marks: Marks
    ) async throws {
        func answer(_ method: String, _ params: JSONValue) async throws -> ServerFixture.Answer {
            var params = params
            params["_meta"] = [
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": [:],
            ]
            var headers: HTTPHeaders = [
                "X-API-Key": key, "MCP-Protocol-Version": "2026-07-28", "Mcp-Method": method,
            ]
            if let name = params["name"]?.stringValue { headers.add(name: "Mcp-Name", value: name) }
            return try await server.send(
                .POST, "/mcp", ["jsonrpc": "2.0", "id": 1, "method": .string(method), "params": params],
                headers: headers, anonymous: true)
        }
        var calls = 0
        var cursor: JSONValue = .null
        repeat {
            let page = try await answer("tools/list", ["cursor": cursor]).json
            for tool in try #require(page["result"]?["tools"]?.arrayValue) {
                let name = try #require(tool["name"]?.stringValue)
                var arguments: JSONValue = [:]
                for property in (tool["inputSchema"]?["properties"]?.objectValue ?? [:]).keys {
                    let kinds = Catalog.kinds.filter { kind in
                        let word = String(kind.plural.map { $0 == "-" ? "_" : $0 })
                        let own = String(kind.name.map { $0 == "-" ? "_" : $0 })
                        return property == "\(own)_id" || property == "id" && name.hasPrefix("\(word)_")
                    }
                    if let id = kinds.lazy.compactMap({ ids[$0.name] }).first { arguments[property] = .string(id) }
                }
                guard arguments != [:] else { continue }
                let result = try await answer("tools/call", ["name": .string(name), "arguments": arguments])
                let told = try result.json["result"]
                #expect(told != nil && told?["isError"] != nil, "\(name): \(result.text.prefix(300))")
                let leak = marks.leaked(in: result.text) ?? ""
                #expect(arguments.canonicalText.contains(leak), "\(name): \(result.text.prefix(300))")
                calls += 1
            }
            cursor = page["result"]?["nextCursor"] ?? .null
        } while !cursor.isNull
        #expect(calls > 50, "\(calls) calls")
    }

    private func snapshot(_ server: ServerFixture) async throws -> [String: [String]] {
        let hub = server.hub
        let names = hub.kinds.map(\.name)
        return try await hub.read { transaction in
            var result: [String: [String]] = [:]
            for name in names where name != "api-key" {
                result[name] = try transaction.all(name, parentId: nil).map {
                    "\($0.id) \($0.status) \(JSONValue.object($0.spec).canonicalText)"
                }
            }
            return result
        }
    }

    private func key(_ server: ServerFixture, brands: [String]) async throws -> String {
        let answer = try await server.send(
            .POST, "api-keys", ["name": "k", "scopes": ["*:*"], "brands": .array(brands.map { .string($0) })])
        return try #require(try answer.json["key"]?.stringValue)
    }

    private func made(
        _ server: ServerFixture, _ key: String, _ path: String, _ body: JSONValue
    ) async throws -> String {
        let headers: HTTPHeaders = ["X-API-Key": key, "Idempotency-Key": path]
        let answer = try await server.send(.POST, path, body, headers: headers, anonymous: true)
        try #require(answer.status == 202, "\(answer.text)")
        return try #require(try answer.json["id"]?.stringValue)
    }

    /// Keys of two brands may have one name, and their programs may count their requests alike.
    @Test func anIdempotencyKeyIsOfItsKeyAlone() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let tenant = try await samples.body(try samples.kind("tenant"))
            let own = try await key(server, brands: [try #require(samples.shared["brand"])])
            let made = try await made(server, own, "tenants", tenant)
            let other = try await server.send(.POST, "brands", try await samples.body(try samples.kind("brand")))
            let stranger = try await key(server, brands: [try #require(try other.json["id"]?.stringValue)])
            for (key, status) in [(own, 202), (stranger, 403)] {
                let headers: HTTPHeaders = ["X-API-Key": key, "Idempotency-Key": "tenants"]
                let answer = try await server.send(.POST, "tenants", tenant, headers: headers, anonymous: true)
                #expect(answer.status == status, "\(answer.text)")
                #expect(answer.text.contains(made) == (status == 202))
            }
            // Where the body names no brand, each gets its own.
            let stack: JSONValue = ["name": "web"]
            let first = try await self.made(server, own, "stacks", stack)
            let headers: HTTPHeaders = ["X-API-Key": stranger, "Idempotency-Key": "stacks"]
            let second = try await server.send(.POST, "stacks", stack, headers: headers, anonymous: true)
            #expect(second.status == 409 && !second.text.contains(first), "\(second.text)")
        }
    }

    @Test func onlyThePlatformSaysHowMuchABrandMayAsk() async throws {
        try await ServerFixture.run { server in
            let brand = try await KindSamples(server).one("brand")
            let headers: HTTPHeaders = ["X-API-Key": try await key(server, brands: [brand])]
            func put(_ body: JSONValue, as headers: HTTPHeaders? = nil) async throws -> Int {
                try await server.send(
                    .PUT, "brands/\(brand)", body, headers: headers ?? [:], anonymous: headers != nil
                ).status
            }
            #expect(try await put(["rate_limit": 1_000_000], as: headers) == 403)
            #expect(try await put(["rate_limit": "many", "name": 1], as: headers) == 403)
            #expect(try await put(["rate_limit": 600]) == 200)
            // What was read can be sent back.
            #expect(try await put(["rate_limit": 600, "mail_hostname": "mail.example.org"], as: headers) == 200)
            #expect(try await put(["rate_limit": .null], as: headers) == 403)
        }
    }

    @Test func whoMayNotHearsNothingOfTheBody() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let brand = try await samples.one("brand")
            let foreign = try await server.send(.POST, "brands", try await samples.body(try samples.kind("brand")))
            let headers: HTTPHeaders = ["X-API-Key": try await key(server, brands: [brand])]
            func refused(_ method: HTTPMethod, _ path: String, _ body: JSONValue) async throws {
                for raw in [body.canonicalBytes, Array("{".utf8)] {
                    let answer = try await server.send(method, path, raw: raw, headers: headers, anonymous: true)
                    #expect(try answer.status == 403 && answer.json["fields"] == [:], "\(path): \(answer.text)")
                }
            }
            var good = try await samples.body(try samples.kind("brand"))
            try await refused(.POST, "brands", ["name": "zz"])
            try await refused(.POST, "brands", good)
            good["id"] = try foreign.json["id"]
            try await refused(.POST, "brands", good)
            try await refused(.PUT, "brands/\(brand)/clusters", ["cluster_ids": 1])
            try await refused(.POST, "account/password", ["nothing": 1])
            try await refused(.POST, "account/totp/confirm", ["nothing": 1])
            // What a body nests needs its own scopes, whatever else is wrong with it.
            let made = try await server.send(
                .POST, "api-keys", ["name": "t", "scopes": ["tenants:write"], "brands": [.string(brand)]])
            let clerk: HTTPHeaders = ["X-API-Key": try #require(try made.json["key"]?.stringValue)]
            let nested = try await server.send(
                .POST, "tenants", ["zones": [["name": 1]]], headers: clerk, anonymous: true)
            #expect(nested.status == 403, "\(nested.text)")
            let reader = try await server.send(
                .POST, "api-keys", ["name": "r", "scopes": ["workflow-runs:read"], "brands": ["*"]])
            let run = try await server.send(
                .POST, "workflow-runs/none/cancel", raw: Array("{".utf8),
                headers: ["X-API-Key": try #require(try reader.json["key"]?.stringValue)], anonymous: true)
            #expect(run.status == 403, "\(run.text)")
        }
    }

    @Test func aBrandLivesOnThePlatform() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let tenant = try await samples.body(try samples.kind("tenant"))
            let brand = try #require(samples.shared["brand"])
            let headers: HTTPHeaders = ["X-API-Key": try await key(server, brands: [brand])]
            func send(_ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil) async throws
                -> ServerFixture.Answer
            {
                try await server.send(method, path, body, headers: headers, anonymous: true)
            }
            // Its own tenants on clusters of the platform, which it cannot look at.
            let made = try await send(.POST, "tenants", tenant)
            #expect(made.status == 202, "\(made.text)")
            #expect(try await send(.GET, "tenants").json["items"]?.arrayValue?.count == 1)
            for path in [
                "regions", "clusters", "shards", "nodes", "platform/config", "api-keys", "users", "search?q=x",
            ] {
                #expect(try await send(.GET, path).status == 403, "\(path)")
            }
            #expect(try await send(.GET, "brands").json["items"]?.arrayValue?.count == 1)
            // Which clusters it may use is for the platform to say.
            let cluster = try #require(samples.shared["cluster"])
            #expect(try await send(.PUT, "brands/\(brand)/clusters", ["cluster_ids": []]).status == 403)
            let region = try #require(samples.shared["region"])
            let another = try await server.make("regions/\(region)/clusters", ["name": "another"])
            let link = try await server.send(
                .PUT, "brands/\(brand)/clusters", ["cluster_ids": .array([.string(another)])])
            #expect(try link.status == 200 && link.json["cluster_ids"] == .array([.string(another)]))
            #expect(try await send(.GET, "brands/\(brand)/clusters").json["items"]?.arrayValue?.count == 1)
            let refused = try await send(.POST, "tenants", tenant)
            #expect(try refused.status == 400 && refused.json["fields"]?["cluster_id"] != nil, "\(refused.text)")
            _ = try await server.send(
                .PUT, "brands/\(brand)/clusters", ["cluster_ids": .array([.string(another), .string(cluster)])])
            #expect(try await send(.POST, "tenants", tenant).status == 202)
            var foreign = tenant
            foreign["brand_id"] = "no-such-brand"
            #expect(try await send(.POST, "tenants", foreign).status == 403)
        }
    }
}
