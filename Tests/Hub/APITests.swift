import HubCore
import Model
import NIOHTTP1
import Testing

/// The HTTP rules of the catalogue, on the real server.
@Suite struct APITests {
    @Test func livesThroughAResource() async throws {
        try await ServerFixture.run { server in
            let created = try await server.send(.POST, "stacks", ["name": "shop"])
            #expect(created.status == 202)
            let id = try #require(try created.json["id"]?.stringValue)
            #expect(try created.json["status"] != "active")
            let read = try await server.send(.GET, "stacks/\(id)")
            #expect(read.status == 200 && read.headers.first(name: "Content-Type") == "application/json")
            let tag = try #require(read.headers.first(name: "ETag"))
            #expect(try await server.send(.GET, "stacks/\(id)", headers: ["If-None-Match": tag]).status == 304)
            let stale = try await server.send(
                .PUT, "stacks/\(id)", ["security_mode": "blocked"], headers: ["If-Match": "\"99\""])
            #expect(try stale.status == 409 && stale.json["code"] == "stale")
            let plan = try await server.send(.PUT, "stacks/\(id)?plan=true", ["security_mode": "blocked"])
            #expect(try plan.status == 200 && plan.json["plan"]?.arrayValue?.isEmpty == false)
            let updated = try await server.send(
                .PUT, "stacks/\(id)", ["security_mode": "blocked"], headers: ["If-Match": tag])
            #expect(try updated.status == 202 && updated.json["security_mode"] == "blocked")
            #expect(try updated.json["status"] != "active")
            let service = try await server.send(
                .POST, "stacks/\(id)/services",
                ["name": "web", "git_url": "https://git.example.org/x.git", "run_command": "run"])
            #expect(service.status == 202)
            #expect(try await server.send(.GET, "stacks/\(id)/services").json["items"]?.arrayValue?.count == 1)
            try await server.hub.settle(stackId: id)
            let desired = try await server.send(.GET, "stacks/\(id)/desired-state")
            #expect(desired.status == 200)
            let stack = try await server.send(.GET, "stacks/\(id)").json
            #expect(try desired.json["hash"] == stack["hash"] && desired.json["version"] == stack["version"])
            #expect(stack["hash"]?.stringValue?.utf8.count == 64)
            let retry = try await server.send(
                .POST, "stacks/\(id)/retry", headers: ["Content-Type": "application/json"])
            #expect(try retry.status == 202 && retry.json["status"] != "active")
            #expect(try await server.send(.POST, "stacks/\(id)/retry", raw: Array("{}".utf8)).status == 202)
            #expect(try await server.send(.DELETE, "stacks/\(id)").status == 202)
            #expect(try await server.send(.GET, "stacks/\(id)").status == 404)
            #expect(try await server.send(.DELETE, "stacks/\(id)").status == 404)
            #expect(try await server.send(.POST, "stacks", ["name": "shop"]).status == 202)
        }
    }

    private struct Unplanned {
        var method: String
        var path: String
    }

    /// Mutations that say nothing of plans.
    private static func unplanned(_ document: JSONValue) -> [Unplanned] {
        (document["paths"]?.objectValue ?? [:]).flatMap { path, item in
            (item.objectValue ?? [:]).compactMap { method, operation in
                let isMutation = ["post", "put", "patch", "delete"].contains(method)
                let isPlanned = operation["parameters"]?.arrayValue?.contains { $0["name"] == "plan" } ?? false
                return isMutation && !isPlanned ? Unplanned(method: method.uppercased(), path: path) : nil
            }
        }
    }

    /// Whoever asks for a plan of what cannot be planned must not have it done.
    @Test func whatCannotBePlannedIsRefusedInsteadOfDone() async throws {
        try await ServerFixture.run { server in
            let unplanned = Self.unplanned(try await server.send(.GET, "/docs/openapi.json").json)
            #expect(unplanned.count == 6, "\(unplanned)")
            for one in unplanned {
                let answer = try await server.send(HTTPMethod(rawValue: one.method), "\(one.path)?plan=true")
                let reason = try answer.json["fields"]?["plan"]
                #expect(answer.status == 400 && reason != nil, "\(one)")
            }
        }
    }

