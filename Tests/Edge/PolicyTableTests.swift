import AgentProtocol
import Edge
import Model
import Testing

/// The policies of a table: what is kept, what is refused.
@Suite struct PolicyTableTests {
    private static let bcrypt = "$2b$04$abcdefghijklmnopqrstuuA7wUDEkZbFdyTbmUFmb4JZmX4yv1Pz6"

    static var full: EdgeTable {
        let access = EdgeAccess(
            networks: [EdgeNetworkRule(network: "10.0.0.0/8", isAllowed: true)],
            basic: EdgeBasicAuth(users: [EdgeUser(name: "ann", passwordHash: bcrypt)]),
            tokenHashes: [String(repeating: "0a", count: 32)],
            forward: EdgeForwardAuth(upstreamId: "web", path: "/check", copiedHeaders: ["X-User"]))
        let headers = EdgeHeaderRules(
            requestSet: [EdgeHeader(name: "X-Stage", value: "live")], requestRemove: ["X-Debug"],
            responseSet: [EdgeHeader(name: "X-Robots-Tag", value: "none")], responseRemove: ["X-Internal"],
            addsSecurityHeaders: true, hidesServer: true, hsts: EdgeHSTS(includesSubdomains: true))
        let route = EdgeRoute(
            hosts: ["example.com"], upstreamId: "web", name: "front", access: access,
            limits: EdgeRouteLimits(
                requestsPerSecond: 2.5, burst: 5, concurrentPerClient: 3, concurrentRequests: 9, maxBodyBytes: 1 << 40),
            redirect: EdgeRedirect(host: .apex, https: true, status: 301), headers: headers, logsQuery: true)
        let upstream = EdgeUpstream(
            id: "web", name: "web", mode: .wake,
            endpoints: [
                EdgeEndpoint(host: "127.0.0.1", port: 8001, weight: 9),
                EdgeEndpoint(host: "127.0.0.1", port: 8002, weight: 1, group: "canary"),
            ],
            balance: EdgeBalance(policy: .roundRobin, stickyCookie: "node", retries: 2),
            health: EdgeHealth(check: EdgeHealthCheck(path: "/healthz")), breaker: EdgeBreaker(),
            staticOptions: EdgeStaticOptions(fallback: "index.html", notFoundPage: "404.html"), wake: EdgeWake())
        return EdgeTable(routes: [route], upstreams: [upstream], trustedProxies: ["192.0.2.1", "2001:db8::/32"])
    }

    @Test func everyFieldSurvivesTheWire() throws {
        let json = try WireCoding.encode(Self.full)
        #expect(try WireCoding.decode(EdgeTable.self, from: json) == Self.full)
    }

    @Test func aTableWithoutPoliciesIsWrittenAsBefore() throws {
        let table = EdgeTable(
            routes: [EdgeRoute(upstreamId: "web")],
            upstreams: [EdgeUpstream(id: "web", name: "web", endpoints: [EdgeEndpoint(host: "127.0.0.1", port: 1)])])
        let text = try WireCoding.encode(table).canonicalText
        let plain = """
            {"internal_names":{},"internal_suffix":"svc.internal","routes":[{"hosts":[],"path_prefix":"/",\
            "strip_prefix":false,"upstream_id":"web"}],"upstreams":[{"endpoints":[{"host":"127.0.0.1","port":1}],\
            "id":"web","mode":"serve","name":"web"}]}
            """
        #expect(text == plain)
    }

    @Test func policiesMayBeWrittenWithTheirDefaultsLeftOut() throws {
        let json = try JSONParser.parse(
            Array(
                """
                {"routes":[{"hosts":[],"path_prefix":"/","strip_prefix":false,"upstream_id":"web","access":{},
                "limits":{},"redirect":{},"headers":{"hsts":{}}}],"internal_names":{},"internal_suffix":"svc.internal",
                "upstreams":[{"id":"web","name":"web","mode":"serve","endpoints":[],"balance":{},
                "health":{"check":{}},"breaker":{},"static_options":{},"wake":{}}]}
                """.utf8))
        let table = try WireCoding.decode(EdgeTable.self, from: json)
        #expect(table.routes[0].access == EdgeAccess())
        #expect(table.routes[0].redirect == EdgeRedirect())
        #expect(table.routes[0].headers == EdgeHeaderRules(hsts: EdgeHSTS()))
        #expect(table.upstreams[0].health == EdgeHealth(check: EdgeHealthCheck()))
        #expect(table.upstreams[0].wake == EdgeWake())
    }

    @Test func aStatusOfAnOlderEdgeIsRead() throws {
        let json = try JSONParser.parse(Array(#"{"table_hash":"x","requests_held":{"web":2}}"#.utf8))
        let status = try WireCoding.decode(EdgeStatus.self, from: json)
        #expect(status == EdgeStatus(tableHash: "x", requestsHeld: ["web": 2]))
    }
}
