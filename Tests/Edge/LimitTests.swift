import Edge
import Model
import Testing

/// How much clients may ask, where they are sent, and what fields they get.
@Suite(.serialized, .exclusive)
struct LimitTests {
    private func makeTable(_ port: Int, _ change: (inout EdgeRoute) -> Void) -> EdgeTable {
        var table = EdgeTable.single(port)
        change(&table.routes[0])
        return table
    }

    @Test func aClientThatAsksTooOftenIsToldWhenToComeBack() async throws {
        let upstream = try RawUpstream()
        var table = makeTable(upstream.port) { $0.limits = EdgeRouteLimits(requestsPerSecond: 0.01, burst: 3) }
        table.trustedProxies = ["127.0.0.1"]
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            func ask(_ client: String) async throws -> RawResponse {
                try await edge.get("/", fields: "X-Forwarded-For: \(client)\r\nAccept: application/json\r\n")
            }
            for _ in 0..<3 { #expect(try await ask("198.51.100.1").status == 200) }
            let refused = try await ask("198.51.100.1")
            #expect(refused.status == 429)
            let seconds = try #require(refused.field("retry-after").flatMap { Int($0) })
            #expect((1...100).contains(seconds))
            #expect(try JSONParser.parse(refused.body)["code"]?.stringValue == "rate_limited")
            #expect(try await ask("198.51.100.2").status == 200)
            // One customer has a whole /64.
            for last in 1...3 { #expect(try await ask("2001:db8:1:2::\(last)").status == 200) }
            #expect(try await ask("2001:db8:1:2:ffff::9").status == 429)
            #expect(try await ask("2001:db8:1:3::9").status == 200)
            // A new table changes nothing of what was used up.
            table.upstreams[0].name = "renamed"
            try await edge.control.apply(table)
            #expect(try await ask("198.51.100.1").status == 429)
        }
    }

    @Test func onlySoManyAtOnce() async throws {
        let upstream = try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                if request.line.contains("/slow") { _ = try upstream.read(connection) }
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
        for limits in [EdgeRouteLimits(concurrentRequests: 2), EdgeRouteLimits(concurrentPerClient: 2)] {
            try await EdgeFixture.with(makeTable(upstream.port) { $0.limits = limits }) {
                (edge: EdgeFixture) async throws in
                let waiting = try (0..<2).map { _ in try edge.connect() }
                upstream.forget()
                for socket in waiting { try socket.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n") }
                #expect(try await eventually { upstream.requests.count == 2 })
                let refused = try await edge.get("/")
                #expect(refused.status == (limits.concurrentRequests == nil ? 429 : 503))
                #expect(refused.field("retry-after") != nil)
                for socket in waiting { socket.closeOutput() }
                #expect(try await eventually { try await edge.get("/").status == 200 })
            }
        }
    }

    @Test(arguments: [
        (EdgeRedirect(host: .www), "example.com", "/a?b=c", "http://www.example.com/a?b=c"),
        (EdgeRedirect(host: .apex), "www.example.com:8080", "/", "http://example.com:8080/"),
        (EdgeRedirect(host: .apex, https: true), "www.example.com:8080", "/x", "https://example.com/x"),
        (EdgeRedirect(https: true), "example.com", "/x", "https://example.com/x"),
        (EdgeRedirect(url: "https://other.example/new"), "example.com", "/x?y", "https://other.example/new/x?y"),
        (EdgeRedirect(url: "https://other.example/n?a", keepsPath: false), "a.b", "/x?y", "https://other.example/n?a"),
    ])
    func clientsAreSentOn(redirect: EdgeRedirect, host: String, path: String, location: String) async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(makeTable(upstream.port) { $0.redirect = redirect }) {
            (edge: EdgeFixture) async throws in
            let answer = try await edge.get(path, host: host)
            #expect(answer.status == 308)
            #expect(answer.field("location") == location)
            let challenge = try await edge.get("/.well-known/acme-challenge/token", host: host)
            #expect(challenge.status == 200)
            #expect(upstream.requests.count == 1)
        }
    }

    @Test func whoIsRightStays() async throws {
        let upstream = try RawUpstream()
        var table = makeTable(upstream.port) { $0.redirect = EdgeRedirect(host: .www, https: true, status: 301) }
        table.trustedProxies = ["127.0.0.1"]
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let secure = "X-Forwarded-Proto: https\r\n"
            #expect(try await edge.get("/", host: "www.example.com", fields: secure).status == 200)
            #expect(try await edge.get("/", host: "localhost", fields: secure).status == 200)
            #expect(try await edge.get("/", host: "192.0.2.1", fields: secure).status == 200)
            #expect(try await edge.get("/", host: "example.com", fields: secure).status == 301)
            #expect(try await edge.get("/", host: "www.example.com").status == 301)
        }
    }