    @Test func synchronousKindsAnswer201And200And204() async throws {
        try await ServerFixture.run { server in
            let user = try await server.send(.POST, "users", ["email": "a@example.org"])
            #expect(user.status == 201)
            let id = try #require(try user.json["id"]?.stringValue)
            #expect(try await server.send(.PUT, "users/\(id)", ["role": "operator"]).status == 200)
            let gone = try await server.send(.DELETE, "users/\(id)")
            #expect(gone.status == 204 && gone.bytes.isEmpty)
        }
    }

    @Test func saysWhatIsWrong() async throws {
        try await ServerFixture.run { server in
            let id = try await server.make("stacks", ["name": "a"])
            let json: HTTPHeaders = ["Content-Type": "application/json"]
            let cases: [(HTTPMethod, String, [UInt8]?, HTTPHeaders, Int, String)] = [
                (.GET, "nothing", nil, [:], 404, "not_found"), (.GET, "/api", nil, [:], 404, "not_found"),
                (.GET, "stacks/none", nil, [:], 404, "not_found"), (.GET, "stacks//", nil, [:], 404, "not_found"),
                (.GET, "stacks/%00", nil, [:], 404, "not_found"),
                (.GET, "stacks/..%2f..%2fetc", nil, [:], 404, "not_found"),
                (.PATCH, "stacks", nil, [:], 405, "method_not_allowed"),
                (.DELETE, "stacks", nil, [:], 405, "method_not_allowed"),
                (.POST, "deployments", nil, [:], 405, "method_not_allowed"),
                (.POST, "stacks", Array("{".utf8), json, 400, "malformed_json"),
                (.POST, "stacks", Array("{\"name\":\"x\",\"name\":\"y\"}".utf8), json, 400, "malformed_json"),
                (.POST, "stacks", [0xFF, 0xFE], json, 400, "malformed_json"),
                (.POST, "stacks", Array(String(repeating: "[", count: 100_000).utf8), json, 400, "malformed_json"),
                (.POST, "stacks", Array("[]".utf8), json, 400, "invalid"), (.POST, "stacks", [], json, 400, "invalid"),
                (.POST, "stacks", Array("{\"name\":\"x\"}".utf8), ["Content-Type": "text/plain"], 400, "invalid"),
                (.POST, "stacks", Array("{\"nme\":\"x\"}".utf8), json, 400, "invalid"),
                (.POST, "stacks", Array("{\"name\":\"a\"}".utf8), json, 409, "conflict"),
                (.POST, "stacks/none/services", Array("{".utf8), json, 404, "not_found"),
                (.PUT, "stacks/none", Array("{".utf8), json, 404, "not_found"),
                (.PUT, "stacks/\(id)", Array("{}".utf8), ["If-Match": "abc"], 400, "invalid"),
                (.GET, "stacks?limit=0", nil, [:], 400, "invalid"),
                (.GET, "stacks?limit=201", nil, [:], 400, "invalid"),
                (.GET, "stacks?limit=x", nil, [:], 400, "invalid"), (.GET, "stacks?cursor=x", nil, [:], 400, "invalid"),
                (.GET, "stacks?status=x", nil, [:], 400, "invalid"), (.GET, "stacks?sort=x", nil, [:], 400, "invalid"),
                (.GET, "stacks?order=x", nil, [:], 400, "invalid"),
                (.GET, "stacks?limit=1&limit=2", nil, [:], 400, "invalid"),
                (.GET, "stacks?search=%ff", nil, [:], 400, "invalid"), (.GET, "search", nil, [:], 400, "invalid"),
                (.GET, "events?cursor=x", nil, [:], 400, "invalid"),
                (.GET, "audit-logs?since=x", nil, [:], 400, "invalid"),
                (.DELETE, "stacks/\(id)?plan=maybe", nil, [:], 400, "invalid"),
                (.GET, "stacks?search=" + String(repeating: "x", count: 9000), nil, [:], 400, "invalid"),
            ]
            for (method, path, body, headers, status, code) in cases {
                let answer = try await server.send(method, path, raw: body, headers: headers)
                #expect(answer.status == status, "\(method) \(path.prefix(60)): \(answer.text.prefix(300))")
                guard let json = try? answer.json else {
                    Issue.record("\(method) \(path.prefix(60)): no JSON")
                    continue
                }
                #expect(json["code"]?.stringValue == code)
                #expect(json["error"]?.stringValue?.isEmpty == false && json["fields"] != nil)
                #expect(answer.headers.first(name: "X-Request-Id") != nil)
            }
            let wrong = try await server.send(.PATCH, "stacks")
            #expect(wrong.headers.first(name: "Allow") == "GET, HEAD, POST")
            let large = try await server.send(
                .POST, "stacks", raw: Array(("{\"name\":\"" + String(repeating: "x", count: 1 << 20) + "\"}").utf8))
            #expect(try large.status == 413 && large.json["code"] == "too_large")
        }
    }

