import Edge
import Model
import Testing

/// How requests are spread, and what is done about endpoints that fail.
@Suite(.serialized, .exclusive)
struct BalanceTests {
    private func makeTable(_ endpoints: [EdgeEndpoint], _ change: (inout EdgeUpstream) -> Void) -> EdgeTable {
        var table = EdgeTable.single(1)
        table.upstreams[0].endpoints = endpoints
        change(&table.upstreams[0])
        return table
    }

    private func endpoint(_ upstream: RawUpstream, weight: Int? = nil, group: String? = nil) -> EdgeEndpoint {
        EdgeEndpoint(host: "127.0.0.1", port: upstream.port, weight: weight, group: group)
    }

    private func ask(_ edge: EdgeFixture, _ count: Int, fields: String = "") async throws -> [Int] {
        let port = edge.port
        return try await blocking {
            let client = try RawSocket(port: port)
            return try (0..<count).map { _ in
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\(fields)\r\n")
                return try client.response()?.status ?? 0
            }
        }
    }

    @Test func inTurn() async throws {
        let upstreams = try (0..<3).map { _ in try RawUpstream() }
        let table = makeTable(upstreams.map { endpoint($0) }) { $0.balance = EdgeBalance(policy: .roundRobin) }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            _ = try await ask(edge, 30)
            #expect(upstreams.map(\.requests.count) == [10, 10, 10])
        }
    }

    @Test func weightsAreShares() async throws {
        let upstreams = try (0..<3).map { _ in try RawUpstream() }
        let endpoints = [
            endpoint(upstreams[0], weight: 7), endpoint(upstreams[1], weight: 3), endpoint(upstreams[2], weight: 0),
        ]
        try await EdgeFixture.with(makeTable(endpoints) { $0.balance = EdgeBalance() }) {
            (edge: EdgeFixture) async throws in
            _ = try await ask(edge, 100)
            #expect(upstreams.map(\.requests.count) == [70, 30, 0])
        }
    }

    @Test func aCanaryGetsItsShareWhateverTheLoad() async throws {
        let stable = try (0..<2).map { _ in try RawUpstream() }
        let canary = try RawUpstream()
        let endpoints = stable.map { endpoint($0, weight: 45) } + [endpoint(canary, weight: 10, group: "canary")]
        try await EdgeFixture.with(makeTable(endpoints) { _ in }) { (edge: EdgeFixture) async throws in
            _ = try await ask(edge, 200)
            #expect(canary.requests.count == 20)
            #expect(stable.map(\.requests.count) == [90, 90])
        }
    }

    @Test func aCookieBindsABrowser() async throws {
        let text = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
        let upstreams = try (0..<2).map { _ in
            try RawUpstream(script: RawUpstream.answering(text, thenClose: true))
        }
        let table = makeTable(upstreams.map { endpoint($0) }) {
            $0.balance = EdgeBalance(policy: .roundRobin, stickyCookie: "node")
        }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let first = try await edge.get("/")
            let cookie = try #require(first.field("set-cookie"))
            #expect(cookie.hasPrefix("node=") && cookie.hasSuffix("; Path=/; HttpOnly; SameSite=Lax"))
            #expect(!cookie.contains("127.0.0.1"))
            let pair = cookie.prefix { $0 != ";" }
            let bound = upstreams[0].requests.isEmpty ? 1 : 0
            _ = try await ask(edge, 9, fields: "Cookie: a=b; \(pair)\r\n")
            #expect(upstreams[bound].requests.count == 10)
            let again = try await edge.get("/", fields: "Cookie: \(pair)\r\n")
            #expect(again.field("set-cookie") == nil)
            upstreams[bound].stop()
            let moved = try await eventually {
                let answer = try await edge.get("/", fields: "Cookie: \(pair)\r\n")
                return answer.status == 200 && answer.field("set-cookie") != nil
            }
            #expect(moved)
            #expect(try await edge.get("/", fields: "Cookie: node=forged\r\n").status == 200)
        }
    }

    /// Answers once it is told to; until then it closes without an answer.
    private func switchable(_ isWell: SharedFlag) throws -> RawUpstream {
        try RawUpstream { connection, upstream in
            while try upstream.read(connection) != nil {
                guard isWell.value else { return }
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        }
    }

    @Test func anEndpointThatFailsIsLeftOutAndTriedAgain() async throws {
        let isWell = SharedFlag(false)
        let bad = try switchable(isWell)
        let good = try RawUpstream()
        let table = makeTable([endpoint(bad), endpoint(good)]) {
            $0.balance = EdgeBalance(policy: .roundRobin, retries: 1)
            $0.health = EdgeHealth(failuresMax: 2, outMs: 2_000)
        }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let statuses = try await ask(edge, 20)
            // Each failure was retried at the other one.
            #expect(statuses == [Int](repeating: 200, count: 20))
            #expect(bad.requests.count == 2)
            #expect(try await edge.control.status().upstreams["web"]?.endpointsOut == ["127.0.0.1:\(bad.port)"])
            let metrics = try await edge.control.metrics()
            #expect(metrics.contains("roost_edge_retries_total{service=\"web\",route=\"*/\"} 2\n"))
            #expect(metrics.contains("roost_edge_endpoints_out{service=\"web\"} 1\n"))
            isWell.value = true
            let isBack = try await eventually(.seconds(15)) {
                try await ask(edge, 2) == [200, 200] && bad.requests.count > 4
            }
            #expect(isBack)
            #expect(try await edge.control.status().upstreams["web"]?.endpointsOut == [])
        }
    }

    @Test func whatMayHaveBeenDoneIsNotDoneTwice() async throws {
        let bad = try switchable(SharedFlag(false))
        let good = try RawUpstream()
        let table = makeTable([endpoint(bad), endpoint(good)]) {
            $0.balance = EdgeBalance(policy: .roundRobin, retries: 3)
        }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            var statuses: [Int] = []
            for _ in 0..<4 {
                statuses.append(
                    try await edge.ask("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx").status)
            }
            #expect(statuses.sorted() == [200, 200, 502, 502])
            #expect(bad.requests.count == 2 && good.requests.count == 2)
        }
    }

    @Test func checksFindOutBeforeAnyRequest() async throws {
        let isWell = SharedFlag(false)
        let checked = try RawUpstream { connection, upstream in
            while let request = try upstream.read(connection) {
                let status = request.line.contains("/healthz") && !isWell.value ? "500 No" : "200 OK"
                try connection.send("HTTP/1.1 \(status)\r\nContent-Length: 0\r\n\r\n")
            }
        }
        let other = try RawUpstream()
        let check = EdgeHealthCheck(path: "/healthz", intervalMs: 100, healthyAfter: 1, unhealthyAfter: 2)
        let table = makeTable([endpoint(checked), endpoint(other)]) { $0.health = EdgeHealth(check: check) }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            func out() async throws -> [String]? { try await edge.control.status().upstreams["web"]?.endpointsOut }
            #expect(try await eventually { try await out() == ["127.0.0.1:\(checked.port)"] })
            _ = try await ask(edge, 10)
            #expect(checked.requests.allSatisfy { $0.line == "GET /healthz HTTP/1.1" })
            isWell.value = true
            #expect(try await eventually { try await out()?.isEmpty ?? true })
            _ = try await ask(edge, 10)
            #expect(checked.requests.contains { $0.line == "GET / HTTP/1.1" })
            // One process asks, not each of its loops.
            let clock = ContinuousClock()
            let (start, before) = (clock.now, checked.requests.count)
            try await Task.sleep(for: .milliseconds(1000))
            let asked = checked.requests.count - before
            #expect(Double(asked) <= (clock.now - start) / .milliseconds(100) + 2)
        }
    }

    @Test func anUpstreamThatFailsTooOftenIsGivenARest() async throws {
        let isWell = SharedFlag(false)
        let upstream = try switchable(isWell)
        let table = makeTable([endpoint(upstream)]) {
            $0.breaker = EdgeBreaker(failures: 3, windowMs: 60_000, openMs: 8_000)
        }
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            for _ in 0..<3 { #expect(try await edge.get("/").status == 502) }
            let refused = try await edge.get("/")
            #expect(refused.status == 503)
            #expect((1...8).contains(refused.field("retry-after").flatMap { Int($0) } ?? 0))
            #expect(refused.text.contains("given a rest"))
            #expect(upstream.requests.count == 3)
            #expect(try await edge.control.status().upstreams["web"]?.isBreakerOpen == true)
            // One request tries; it fails, and the rest begins anew.
            #expect(try await eventually { try await edge.get("/").status == 502 })
            #expect(try await edge.get("/").status == 503)
            #expect(upstream.requests.count == 4)
            isWell.value = true
            #expect(try await eventually { try await edge.get("/").status == 200 })
            #expect(try await edge.get("/").status == 200)
        }
    }
}