    /// A body without its length would be read as the next request of the connection.
    @Test func noRuleTakesTheLengthOfABody() async throws {
        let upstream = try RawUpstream()
        let table = makeTable(upstream.port) { $0.headers = EdgeHeaderRules(requestRemove: ["x_debug"]) }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            for name in ["content_length", "Content_Length", "TRANSFER_ENCODING", "content-length"] {
                let flawed = makeTable(upstream.port) { $0.headers = EdgeHeaderRules(requestRemove: [name]) }
                let problem = await #expect(throws: Problem.self) { try await edge.control.apply(flawed) }
                #expect(problem?.fields.keys.first == "routes/0/headers/request_remove/0")
            }
            let body = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
            let length = "Content-Length: \(body.utf8.count)\r\n"
            let answer = try await edge.ask("POST / HTTP/1.1\r\nHost: a\r\nX-Debug: 1\r\n\(length)\r\n\(body)")
            #expect(answer.status == 200)
            #expect(try await edge.get("/behind").status == 200)
            #expect(upstream.requests.map(\.line) == ["POST / HTTP/1.1", "GET /behind HTTP/1.1"])
            #expect(upstream.requests.first?.fields("x-debug") == [])
        }
    }

    @Test func fieldsAreSetAndRemoved() async throws {
        let upstream = try RawUpstream(
            script: RawUpstream.answering(
                "HTTP/1.1 200 OK\r\nServer: nginx/1.2\r\nX-Powered-By: PHP\r\nX-Frame-Options: DENY\r\n"
                    + "X-Internal: 1\r\nx-stage: dev\r\nContent-Length: 2\r\n\r\nok"))
        let rules = EdgeHeaderRules(
            requestSet: [EdgeHeader(name: "X-Stage", value: "live")], requestRemove: ["X-Debug"],
            responseSet: [EdgeHeader(name: "X-Stage", value: "live")], responseRemove: ["X-Internal"],
            addsSecurityHeaders: true, hidesServer: true, hsts: EdgeHSTS(includesSubdomains: true))
        var table = makeTable(upstream.port) { $0.headers = rules }
        table.trustedProxies = ["127.0.0.1"]
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let answer = try await edge.get("/", fields: "X-Debug: 1\r\nx_stage: dev\r\nX-Kept: 1\r\n")
            #expect(answer.text == "ok")
            #expect(answer.fields("x-frame-options") == ["DENY"])
            #expect(answer.fields("x-content-type-options") == ["nosniff"])
            #expect(answer.fields("referrer-policy") == ["strict-origin-when-cross-origin"])
            #expect(answer.fields("x-stage") == ["live"])
            for name in ["server", "x-powered-by", "x-internal", "strict-transport-security"] {
                #expect(answer.field(name) == nil, "\(name)")
            }
            let seen = try #require(upstream.requests.first)
            #expect(seen.fields("x-stage") == ["live"])
            #expect(seen.fields("x-debug").isEmpty)
            #expect(seen.fields("x-kept") == ["1"])
            #expect(!seen.head.contains("dev"))
            let secure = try await edge.get("/", fields: "X-Forwarded-Proto: https\r\n")
            #expect(secure.fields("strict-transport-security") == ["max-age=31536000; includeSubDomains"])
        }
    }
}
