import Model
import Testing

@testable import Edge

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

    /// Each of the same ten routes is found as fast among ten thousand.
    @Test func aLookupCostsTheSameAmongTenThousandRoutes() throws {
        func table(_ count: Int) throws -> RoutingTable {
            var table = EdgeTable.single(1, mode: .down)
            table.routes += (0..<count / 2).map { EdgeRoute(hosts: ["h\($0).example.com"], upstreamId: "web") }
            table.routes += (0..<count / 2).map { EdgeRoute(pathPrefix: "/p\($0)", upstreamId: "web") }
            return try RoutingTable(table, registry: StateRegistry())
        }
        let asked = (0..<5).flatMap { [("h\($0).example.com", "/a/b"), ("other.org", "/p\($0)/x")] }
        /// The best of several rounds: what else the machine does only adds.
        func time(_ routes: RouteIndex) -> Duration {
            let clock = ContinuousClock()
            return (0..<40).map { _ in
                clock.measure {
                    for (host, path) in asked {
                        for _ in 0..<200 { precondition(find(routes, host, path)) }
                    }
                }
            }.min()!
        }
        func find(_ routes: RouteIndex, _ host: String, _ path: String) -> Bool {
            Array(host.utf8).withUnsafeBufferPointer { host in
                Array(path.utf8).withUnsafeBufferPointer { path in
                    routes.find(
                        host: host.baseAddress!, hostCount: host.count, path: path.baseAddress!, pathCount: path.count
                    )
                    .map { $0.route > 0 } ?? false
                }
            }
        }
        let (few, many) = (try table(10).publicRoutes, try table(10_000).publicRoutes)
        #expect(asked.allSatisfy { find(few, $0, $1) && find(many, $0, $1) })
        let (alone, among) = (time(few), time(many))
        #expect(among < alone * 2, "\(among) among 10,000 routes, \(alone) among 10")
    }
}