    @Test func authorisationComesBeforeTheBody() async throws {
        try await ServerFixture.run { server in
            for (method, path) in [
                (HTTPMethod.GET, "stacks"), (.POST, "stacks"), (.PUT, "stacks/none"), (.DELETE, "stacks/none"),
                (.GET, "events"), (.GET, "audit-logs"), (.GET, "dashboard/stats"), (.GET, "search?q=x"),
            ] {
                let anonymous = try await server.send(method, path, raw: Array("{".utf8), anonymous: true)
                #expect(anonymous.status == 401 && anonymous.headers.first(name: "WWW-Authenticate") != nil)
                for headers: HTTPHeaders in [
                    ["Authorization": "Bearer nope"], ["Authorization": "Basic eDp5"], ["X-API-Key": "nope"],
                    ["Authorization": ""], ["Cookie": "roost_session=nope"],
                ] {
                    let answer = try await server.send(method, path, headers: headers, anonymous: true)
                    #expect(answer.status == 401)
                }
            }
            let reader = try await server.send(
                .POST, "api-keys", ["name": "r", "scopes": ["stacks:read"], "brands": ["*"]])
            let headers: HTTPHeaders = ["X-API-Key": try #require(try reader.json["key"]?.stringValue)]
            #expect(try await server.send(.GET, "stacks", headers: headers, anonymous: true).status == 200)
            let write = try await server.send(.POST, "stacks", raw: Array("{".utf8), headers: headers, anonymous: true)
            #expect(write.status == 403)
            #expect(try await server.send(.PUT, "stacks/none", headers: headers, anonymous: true).status == 403)
        }
    }

    @Test func pagesLists() async throws {
        try await ServerFixture.run { server in
            for number in 0..<7 { _ = try await server.make("stacks", ["name": .string("s\(number)")]) }
            var names: [JSONValue] = []
            var path = "stacks?limit=3&sort=name&order=desc"
            for _ in 0..<5 {
                let page = try await server.send(.GET, path).json
                names += page["items"]?.arrayValue?.compactMap { $0["name"] } ?? []
                #expect(page["has_more"] == .bool(page["next_cursor"] != .null))
                guard let cursor = page["next_cursor"]?.stringValue else { break }
                path = "stacks?limit=3&sort=name&order=desc&cursor=\(cursor)"
            }
            #expect(names == (0..<7).reversed().map { .string("s\($0)") })
            #expect(try await server.send(.GET, "stacks?search=S3").json["items"]?.arrayValue?.count == 1)
        }
    }

    @Test func searchesInPages() async throws {
        try await ServerFixture.run { server in
            for number in 0..<7 { _ = try await server.make("stacks", ["name": .string("found-\(number)")]) }
            var names: [JSONValue] = []
            var cursor = ""
            repeat {
                let page = try await server.send(.GET, "search?q=found-&limit=3&cursor=\(cursor)").json
                let found = try #require(page["items"]?.arrayValue)
                names += found.compactMap { $0["name"] }
                #expect(found.count <= 3)
                cursor = page["next_cursor"]?.stringValue ?? ""
                #expect(page["has_more"] == .bool(!cursor.isEmpty))
            } while !cursor.isEmpty
            #expect(names == (0..<7).map { .string("found-\($0)") })
            let first = try await server.send(.GET, "search?q=fo&limit=1").json["next_cursor"]?.stringValue ?? ""
            let list = try await server.send(.GET, "stacks?limit=1").json["next_cursor"]?.stringValue ?? ""
            for query in [
                "limit=0", "limit=201", "limit=x", "cursor=x", "cursor=\(first)", "cursor=\(list)", "kind=stack",
            ] {
                let refused = try await server.send(.GET, "search?q=found-&\(query)")
                let name = String(query.prefix { $0 != "=" })
                #expect(try refused.status == 400 && refused.json["fields"]?[name] != nil, "\(query): \(refused.text)")
            }
            #expect(try await server.send(.GET, "stacks?cursor=\(first)").status == 400)
        }
    }

    /// A filter that is left out of account would show everything to someone who asked for less.
    @Test func listsTakeNoParametersThatTheyDoNotKnow() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            let tenant = try await samples.one("tenant")
            let region = try #require(samples.shared["region"])
            let brand = try #require(samples.shared["brand"])
            for path in [
                "tenants?colour=red", "regions/\(region)/clusters?region_id=\(region)", "audit-logs?who=me",
                "events?tenant=x", "logs?file=x", "tenants?brand_id=",
            ] {
                let refused = try await server.send(.GET, path)
                let name = String(path.drop { $0 != "?" }.dropFirst().prefix { $0 != "=" })
                #expect(try refused.status == 400 && refused.json["fields"]?[name] != nil, "\(path): \(refused.text)")
            }
            func ids(_ path: String) async throws -> [String?] {
                let answer = try await server.send(.GET, path)
                try #require(answer.status == 200, "\(answer.text)")
                return try answer.json["items"]?.arrayValue?.map { $0["id"]?.stringValue } ?? []
            }
            let other = try await server.send(.POST, "brands", try await samples.body(try samples.kind("brand"))).json
            #expect(try await ids("tenants?brand_id=\(brand)&region_id=\(region)") == [tenant])
            #expect(try await ids("tenants?brand_id=\(other["id"]?.stringValue ?? "")").isEmpty)
            #expect(try await ids("tenants?region_id=none").isEmpty)
            #expect(try await ids("clusters?region_id=\(region)").count == 1)
            #expect(try await ids("clusters?region_id=none").isEmpty)
            // Of a brand that the caller may not see there is nothing.
            let made = try await server.send(
                .POST, "api-keys", ["name": "k", "scopes": ["*:*"], "brands": .array([try #require(other["id"])])])
            let headers: HTTPHeaders = ["X-API-Key": try #require(try made.json["key"]?.stringValue)]
            for filter in ["brand_id=\(brand)", "region_id=\(region)"] {
                let answer = try await server.send(.GET, "tenants?\(filter)", headers: headers, anonymous: true)
                #expect(try answer.status == 200 && answer.json["items"] == [], "\(answer.text)")
            }
        }
    }

    @Test func repeatsAnswersUnderAnIdempotencyKey() async throws {
        try await ServerFixture.run { server in
            let headers: HTTPHeaders = ["Idempotency-Key": "once"]
            let body: JSONValue = ["name": "k", "scopes": ["*:read"], "brands": ["*"]]
            let first = try await server.send(.POST, "api-keys", body, headers: headers)
            let second = try await server.send(.POST, "api-keys", body, headers: headers)
            #expect(first.status == 201 && first.bytes == second.bytes && second.status == 201)
            let other = try await server.send(.POST, "api-keys", ["name": "x"], headers: headers)
            #expect(other.status == 409)
            let null = try await server.send(.POST, "oidc/rotate-key?plan=true", raw: Array("null".utf8))
            #expect(null.status == 400, "\(null.text)")
            for key in ["", "a b", "é", String(repeating: "x", count: 256)] {
                for query in ["", "?plan=true"] {
                    let refused = try await server.send(
                        .POST, "api-keys\(query)", body, headers: ["Idempotency-Key": key])
                    #expect(refused.status == 400, "\(key)\(query): \(refused.text)")
                }
            }
        }
    }

    @Test func answersHeadAndForeignPaths() async throws {
        try await ServerFixture.run { server in
            let head = try await server.send(.HEAD, "stacks")
            #expect(head.status == 200 && head.bytes.isEmpty && head.headers.first(name: "Content-Length") != "0")
            #expect(try await server.send(.GET, "/login", anonymous: true).status == 200)
            #expect(try await server.send(.GET, "/healthz", anonymous: true).status == 200)
            #expect(try await server.send(.GET, "/readyz", anonymous: true).status == 200)
            let metrics = try await server.send(.GET, "/metrics", anonymous: true).text
            #expect(
                metrics.contains("roost_http_requests_total{status=\"2xx\"}") && !metrics.contains("roost_resources"))
            #expect(try await server.send(.GET, "/metrics").text.contains("roost_resources{kind=\"api-key\""))
            let document = try await server.send(.GET, "/docs/openapi.json", anonymous: true).json
            #expect(document["openapi"] == "3.1.0" && document["paths"]?["/api/v1/stacks/{id}"]?["put"] != nil)
            #expect(try await server.send(.GET, "/docs", anonymous: true).text.contains("<h2>stacks</h2>"))
        }
    }

    @Test func sessionsNeedTheirProof() async throws {
        try await ServerFixture.run { server in
            let login = try await server.send(.POST, "login", ["key": .string(server.key)], anonymous: true)
            let cookie = try #require(login.headers.first(name: "Set-Cookie"))
            #expect(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"))
            var headers: HTTPHeaders = ["Cookie": String(cookie.prefix { $0 != ";" })]
            #expect(try await server.send(.GET, "stacks", headers: headers, anonymous: true).status == 200)
            #expect(
                try await server.send(.POST, "stacks", ["name": "a"], headers: headers, anonymous: true).status == 403)
            headers.add(name: "X-CSRF-Token", value: try login.json["csrf_token"]?.stringValue ?? "")
            #expect(
                try await server.send(.POST, "stacks", ["name": "a"], headers: headers, anonymous: true).status == 202)
            #expect(try await server.send(.POST, "logout", headers: headers, anonymous: true).status == 204)
            #expect(try await server.send(.GET, "stacks", headers: headers, anonymous: true).status == 401)
            let bare = try await server.send(
                .POST, "login", ["key": .string(server.key), "bearer": true], anonymous: true)
            let token = try #require(try bare.json["token"]?.stringValue)
            let bearer: HTTPHeaders = ["Authorization": "Bearer \(token)"]
            #expect(try await server.send(.GET, "stacks", headers: bearer, anonymous: true).status == 200)
            #expect(try await server.send(.POST, "logout", headers: bearer, anonymous: true).status == 204)
            #expect(try await server.send(.GET, "stacks", headers: bearer, anonymous: true).status == 401)
            for body: JSONValue in [[:], ["email": "x"], ["key": 1], ["key": "x", "email": "y"], ["x": "y"], []] {
                #expect(try await server.send(.POST, "login", body, anonymous: true).status == 400)
            }
            let wrong: JSONValue = ["email": "a@example.org", "password": "x"]
            for _ in 0..<10 { #expect(try await server.send(.POST, "login", wrong, anonymous: true).status == 401) }
            let limited = try await server.send(.POST, "login", wrong, anonymous: true)
            #expect(limited.status == 429 && (limited.headers.first(name: "Retry-After").flatMap(Int.init) ?? 0) > 800)
        }
    }

    @Test func installScriptHoldsNoForeignText() async throws {
        try await ServerFixture.run { server in
            let script = try await server.send(.GET, "/install.sh", anonymous: true)
            #expect(script.status == 200 && script.text.contains("hub='\(server.url)'\n"), "\(script.text)")
            for host in ["a';id;'", "a b", "$(id)", "`id`"] {
                let answer = try await server.sendRaw(
                    "GET /install.sh HTTP/1.1\r\nHost: \(host)\r\nConnection: close\r\n\r\n")
                #expect(answer.contains(" 400 ") && !answer.contains("hub="), "\(host): \(answer)")
            }
            let program = try await server.send(.GET, "/install/roost", anonymous: true)
            #expect(program.text.hasPrefix("#!the program"))
            #expect(program.headers.first(name: "Content-Length") == String(program.bytes.count))
        }
    }

    @Test func survivesGarbage() async throws {
        try await ServerFixture.run { server in
            let garbage = [
                "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{1}\u{2}\r\n\r\n",
                "POST /api/v1/stacks HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
                "POST /api/v1/stacks HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                "POST /api/v1/stacks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
                "GET /api/v1/stacks HTTP/1.1\r\nHost: x\r\nX: \(String(repeating: "a", count: 20_000))\r\n\r\n",
                "GET /api/v1/stacks HTTP/1.1\r\nHost: x\r\n\(String(repeating: "A: b\r\n", count: 500))\r\n",
                "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "GET http://other/api/v1/stacks HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "GET /api/v1/stacks/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "GET /api/v1/stacks/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                "GET /api/v1/stacks/\u{FFFD}%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            ]
            for text in garbage {
                let answer = try await server.sendRaw(text)
                #expect(answer.hasPrefix("HTTP/1.1 4"), "\(text.prefix(80)) → \(answer.prefix(200))")
            }
            #expect(try await server.send(.GET, "stacks").status == 200)
        }
    }
}
