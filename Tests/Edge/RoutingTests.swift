import Edge
import Model
import Testing

@Suite(.serialized, .exclusive)
struct RoutingTests {
    private static func table(_ routes: [(hosts: [String], prefix: String, strip: Bool, id: String)], _ port: Int)
        -> EdgeTable
    {
        let ids = Set(routes.map(\.id)).sorted()
        return EdgeTable(
            routes: routes.map {
                EdgeRoute(hosts: $0.hosts, pathPrefix: $0.prefix, stripPrefix: $0.strip, upstreamId: $0.id)
            },
            internalNames: ["api": ids[0]],
            upstreams: ids.map { id in
                EdgeUpstream(id: id, name: id, mode: .down, endpoints: [EdgeEndpoint(host: "127.0.0.1", port: port)])
            })
    }

    /// Every upstream is down, and its page names it: which is how a test sees the route that was taken.
    @Test(arguments: [
        ("a.com", "/", "exact"), ("a.com", "/api", "exact-api"), ("a.com", "/api/", "exact-api"),
        ("a.com", "/api/x?y", "exact-api"), ("a.com", "/apis", "exact"), ("a.com", "/api/v2/x", "exact-v2"),
        ("a.com", "/api/v2", "exact-v2"), ("a.com", "/api/v22", "exact-api"), ("A.Com", "/", "exact"),
        ("a.com:8080", "/", "exact"), ("a.com.", "/", "exact"), ("x.b.com", "/", "wild"), ("y.x.b.com", "/", "wild"),
        ("deep.x.c.com", "/", "wild-long"), ("b.com", "/", "any"), ("unknown.org", "/", "any"), ("", "/", "any"),
        ("unknown.org", "/only", "any-only"), ("a.com", "/only", "exact"), ("only-api.com", "/api", "narrow"),
        ("only-api.com", "/else", "any"), ("a.com", "/%61pi", "exact-api"), ("a.com", "/x/../api", "exact-api"),
        ("a.com", "http", "exact"), ("a.com", "//api", "exact-api"), ("a.com", "/api//v2///x", "exact-v2"),
        ("a.com", "/x/..//api", "exact-api"), ("a.com", "//", "exact"), ("a.com", "/x//api", "exact"),
    ])
    func hostAndLongestPrefix(host: String, path: String, expected: String) async throws {
        let table = Self.table(
            [
                (["a.com"], "/", false, "exact"), (["a.com"], "/api", false, "exact-api"),
                (["a.com"], "/api/v2/", false, "exact-v2"), (["*.b.com", "*.c.com"], "/", false, "wild"),
                (["*.x.c.com"], "/", false, "wild-long"), ([], "/", false, "any"), ([], "/only", false, "any-only"),
                (["only-api.com"], "/api", false, "narrow"),
            ], 1)
        try await EdgeFixture.with(table) { edge in
            let target = path == "http" ? "http://a.com/" : path
            let response = try await edge.get(target, host: host, fields: "Accept: application/json\r\n")
            #expect(response.status == 503)
            #expect(response.text.contains("\"service\":\"\(expected)\""), "\(response.text)")
        }
    }

    @Test(arguments: [
        ("/api", "/"), ("/api/", "/"), ("/api/x", "/x"), ("/api?q", "/?q"), ("/api/x/?q", "/x/?q"), ("/%61pi/x", "/x"),
        ("//api/x//y", "/x/y"), ("/api//x", "//x"),
    ])
    func strippedPrefix(path: String, upstreamPath: String) async throws {
        let upstream = try RawUpstream()
        var table = Self.table([([], "/api", true, "api")], upstream.port)
        table.upstreams[0].mode = .serve
        try await EdgeFixture.with(table) { edge in
            let response = try await edge.get(path)
            #expect(response.text == "GET \(upstreamPath) HTTP/1.1|0")
        }
    }

    @Test func unknownHostGetsAPlainPage() async throws {
        try await EdgeFixture.with(Self.table([(["a.com"], "/", false, "web")], 1)) { edge in
            let response = try await edge.get("/", host: "b.com")
            #expect(response.status == 404)
            #expect(response.field("content-type") == "text/html; charset=utf-8")
            #expect(!response.text.contains("web"))
        }
    }

    @Test func internalProxyRoutesByName() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port, id: "api")) { edge in
            let port = edge.internalPort
            func status(_ host: String) async throws -> Int {
                try await blocking {
                    let client = try RawSocket(port: port)
                    try client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
                    return try client.response()?.status ?? 0
                }
            }
            let known = try await status("api.svc.internal")
            #expect(known == 200)
            #expect(try await status("API.svc.internal:80") == 200)
            for other in ["api", "other.svc.internal", "a.api.svc.internal", "svc.internal", "example.com", ""] {
                #expect(try await status(other) == 404, "\(other)")
            }
        }
    }

    @Test func aLookupCostsTheSameAmongTenThousandRoutes() async throws {
        var routes = (0..<5_000).map { EdgeRoute(hosts: ["h\($0).example.com"], upstreamId: "web") }
        routes += (0..<5_000).map { EdgeRoute(pathPrefix: "/p\($0)", upstreamId: "web") }
        let small = EdgeTable.single(1, mode: .down)
        var large = small
        large.routes += routes
        try await EdgeFixture.with(large) { edge in
            /// The best of several rounds: what else the machine does only adds.
            func time(_ path: String, _ host: String) async throws -> Duration {
                let port = edge.port
                return try await blocking {
                    let client = try RawSocket(port: port)
                    let clock = ContinuousClock()
                    var best = Duration.seconds(3600)
                    for _ in 0..<20 {
                        let start = clock.now
                        for _ in 0..<25 {
                            try client.send("GET \(path) HTTP/1.1\r\nHost: \(host)\r\nAccept: application/json\r\n\r\n")
                            guard try client.response()?.status == 503 else { throw SocketFailure("no route") }
                        }
                        best = min(best, clock.now - start)
                    }
                    return best
                }
            }
            _ = try await time("/", "x.org")
            let among = try await time("/p4999/x", "h4999.example.com")
            try await edge.control.apply(small)
            let alone = try await time("/p4999/x", "h4999.example.com")
            #expect(among < alone * 5, "\(among) among 10,000 routes, \(alone) alone")
        }
    }
}
