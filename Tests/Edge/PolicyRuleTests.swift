import Edge
import Model
import Testing

/// Each flaw is refused with the path of the field, and the table in force stays.
@Suite(.serialized, .exclusive)
struct PolicyRuleTests {
    struct Flaw: Sendable, CustomTestStringConvertible {
        let field: String
        let change: @Sendable (inout EdgeTable) -> Void
        var testDescription: String { field }
    }

    static let flaws: [Flaw] = [
        Flaw(field: "trusted_proxies/0") { $0.trustedProxies = ["10.0.0.0/33"] },
        Flaw(field: "routes/0/name") { $0.routes[0].name = "a\nb" },
        Flaw(field: "routes/0/access/networks/0/network") { $0.routes[0].access?.networks[0].network = "ten" },
        Flaw(field: "routes/0/access/basic/realm") { $0.routes[0].access?.basic?.realm = "a\"b" },
        Flaw(field: "routes/0/access/basic/users") { $0.routes[0].access?.basic?.users = [] },
        Flaw(field: "routes/0/access/basic/users/0/name") { $0.routes[0].access?.basic?.users[0].name = "a:b" },
        Flaw(field: "routes/0/access/basic/users/0/password_hash") {
            $0.routes[0].access?.basic?.users[0].passwordHash = "$2b$31$" + String(repeating: "a", count: 53)
        },
        Flaw(field: "routes/0/access/token_hashes/0") { $0.routes[0].access?.tokenHashes = ["secret"] },
        Flaw(field: "routes/0/access/forward/upstream_id") { $0.routes[0].access?.forward?.upstreamId = "none" },
        Flaw(field: "routes/0/access/forward/path") { $0.routes[0].access?.forward?.path = "check" },
        Flaw(field: "routes/0/access/forward/timeout_ms") { $0.routes[0].access?.forward?.timeoutMs = 0 },
        Flaw(field: "routes/0/access/forward/copied_headers/0") {
            $0.routes[0].access?.forward?.copiedHeaders = ["Content-Length"]
        },
        Flaw(field: "routes/0/access/forward/copied_headers/0") {
            $0.routes[0].access?.forward?.copiedHeaders = ["X_Forwarded_For"]
        },
        Flaw(field: "routes/0/limits/requests_per_second") { $0.routes[0].limits?.requestsPerSecond = -1 },
        Flaw(field: "routes/0/limits/burst") { $0.routes[0].limits?.burst = 0 },
        Flaw(field: "routes/0/limits/concurrent_requests") { $0.routes[0].limits?.concurrentRequests = 0 },
        Flaw(field: "routes/0/limits/max_body_bytes") { $0.routes[0].limits?.maxBodyBytes = 0 },
        Flaw(field: "routes/0/redirect/status") { $0.routes[0].redirect?.status = 200 },
        Flaw(field: "routes/0/redirect/url") { $0.routes[0].redirect?.url = "ftp://example.com" },
        Flaw(field: "routes/0/redirect/url") { $0.routes[0].redirect?.url = "https://example.com/\r\nX: 1" },
        Flaw(field: "routes/0/headers/request_set/0/name") { $0.routes[0].headers?.requestSet[0].name = "Host" },
        Flaw(field: "routes/0/headers/request_remove/0") {
            $0.routes[0].headers?.requestRemove = ["content_length"]
        },
        Flaw(field: "routes/0/headers/request_set/0/name") {
            $0.routes[0].headers?.requestSet[0].name = "Transfer_Encoding"
        },
        Flaw(field: "routes/0/headers/response_remove/0") {
            $0.routes[0].headers?.responseRemove = ["content_Length"]
        },
        Flaw(field: "routes/0/headers/response_set/0/value") {
            $0.routes[0].headers?.responseSet[0].value = "a\r\nb: c"
        },
        Flaw(field: "routes/0/headers/response_remove/0") { $0.routes[0].headers?.responseRemove = ["a b"] },
        Flaw(field: "upstreams/0/endpoints/0/weight") { $0.upstreams[0].endpoints[0].weight = -1 },
        Flaw(field: "upstreams/0/endpoints/0/group") { $0.upstreams[0].endpoints[0].group = "" },
        Flaw(field: "upstreams/0/balance/sticky_cookie") { $0.upstreams[0].balance?.stickyCookie = "a;b" },
        Flaw(field: "upstreams/0/balance/retries") { $0.upstreams[0].balance?.retries = 6 },
        Flaw(field: "upstreams/0/health/check/interval_ms") { $0.upstreams[0].health?.check?.intervalMs = 1 },
        Flaw(field: "upstreams/0/health/check/path") { $0.upstreams[0].health?.check?.path = "/a b" },
        Flaw(field: "upstreams/0/breaker/failures") { $0.upstreams[0].breaker?.failures = 0 },
        Flaw(field: "upstreams/0/static_options/fallback") {
            $0.upstreams[0].staticOptions?.fallback = "../secret.html"
        },
        Flaw(field: "upstreams/0/wake/hold_ms") { $0.upstreams[0].wake?.holdMs = -1 },
    ]

    @Test func everyFlawIsNamed() async throws {
        try await EdgeFixture.with(PolicyTableTests.full) { edge in
            let before = try await edge.control.status().tableHash
            for flaw in Self.flaws {
                var table = PolicyTableTests.full
                flaw.change(&table)
                let problem = await #expect(throws: Problem.self) { try await edge.control.apply(table) }
                #expect(problem?.code == .invalid)
                #expect(problem?.fields.keys.first == flaw.field)
            }
            #expect(try await edge.control.status().tableHash == before)
        }
    }
}
