import Edge
import Model
import Testing

/// What the edge tells of what it did.
@Suite(.serialized, .exclusive)
struct MetricsTests {
    @Test func requestsAreCountedByRouteAndClass() async throws {
        let upstream = try RawUpstream()
        var table = EdgeTable.single(upstream.port)
        table.routes[0].name = "front \"door\""
        table.routes.append(EdgeRoute(hosts: ["b.example"], pathPrefix: "/api", upstreamId: "web"))
        table.upstreams.append(EdgeUpstream(id: "gone", name: "gone", mode: .down))
        table.routes.append(EdgeRoute(pathPrefix: "/gone", upstreamId: "gone"))
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            for _ in 0..<5 { _ = try await edge.get("/") }
            _ = try await edge.ask(
                "POST /api HTTP/1.1\r\nHost: b.example\r\nContent-Length: 1000\r\n\r\n"
                    + String(repeating: "x", count: 1000))
            _ = try await edge.get("/gone")
            _ = try await edge.ask("NONSENSE\r\n\r\n")
            let text = try await edge.control.metrics()
            let front = #"service="web",route="front \"door\"""#
            let api = #"service="web",route="b.example/api""#
            #expect(text.contains("roost_edge_requests_total{\(front),class=\"2xx\"} 5\n"))
            #expect(text.contains("roost_edge_requests_total{\(api),class=\"2xx\"} 1\n"))
            #expect(text.contains("roost_edge_requests_total{service=\"gone\",route=\"*/gone\",class=\"5xx\"} 1\n"))
            #expect(text.contains("roost_edge_requests_total{service=\"\",route=\"\",class=\"4xx\"} 1\n"))
            #expect(text.contains("roost_edge_request_duration_seconds_bucket{\(front),le=\"+Inf\"} 5\n"))
            #expect(text.contains("roost_edge_request_duration_seconds_count{\(front)} 5\n"))
            #expect(text.contains("roost_edge_requests_in_flight{\(front)} 0\n"))
            let lines = text.split(separator: "\n").map(String.init)
            let bytesIn = lines.first { $0.hasPrefix("roost_edge_request_bytes_total{\(api)}") }
            #expect((bytesIn?.split(separator: " ").last.flatMap { Int($0) } ?? 0) > 1000)
            // Every line is a comment or a name, labels and a number.
            for line in lines where !line.hasPrefix("#") {
                #expect(line.split(separator: " ").last.flatMap { Double($0) } != nil, "\(line)")
            }
            let status = try await edge.control.status()
            let web = try #require(status.upstreams["web"])
            #expect(web.inFlight == 0 && web.requestsPerSecond > 0 && web.lastRequestAt != nil)
            let (p50, p95, p99) = (web.p50Milliseconds ?? -1, web.p95Milliseconds ?? -1, web.p99Milliseconds ?? -1)
            #expect(0 < p50 && p50 <= p95 && p95 <= p99)
            #expect((status.upstreams["gone"]?.errorsPerSecond ?? 0) > 0)
        }
    }

    @Test func aRouteShowsThem() async throws {
        let upstream = try RawUpstream()
        var table = EdgeTable.single(upstream.port)
        table.routes[0].siteId = "shop"
        table.upstreams.append(EdgeUpstream(id: "counts", name: "counts", mode: .metrics))
        table.routes.append(EdgeRoute(hosts: ["metrics.example"], upstreamId: "counts"))
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            for _ in 0..<3 { _ = try await edge.get("/") }
            func ask(_ method: String, _ more: String = "") -> String {
                "\(method) /metrics HTTP/1.1\r\nHost: metrics.example\r\n\(more)\r\n"
            }
            let first = try await edge.ask(ask("GET"))
            #expect(first.status == 200 && first.field("content-type")?.hasPrefix("text/plain; version=0.0.4") == true)
            #expect(first.text.contains("roost_edge_requests_total{service=\"web\",route=\"*/\",class=\"2xx\"} 3\n"))
            let head = try await edge.ask(ask("HEAD"), toHead: true)
            #expect(head.status == 200 && (head.field("content-length").flatMap { Int($0) } ?? 0) > 1000)
            #expect(try await edge.ask(ask("POST", "Content-Length: 0\r\n")).status == 405)
            let pipelined = try edge.connect()
            try pipelined.send(ask("GET") + ask("GET"))
            for _ in 0..<2 { #expect(try await blocking { try pipelined.response() }?.status == 200) }
            let answers = try await withThrowingTaskGroup(of: Int?.self) { group in
                for _ in 0..<20 { group.addTask { try await edge.ask(ask("GET", "Connection: close\r\n")).status } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(answers == [Int?](repeating: 200, count: 20))
            #expect(try await edge.control.status().upstreams["shop"]?.requestsPerSecond ?? 0 > 0, "rates of the site")
        }
    }

    @Test func countsSurviveATable() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { (edge: EdgeFixture) async throws in
            let waiting = try edge.connect()
            try waiting.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n")
            #expect(try await eventually { try await edge.control.status().upstreams["web"]?.inFlight == 1 })
            var table = EdgeTable.single(upstream.port)
            table.routes.insert(EdgeRoute(pathPrefix: "/first", upstreamId: "web"), at: 0)
            try await edge.control.apply(table)
            try waiting.send("hello")
            #expect(try await blocking { try waiting.response()?.status } == 200)
            let text = try await edge.control.metrics()
            #expect(text.contains("roost_edge_requests_total{service=\"web\",route=\"*/\",class=\"2xx\"} 1\n"))
        }
    }

    @Test func theLogTellsTheWholeWay() async throws {
        let upstream = try RawUpstream()
        var table = EdgeTable.single(upstream.port)
        table.routes[0].name = "front"
        var open = EdgeRoute(pathPrefix: "/open", upstreamId: "web")
        open.logsQuery = true
        table.routes.append(open)
        try await EdgeFixture.with(table) { (edge: EdgeFixture) async throws in
            let body = "Content-Length: 3\r\nAuthorization: Bearer hidden\r\n\r\nabc"
            _ = try await edge.ask("POST /a?password=hidden HTTP/1.1\r\nHost: a\r\n\(body)")
            _ = try await edge.get("/open?q=1")
            let path = edge.listeners.logFolder + "/access.log"
            var lines: [Substring] = []
            let isThere = try await eventually {
                lines = readFile(path).split(separator: "\n")
                return lines.count == 2
            }
            #expect(isThere)
            #expect(!lines.joined().contains("hidden"))
            // Each event loop hands its lines over by itself.
            let line = try JSONParser.parse(Array(try #require(lines.first { $0.contains("POST") }).utf8))
            #expect(line["route"]?.stringValue == "front" && line["service"]?.stringValue == "web")
            #expect(line["client"]?.stringValue == "127.0.0.1")
            #expect((line["bytes_in"]?.intValue ?? 0) > 60)
            #expect(line["first_byte_ms"] != nil && line["connect_ms"] != nil && line["duration_ms"] != nil)
            let other = try #require(lines.first { $0.contains("/open") })
            #expect(try JSONParser.parse(Array(other.utf8))["query"]?.stringValue == "q=1")
        }
    }
}
