import AgentProtocol
import AppsResources
import Model
import ResourceKit
import Testing

@Suite struct SiteCompilationTests {
    private static let now = Timestamp(millisecondsSinceEpoch: 0)

    private static func record(
        _ kind: String, _ id: String, _ spec: [String: JSONValue], state: [String: JSONValue] = [:],
        status: ResourceStatus = .active
    ) -> ResourceRecord {
        ResourceRecord(
            kind: kind, id: id, parentId: "s", status: status, spec: spec, state: state, createdAt: now, updatedAt: now)
    }

    private static func site(
        _ domain: String, _ more: [String: JSONValue] = [:], state: [String: JSONValue] = [:],
        status: ResourceStatus = .active, users: [ResourceRecord] = []
    ) -> SiteRecords {
        let spec: [String: JSONValue] = ["domain": .string(domain), "upstream": "127.0.0.1:80"]
        let whole = siteKind.fields.withDefaults(spec.merging(more) { $1 })
        return SiteRecords(site: record("site", "id-\(domain)", whole, state: state, status: status), users: users)
    }

    private static func compile(
        _ sites: [SiteRecords], stack: [String: JSONValue] = [:], services: [String] = ["w"]
    ) throws -> DesiredState {
        try StackCompilation.compile(
            stack: record("stack", "s", ["name": "default"].merging(stack) { $1 }, state: ["version": 3]),
            services: services.map { record("service", $0, ["name": .string("name-\($0)")]) }, deployments: [:],
            sites: sites, nodeId: "n", open: { "opened \($0)" })
    }

    private static func one(_ more: [String: JSONValue], users: [ResourceRecord] = []) throws -> DesiredSite {
        try #require(try compile([site("a.example.org", more, users: users)]).sites?.first)
    }

    @Test func `sites are sorted by domain, whatever their order was`() throws {
        let sites = ["b.example.org", "a.example.org", "*.example.org"].map { Self.site($0) }
        let first = try WireCoding.encode(try Self.compile(sites))
        #expect(first.canonicalText == (try WireCoding.encode(try Self.compile(sites.reversed())).canonicalText))
        #expect(try Self.compile(sites).sites?.map(\.domain) == ["*.example.org", "a.example.org", "b.example.org"])
        #expect(try Self.compile([]).sites == nil)
    }

    @Test func `what is leaving or has lost its service is left out`() throws {
        let sites = [
            Self.site("a.example.org", status: .deleting), Self.site("b.example.org", ["upstream": "web"]),
            Self.site("c.example.org", ["upstream": "web"], state: ["service_id": "gone"]),
            Self.site("d.example.org", ["upstream": "web"], state: ["service_id": "w"]),
            Self.site("e.example.org", ["forward_auth": ["service": "x"]], state: ["forward_service_id": "gone"]),
            Self.site("f.example.org", status: .failed),
        ]
        let compiled = try #require(try Self.compile(sites).sites)
        #expect(compiled.map(\.domain) == ["d.example.org", "f.example.org"])
        #expect(compiled[0].target == DesiredSiteTarget(serviceId: "w"))
    }

    @Test func `targets name exactly one thing`() throws {
        #expect(try Self.one(["upstream": "db:5432"]).target == DesiredSiteTarget(container: "db", port: 5432))
        let grpc = try Self.one(["upstream": "[::1]:50051", "upstream_protocol": "h2c"])
        #expect(grpc.target == DesiredSiteTarget(host: "::1", port: 50051, protocol: .h2c))
        #expect(try Self.one(["upstream": "edge:metrics"]).target == DesiredSiteTarget(showsMetrics: true))
    }

