import AgentProtocol
import Certificates
import Model
import Testing

@testable import Node

/// What becomes of a site in the edge's table.
@Suite struct SiteRoutingTests {
    static func site(_ change: (inout DesiredSite) -> Void = { _ in }) -> DesiredSite {
        var site = DesiredSite(
            id: "1", domain: "shop.example", target: DesiredSiteTarget(host: "10.0.0.5", port: 8080),
            tls: DesiredSiteTLS(mode: .acme, redirectsClearText: true))
        change(&site)
        return site
    }

    static func document(_ sites: [DesiredSite], _ services: [DesiredService] = []) -> DesiredState {
        DesiredState(
            nodeId: "n", stackId: "s", stackName: "default", generation: 1, pollIntervalMs: 1000,
            proxy: DesiredProxy(bind: "0.0.0.0", port: 80, tlsPort: 443), dns: DesiredDNS(suffix: "svc.internal"),
            securityMode: "open", peers: [], services: services, sites: sites)
    }

    private func parts(
        _ site: DesiredSite, _ place: ContainerPlace? = nil, tlsAddress: String? = "0.0.0.0:443"
    ) -> SitePart {
        SiteRouting.parts(
            Self.document([site]), certificates: [],
            places: place.map { [SiteRouting.upstreamId(site): $0] } ?? [:], downSince: [:], tlsAddress: tlsAddress
        ).sites[0]
    }

    @Test func `a site is one route to its target, sent on to TLS`() {
        let part = parts(Self.site())
        #expect(part.routes.map(\.hosts) == [["shop.example"]])
        #expect(part.routes[0].redirect == EdgeRedirect(https: true))
        #expect(part.upstreams.first?.endpoints == [EdgeEndpoint(host: "10.0.0.5", port: 8080)])
        #expect(part.upstreams.first?.mode == .serve)
        #expect(parts(Self.site { $0.tls.mode = .off }).routes[0].redirect == nil)
        #expect(parts(Self.site { $0.tls.redirectsClearText = false }).routes[0].redirect == nil)
        #expect(parts(Self.site(), tlsAddress: "127.0.0.1:8443").routes[0].redirect?.httpsPort == 8443)
    }

    @Test func `access, limits, headers and log go to the route that serves`() {
        let access = EdgeAccess(isDenied: true)
        let part = parts(
            Self.site {
                $0.access = access
                $0.limits = EdgeRouteLimits(requestsPerSecond: 5)
                $0.headers = EdgeHeaderRules(hsts: EdgeHSTS())
                $0.logsQuery = true
                $0.aliases = ["store.example"]
            })
        #expect(part.routes[0].hosts == ["shop.example", "store.example"])
        #expect(part.routes[0].access == access && part.routes[0].limits?.requestsPerSecond == 5)
        #expect(part.routes[0].headers?.hsts != nil && part.routes[0].logsQuery == true)
    }

    private static let forms: [(String, EdgeRedirect.Host, served: String, sentOn: String)] = [
        ("shop.example", .apex, "shop.example", "www.shop.example"),
        ("www.shop.example", .apex, "shop.example", "www.shop.example"),
        ("shop.example", .www, "www.shop.example", "shop.example"),
        ("www.shop.example", .www, "www.shop.example", "shop.example"),
    ]

    @Test(arguments: forms.indices) func `the other form of the domain is sent on, by a name of the certificate`(
        _ index: Int
    ) {
        let form = Self.forms[index]
        let site = Self.site {
            $0.domain = form.0
            $0.wwwRedirect = form.1
            $0.aliases = [form.sentOn, "alias.example"]
        }
        let routes = parts(site).routes
        #expect(routes.map(\.hosts) == [[form.served, "alias.example"], [form.sentOn]])
        #expect(routes[1].redirect == EdgeRedirect(host: form.1, https: true))
        #expect(routes[1].access == nil)
        #expect(routes.allSatisfy { $0.siteId == site.id }, "each line of the access log tells the site")
        #expect(Set(SiteRouting.wanted(site)?.names ?? []) == [form.served, form.sentOn, "alias.example"])
    }

    @Test func `where the certificate comes from`() {
        #expect(SiteRouting.wanted(Self.site())?.source == .acme)
        #expect(SiteRouting.wanted(Self.site { $0.tls.mode = .selfSigned })?.source == .selfSigned)
        #expect(SiteRouting.wanted(Self.site { $0.tls.mode = .off }) == nil)
        let uploaded = Self.site {
            $0.tls = DesiredSiteTLS(mode: .upload, redirectsClearText: false, certificatePem: "c", keyPem: "k")
        }
        #expect(SiteRouting.wanted(uploaded)?.source == .upload(certificatePEM: "c", keyPEM: "k"))
    }

