import Edge
import Glibc
import Model
import TestSupport
import Testing

/// Who may pass a route.
@Suite(.serialized, .exclusive)
struct AccessTests {
    /// Of `sesame`, at cost 5.
    static let annHash = "$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O"
    static let token = "correct-horse"
    static let tokenHash = "9dca666eb54730714630d1519264a7bf1eeaad00b8f2edc90d3ecbfad928d163"
    private static let annBasic = "Authorization: Basic YW5uOnNlc2FtZQ==\r\n"

    private func makeTable(_ port: Int, _ access: EdgeAccess, limits: EdgeRouteLimits? = nil) -> EdgeTable {
        var table = EdgeTable.single(port)
        table.routes[0].access = access
        table.routes[0].limits = limits
        return table
    }

    private static let ann = EdgeBasicAuth(realm: "back office", users: [EdgeUser(name: "ann", passwordHash: annHash)])

    @Test func aPasswordOpensTheRoute() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(makeTable(upstream.port, EdgeAccess(basic: Self.ann))) {
            (edge: EdgeFixture) async throws in
            let without = try await edge.get("/")
            #expect(without.status == 401)
            #expect(without.field("www-authenticate") == #"Basic realm="back office", charset="UTF-8""#)
            for value in ["Basic YW5uOndyb25n", "Basic Ym9iOnNlc2FtZQ==", "Basic ???", "Bearer x", "Basic YW5u"] {
                #expect(try await edge.get("/", fields: "Authorization: \(value)\r\n").status == 401, "\(value)")
            }
            #expect(upstream.requests.isEmpty)
            let claim = "X-Forwarded-User: root\r\nX_Forwarded_User: root\r\n"
            let passed = try await edge.get("/a", fields: Self.annBasic + claim)
            #expect(passed.status == 200)
            let seen = try #require(upstream.requests.first)
            #expect(seen.fields("x-forwarded-user") == ["ann"])
            #expect(seen.fields("authorization").isEmpty)
            #expect(!seen.head.contains("root"))
        }
    }

    @Test func aHundredRequestsCostOneHash() async throws {
        let upstream = try RawUpstream()
        // Of cost 12: a quarter of a second each.
        let hash = "$2b$12$abcdefghijklmnopqrstuuJkleeYqGi6JJcNM.d95WxQIKjR4lCny"
        let basic = EdgeBasicAuth(users: [EdgeUser(name: "ann", passwordHash: hash)])
        try await EdgeFixture.with(makeTable(upstream.port, EdgeAccess(basic: basic))) {
            (edge: EdgeFixture) async throws in
            let port = edge.port
            let clock = ContinuousClock()
            _ = try await edge.get("/", fields: Self.annBasic)
            let took = try await clock.measure {
                try await blocking {
                    let client = try RawSocket(port: port)
                    for number in 0..<100 {
                        let fields = "Host: a\r\n\(Self.annBasic)Content-Length: 2\r\n"
                        try client.send("POST /\(number) HTTP/1.1\r\n\(fields)\r\nab")
                        let response = try client.response()
                        #expect(response?.text == "POST /\(number) HTTP/1.1|2")
                    }
                }
            }
            #expect(took < .seconds(12))
            let status = try await edge.control.status()
            #expect(status.requestsTotal["web"] == 101)
        }
    }

    @Test func pipelinedRequestsWaitTheirTurn() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(makeTable(upstream.port, EdgeAccess(basic: Self.ann))) {
            (edge: EdgeFixture) async throws in
            let port = edge.port
            try await blocking {
                let client = try RawSocket(port: port)
                let one = "GET /1 HTTP/1.1\r\nHost: a\r\n\(Self.annBasic)\r\n"
                let two = "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n"
                let three = "GET /3 HTTP/1.1\r\nHost: a\r\n\(Self.annBasic)\r\n"
                try client.send(one + two + three)
                #expect(try client.response()?.text == "GET /1 HTTP/1.1|0")
                #expect(try client.response()?.status == 401)
                #expect(try client.response()?.text == "GET /3 HTTP/1.1|0")
            }
        }
    }

    @Test(arguments: [
        ("X-Token: correct-horse", 200), ("Authorization: Bearer correct-horse", 200), ("X-Token: wrong", 401),
        ("Authorization: Basic correct-horse", 401), ("X-Other: correct-horse", 401), ("X-Token:", 401),
    ])
    func aTokenOpensTheRoute(field: String, status: Int) async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(makeTable(upstream.port, EdgeAccess(tokenHashes: [Self.tokenHash]))) {
            (edge: EdgeFixture) async throws in
            let answer = try await edge.get("/?token=correct-horse", fields: field + "\r\n")
            #expect(answer.status == status)
            #expect(upstream.requests.count == (status == 200 ? 1 : 0))
            #expect(upstream.requests.allSatisfy { !$0.head.contains("X-Token") && !$0.head.contains("Bearer") })
        }
    }

    @Test func allThatIsAskedMustBeThere() async throws {
        let upstream = try RawUpstream()
        let access = EdgeAccess(basic: Self.ann, tokenHashes: [Self.tokenHash], passesCredentials: true)
        try await EdgeFixture.with(makeTable(upstream.port, access)) { (edge: EdgeFixture) async throws in
            #expect(try await edge.get("/", fields: Self.annBasic).status == 401)
            #expect(try await edge.get("/", fields: "X-Token: \(Self.token)\r\n").status == 401)
            #expect(try await edge.get("/", fields: Self.annBasic + "X-Token: \(Self.token)\r\n").status == 200)
            #expect(upstream.requests.first?.fields("x-token") == [Self.token])
        }
    }

    struct Networks: Sendable, CustomTestStringConvertible {
        let rules: [(String, Bool)]
        let passes: Bool
        var testDescription: String { "\(rules) → \(passes)" }
    }

    @Test(arguments: [
        Networks(rules: [("127.0.0.0/8", true)], passes: true),
        Networks(rules: [("10.0.0.0/8", true)], passes: false),
        Networks(rules: [("10.0.0.0/8", false)], passes: true),
        Networks(rules: [("127.0.0.1", false), ("127.0.0.0/8", true)], passes: false),
        Networks(rules: [("127.0.0.0/8", true), ("127.0.0.1", false)], passes: true),
        Networks(rules: [("0.0.0.0/0", true)], passes: true),
        Networks(rules: [("::/0", true)], passes: false),
        Networks(rules: [("::1", false), ("2001:db8::/32", false)], passes: true),
    ])
    func theFirstNetworkThatHoldsTheClientDecides(networks: Networks) async throws {
        let upstream = try RawUpstream()
        let rules = networks.rules.map { EdgeNetworkRule(network: $0.0, isAllowed: $0.1) }
        try await EdgeFixture.with(makeTable(upstream.port, EdgeAccess(networks: rules))) {
            (edge: EdgeFixture) async throws in
            #expect(try await edge.get("/").status == (networks.passes ? 200 : 403))
        }
    }

    @Test func deniedIsToldInTheClientsLanguage() async throws {
        try await EdgeFixture.with(makeTable(1, EdgeAccess(isDenied: true))) { (edge: EdgeFixture) async throws in
            let page = try await edge.get("/")
            #expect(page.status == 403)
            #expect(page.field("content-type") == "text/html; charset=utf-8")
            let json = try await edge.get("/", fields: "Accept: application/json\r\n")
            #expect(json.status == 403)
            #expect(try JSONParser.parse(json.body)["code"]?.stringValue == "forbidden")
        }
    }

    @Test func aTrustedProxySaysWhoTheClientIs() async throws {
        let upstream = try RawUpstream()
        let access = EdgeAccess(networks: [EdgeNetworkRule(network: "198.51.100.0/24", isAllowed: true)])
        var table = makeTable(upstream.port, access)
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let fields = "X-Forwarded-For: 198.51.100.7\r\n"
            #expect(try await edge.get("/", fields: fields).status == 403)
            table.trustedProxies = ["127.0.0.1", "192.0.2.0/24"]
            try await edge.control.apply(table)
            for (chain, status) in [
                ("198.51.100.7", 200), ("203.0.113.9, 198.51.100.7, 192.0.2.4", 200),
                ("nobody, 2001:db8::7, 198.51.100.7", 200), ("198.51.100.7, 203.0.113.9", 403),
                ("198.51.100.7, nonsense", 403), ("", 403),
            ] {
                let fields = "X-Forwarded-For: \(chain)\r\nX-Forwarded-Proto: https\r\n"
                let answer = try await edge.get("/", fields: fields)
                #expect(answer.status == status, "\(chain)")
            }
            #expect(upstream.requests.first?.fields("x-forwarded-for") == ["198.51.100.7, 127.0.0.1"])
            #expect(upstream.requests.first?.fields("x-forwarded-proto") == ["https"])
            #expect(
                upstream.requests.map { $0.fields("forwarded") } == [
                    ["for=198.51.100.7, for=127.0.0.1;proto=https"],
                    ["for=203.0.113.9, for=198.51.100.7, for=192.0.2.4, for=127.0.0.1;proto=https"],
                    ["for=unknown, for=\"[2001:db8::7]\", for=198.51.100.7, for=127.0.0.1;proto=https"],
                ])
        }
    }

    @Test func aServiceIsAsked() async throws {
        let upstream = try RawUpstream()
        let judge = try RawUpstream { connection, upstream in
            guard let request = try upstream.read(connection) else { return }
            let isKnown = request.fields("cookie") == ["session=good"]
            let text = isKnown ? "" : "who are you?"
            let passes = "200 OK\r\nX-User: ann\r\nX-Other: no"
            let status = isKnown ? passes : "302 Found\r\nLocation: /login\r\nSet-Cookie: a=b"
            try connection.send("HTTP/1.1 \(status)\r\nContent-Length: \(text.utf8.count)\r\n\r\n\(text)")
        }
        var table = makeTable(
            upstream.port,
            EdgeAccess(forward: EdgeForwardAuth(upstreamId: "judge", path: "/check?a=1", copiedHeaders: ["X-User"])))
        table.upstreams.append(
            EdgeUpstream(id: "judge", name: "judge", endpoints: [EdgeEndpoint(host: "127.0.0.1", port: judge.port)]))
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let refused = try await edge.get("/page?x=y", fields: "X-User: root\r\n")
            #expect(refused.status == 302)
            #expect(refused.field("location") == "/login")
            #expect(refused.field("set-cookie") == "a=b")
            #expect(refused.text == "who are you?")
            #expect(upstream.requests.isEmpty)
            let question = try #require(judge.requests.first)
            #expect(question.line == "GET /check?a=1 HTTP/1.1")
            #expect(question.fields("x-forwarded-uri") == ["/page?x=y"])
            #expect(question.fields("x-forwarded-method") == ["GET"])
            #expect(question.fields("x-forwarded-for") == ["127.0.0.1"])
            let body = "Cookie: session=good\r\nX-User: root\r\nX_User: root\r\nContent-Length: 5\r\n"
            let passed = try await edge.ask("POST /page HTTP/1.1\r\nHost: a\r\n\(body)\r\nhello")
            #expect(passed.text == "POST /page HTTP/1.1|5")
            #expect(judge.requests.last?.fields("content-length").isEmpty == true)
            let seen = try #require(upstream.requests.first)
            #expect(seen.fields("x-user") == ["ann"])
            #expect(seen.fields("x-other").isEmpty)
            #expect(!seen.head.contains("root"))
        }
    }

    @Test func aJudgeThatDoesNotAnswerLetsNobodyPass() async throws {
        let upstream = try RawUpstream()
        let silent = try RawUpstream { connection, upstream in
            _ = try upstream.read(connection)
            _ = try connection.receive()
        }
        let forward = EdgeForwardAuth(upstreamId: "judge", timeoutMs: 200)
        var table = makeTable(upstream.port, EdgeAccess(forward: forward))
        for port in [silent.port, try FreePorts.take(1)[0]] {
            table.upstreams = [table.upstreams[0]]
            table.upstreams.append(
                EdgeUpstream(id: "judge", name: "judge", endpoints: [EdgeEndpoint(host: "127.0.0.1", port: port)]))
            try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
                let refusal = try await edge.get("/")
                #expect(refusal.status == 503 && refusal.text.contains("whether you may see this"))
                #expect(upstream.requests.isEmpty)
            }
        }
    }
}