    @Test func `what is below a path has a target of its own`() throws {
        let below: [String: JSONValue] = [
            "paths": ["/old": "10.0.0.5:80", "/api": "api"], "strip_paths": ["/api"], "upstream": "web",
        ]
        let state: [String: JSONValue] = ["service_id": "w", "path_services": ["/api": "a"]]
        let site = Self.site("a.example.org", below, state: state)
        let compiled = try #require(try Self.compile([site], services: ["w", "a"]).sites?.first)
        #expect(compiled.target == DesiredSiteTarget(serviceId: "w"))
        #expect(
            compiled.paths == [
                DesiredSitePath(path: "/api", stripPath: true, target: DesiredSiteTarget(serviceId: "a")),
                DesiredSitePath(path: "/old", target: DesiredSiteTarget(host: "10.0.0.5", port: 80)),
            ])
        #expect(try Self.compile([site], services: ["w"]).sites == nil, "one of its services is gone")
        #expect(try Self.one([:]).paths == nil)
    }

    @Test func `the front door for TLS and the authority are there when a site wants them`() throws {
        let stack: [String: JSONValue] = [
            "proxy": ["bind": "::", "port": 8080, "tls_port": 8443],
            "acme": ["directory_url": "https://ca.example/dir", "contacts": ["ops@example.org"], "roots_pem": "PEM"],
        ]
        let plain = try Self.compile([Self.site("a.example.org")], stack: stack)
        #expect(plain.proxy == DesiredProxy(bind: "::", port: 8080) && plain.authority == nil)
        let own = try Self.compile([Self.site("a.example.org", ["tls": "self-signed"])], stack: stack)
        #expect(own.proxy.tlsPort == 8443 && own.authority == nil)
        let ordered = try Self.compile([Self.site("a.example.org", ["tls": "acme"])], stack: stack)
        #expect(
            ordered.authority
                == DesiredAuthority(
                    directoryUrl: "https://ca.example/dir", contacts: ["mailto:ops@example.org"], rootsPem: "PEM"))
        let standard = try Self.compile([Self.site("a.example.org", ["tls": "acme"])])
        #expect(standard.proxy.tlsPort == 443)
        #expect(standard.authority?.directoryUrl == "https://acme-v02.api.letsencrypt.org/directory")
    }

    @Test func `clear text is sent on unless it is all there is`() throws {
        #expect(try !Self.one([:]).tls.redirectsClearText)
        #expect(try Self.one(["tls": "acme"]).tls.redirectsClearText)
        #expect(try !Self.one(["tls": "acme", "https_redirect": false]).tls.redirectsClearText)
        let upload = try Self.one(["tls": "upload", "certificate_pem": "c", "key_pem": "k"])
        #expect(upload.tls.certificatePem == "c" && upload.tls.keyPem == "opened k")
        // What is kept for another day is not sent.
        let off = try Self.one(["certificate_pem": "c", "key_pem": "k"])
        #expect(off.tls.certificatePem == nil && off.tls.keyPem == nil)
    }

    @Test func `safe headers are on by default, and only they`() throws {
        let rules = try #require(try Self.one([:]).headers)
        #expect(rules == EdgeHeaderRules(addsSecurityHeaders: true, hidesServer: true))
        #expect(try Self.one(["security_headers": false, "hide_server": false]).headers == nil)
        let more = try #require(
            try Self.one([
                "tls": "acme", "hsts": ["max_age": "1h", "includes_subdomains": true],
                "request_headers": ["X-B": "2", "X-A": "1"], "response_headers_removed": ["Via"],
            ]).headers)
        #expect(more.hsts == EdgeHSTS(maxAgeSeconds: 3600, includesSubdomains: true))
        #expect(more.requestSet.map(\.name) == ["X-A", "X-B"] && more.responseRemove == ["Via"])
        #expect(try Self.one(["hsts": ["max_age": 60]]).headers?.hsts == nil)
    }

    @Test func `of several networks that hold a client the smallest decides`() throws {
        let access = try #require(
            try Self.one([
                "allow_networks": ["10.0.0.0/8", "10.1.2.3", "2001:db8::/32"],
                "deny_networks": ["10.1.0.0/16", "10.0.0.0/8"],
            ]).access)
        #expect(
            access.networks.map { "\($0.isAllowed ? "+" : "-")\($0.network)" } == [
                "+10.1.2.3", "-10.1.0.0/16", "-10.0.0.0/8", "+10.0.0.0/8", "+2001:db8::/32",
            ])
        #expect(!access.isDenied && access.basic == nil)
    }

    @Test func `who may pass`() throws {
        #expect(try Self.one([:]).access == nil)
        #expect(try Self.one(["passes_credentials": true]).access == nil)
        #expect(try Self.one(["auth": "deny"]).access?.isDenied == true)
        // Without anybody to let in, nobody passes.
        #expect(try Self.one(["auth": "basic"]).access?.isDenied == true)
        let users = ["eve", "ada"].map { name in
            Self.record("site-user", name, ["username": .string(name), "password": .string("hash of \(name)")])
        }
        let basic = try #require(try Self.one(["auth": "basic"], users: users).access)
        #expect(
            basic.basic
                == EdgeBasicAuth(
                    realm: "a.example.org",
                    users: ["ada", "eve"].map { EdgeUser(name: $0, passwordHash: "opened hash of \($0)") }))
        #expect(try Self.one(["auth": "token", "tokens": ["b", "a"]]).access?.tokenHashes == ["a", "b"])
        // Users and tokens of another way in do not count.
        #expect(try Self.one(["auth": "allow", "tokens": ["a"]], users: users).access == nil)
    }

    @Test func `what a request may bring`() throws {
        #expect(try Self.one([:]).limits == nil)
        #expect(try Self.one(["max_body_size": "1.5K"]).limits == EdgeRouteLimits(maxBodyBytes: 1536))
        let both = try Self.one(["max_body_size": 10_737_418_240, "rate_limit": ["concurrent": 5]]).limits
        #expect(both == EdgeRouteLimits(concurrentRequests: 5, maxBodyBytes: 10_737_418_240))
    }

    @Test func `a plan speaks of sites in words`() throws {
        let old = try Self.compile([
            Self.site("a.example.org", ["upstream": "web", "tls": "acme"], state: ["service_id": "w"]),
            Self.site("b.example.org", ["upstream": "web"], state: ["service_id": "w"]),
        ])
        let new = try Self.compile([
            Self.site(
                "b.example.org", ["upstream": "web", "rate_limit": ["concurrent": 5]], state: ["service_id": "w"]),
            Self.site("c.example.org", ["upstream": "[::1]:80", "auth": "deny"]),
        ])
        let steps = DesiredChanges.steps(from: old, to: new)
        #expect(
            steps == [
                "edge: no longer listen for TLS", "site b.example.org: limit requests",
                "site c.example.org: route c.example.org → [::1]:80", "site c.example.org: let pass nobody",
                "site a.example.org: no longer route a.example.org",
                "site a.example.org: remove its certificate and key",
                "site a.example.org: leave a service without a release alone, as b.example.org uses it too",
            ])
        #expect(DesiredChanges.steps(from: new, to: new).isEmpty)
    }
}