    @Test func `a service's upstream is its own; a container's goes down with it`() {
        let service = parts(Self.site { $0.target = DesiredSiteTarget(serviceId: "s1") })
        #expect(service.upstreams.isEmpty && service.routes[0].upstreamId == "s1")
        let container = Self.site { $0.target = DesiredSiteTarget(container: "web", port: 80) }
        #expect(parts(container, .absent("There is none.")).upstreams.first?.mode == .down)
        let there = parts(container, .at(host: "172.17.0.2", port: 80)).upstreams.first
        #expect(there?.mode == .serve && there?.endpoints == [EdgeEndpoint(host: "172.17.0.2", port: 80)])
    }

    @Test func `what is below a path has the rules of its site, and an upstream of its own`() {
        let part = parts(
            Self.site {
                $0.access = EdgeAccess(isDenied: true)
                $0.wwwRedirect = .apex
                $0.paths = [
                    DesiredSitePath(path: "/api", stripPath: true, target: DesiredSiteTarget(serviceId: "s1")),
                    DesiredSitePath(path: "/old", target: DesiredSiteTarget(host: "10.0.0.6", port: 80)),
                    DesiredSitePath(path: "/metrics", target: DesiredSiteTarget(showsMetrics: true)),
                ]
            })
        #expect(part.routes.map(\.pathPrefix) == ["/", "/api", "/old", "/metrics", "/"])
        #expect(part.routes.map(\.stripPrefix) == [false, true, false, false, false])
        #expect(part.routes.map(\.upstreamId) == ["site:1", "s1", "site:1/old", "site:1/metrics", "site:1"])
        #expect(part.routes[..<4].allSatisfy { $0.access?.isDenied == true && $0.redirect?.https == true })
        #expect(part.routes.allSatisfy { $0.siteId == "1" })
        #expect(part.upstreams.map(\.id) == ["site:1", "site:1/old", "site:1/metrics"])
        #expect(part.upstreams[1].endpoints == [EdgeEndpoint(host: "10.0.0.6", port: 80)])
        #expect(part.upstreams[2].mode == .metrics)
    }

    // MARK: canary

    private static func contribution(_ id: String, _ ports: [Int], canaryOf: String? = nil, percent: Int = 0)
        -> EdgeContribution
    {
        EdgeContribution(
            name: id,
            upstream: EdgeUpstream(
                id: id, name: id, endpoints: ports.map { EdgeEndpoint(host: "127.0.0.1", port: $0) }),
            routes: [], canaryOf: canaryOf, canaryPercent: percent)
    }

    @Test(arguments: [1, 5, 20, 50, 99, 100], [[1, 1], [3, 1], [1, 3], [32, 7]])
    func `a canary's endpoints get its percentage, however many there are`(_ percent: Int, _ counts: [Int]) {
        let base = Self.contribution("base", (0..<counts[0]).map { 1000 + $0 })
        let canary = Self.contribution("next", (0..<counts[1]).map { 2000 + $0 }, canaryOf: "base", percent: percent)
        let endpoints = Canary.joined(base.upstream, by: [canary]).endpoints
        let sum = { (group: String?) in endpoints.filter { $0.group == group }.map { $0.weight ?? 1 }.reduce(0, +) }
        #expect(endpoints.count == counts[0] + counts[1])
        #expect(sum("canary") * 100 == percent * (sum("canary") + sum(nil)))
    }

    @Test func `only a canary that serves, beside a service that serves, gets requests`() {
        let base = Self.contribution("base", [1000])
        var down = Self.contribution("next", [], canaryOf: "base", percent: 20)
        #expect(Canary.joined(base.upstream, by: [down]) == base.upstream)
        down.upstream.endpoints = [EdgeEndpoint(host: "127.0.0.1", port: 2000)]
        down.upstream.mode = .down
        #expect(Canary.joined(base.upstream, by: [down]) == base.upstream)
        down.upstream.mode = .serve
        var held = base.upstream
        held.mode = .hold
        #expect(Canary.joined(held, by: [down]) == held)
        #expect(Canary.joined(base.upstream, by: [down]) != base.upstream)
    }
}
