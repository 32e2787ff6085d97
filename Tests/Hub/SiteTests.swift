import AgentProtocol
import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// Sites over the hub: what is refused, whose a name is, and how a site stands.
@Suite struct SiteTests {
    @Test func `a new site is part of the document of every server of its stack`() async throws {
        let world = try await SiteFixture()
        let web = try await world.service("web")
        let node = try await world.node("web-1")
        #expect(try await world.document(node).sites == nil)
        let before = try await world.document(node).generation
        let id = try await world.site("Shop.example.org.", ["upstream": "web", "tls": "acme"])
        let document = try await world.document(node)
        #expect(document.generation > before)
        let site = try #require(document.sites?.first)
        #expect(site.id == id && site.domain == "shop.example.org" && site.target == DesiredSiteTarget(serviceId: web))
        #expect(site.tls == DesiredSiteTLS(mode: .acme, redirectsClearText: true))
        #expect(document.proxy.tlsPort == 443)
        #expect(document.authority?.directoryUrl == "https://acme-v02.api.letsencrypt.org/directory")
        // Echoed as given.
        let shown = try await world.read("site", id)
        #expect(shown["domain"] == "Shop.example.org." && shown["service_id"] == .string(web))
        #expect(shown["stack_id"] == .string(world.stack))
    }

    @Test(
        arguments: [
            (["domain": "a b"], "domain"), (["domain": "-a.example.org"], "domain"), (["domain": "a.*.org"], "domain"),
            (["upstream": "nowhere"], "upstream"), (["upstream": "10.0.0.1"], "upstream"),
            (["upstream": "http://a.example:80"], "upstream"), (["upstream": "a.example:0"], "upstream"),
            (["upstream": "::1:80"], "upstream"), (["upstream": "[::1]"], "upstream"), (["upstream": ""], "upstream"),
            (["tls": "yes"], "tls"), (["tls": "upload"], "certificate_pem"),
            (["tls": "upload", "certificate_pem": "x", "key_pem": "y"], "certificate_pem"),
            (["tls": "acme", "domain": "localhost"], "tls"), (["paths": ["/api": "nobody"]], "paths./api"),
            (["paths": ["/": "127.0.0.1:80"]], "paths./"), (["paths": ["/a/": "127.0.0.1:80"]], "paths./a/"),
            (["paths": ["api": "127.0.0.1:80"]], "paths.api"), (["paths": ["/a": "http://b"]], "paths./a"),
            (["strip_paths": ["/a"]], "strip_paths[0]"),
            (["auth": "token"], "tokens"), (["auth": "token", "tokens": ["short"]], "tokens[0]"),
            (["allow_networks": ["10.0.0.0/33"]], "allow_networks[0]"),
            (["deny_networks": ["host"]], "deny_networks[0]"),
            (["rate_limit": ["burst": 5]], "rate_limit.burst"), (["max_body_size": 0], "max_body_size"),
            (["rate_limit": ["requests_per_second": 0]], "rate_limit.requests_per_second"),
            (["forward_auth": ["service": "nobody"]], "forward_auth.service"),
            (["forward_auth": ["copied_headers": ["X-User"]]], "forward_auth.service"),
            (["hsts": ["max_age": 60]], "hsts.max_age"),
            (["tls": "acme", "hsts": ["max_age": 60, "preload": true]], "hsts.preload"),
            (["request_headers": ["Host": "x"]], "request_headers.Host"),
            (["request_headers": ["Transfer_Encoding": "x"]], "request_headers.Transfer_Encoding"),
            (["request_headers_removed": ["content_length"]], "request_headers_removed[0]"),
            (["response_headers_removed": ["Content_Length"]], "response_headers_removed[0]"),
            (
                ["forward_auth": ["service": "web", "copied_headers": ["x_forwarded_for"]]],
                "forward_auth.copied_headers[0]"
            ),
            (["response_headers": ["X-A": "a\r\nb: c"]], "response_headers.X-A"),
            (["response_headers": ["X-A": "1"], "response_headers_removed": ["x-a"]], "response_headers_removed"),
            (["aliases": ["shop.example.org"]], "aliases"),
            (
                [
                    "tls": "self-signed", "www_redirect": "bare",
                    "aliases": .array((1...99).map { .string("a\($0).example.net") }),
                ], "aliases"
            ),
            (["www_redirect": "www", "domain": "*.a.org"], "www_redirect"),
            (["www_redirect": "www", "aliases": ["www.shop.example.org"]], "aliases"), (["colour": "red"], "colour"),
        ] as [([String: JSONValue], String)])
    func `what cannot be served is refused by field`(body: [String: JSONValue], field: String) async throws {
        let world = try await SiteFixture()
        var whole: [String: JSONValue] = ["domain": "shop.example.org", "upstream": "127.0.0.1:8080"]
        whole.merge(body) { $1 }
        let refused = try await problem { _ = try await world.site("shop.example.org", whole) }
        #expect(refused.code == .invalid, "\(refused)")
        #expect(refused.fields[field] != nil, "\(refused.fields)")
        #expect(try await world.hub.list(world.fixture.kind("site"), as: .local).items.isEmpty)
    }

    @Test func `a service says itself what it speaks, and stays while a path leads to it`() async throws {
        let world = try await SiteFixture()
        let web = try await world.service("web")
        let refused = try await problem {
            _ = try await world.site("a.example.org", ["upstream": "web", "upstream_protocol": "h2c"])
        }
        #expect(refused.fields["upstream_protocol"] != nil, "\(refused)")
        let more: [String: JSONValue] = [
            "upstream": "10.0.0.5:80", "upstream_protocol": "h2c", "paths": ["/api": "web"],
        ]
        let site = try await world.site("a.example.org", more)
        let inUse = try await problem { _ = try await world.delete("service", web) }
        #expect(inUse.code == .conflict && inUse.message.contains("a.example.org"), "\(inUse)")
        try await world.update("site", site, ["paths": [:]])
        _ = try await world.delete("service", web)
    }

    @Test func `a word that is neither says which services there are`() async throws {
        let world = try await SiteFixture()
        _ = try await world.service("api")
        let refused = try await problem { _ = try await world.site("a.example.org", ["upstream": "wbe"]) }
        #expect(refused.message.contains("\"wbe\"") && refused.message.contains("api"), "\(refused)")
        let port = try await problem { _ = try await world.site("a.example.org", ["upstream": "api:80"]) }
        #expect(port.message.contains("container:api:80"), "\(port)")
        _ = try await world.site("a.example.org", ["upstream": "container:api:80"])
    }

    @Test func `a name belongs to one site or to services, and is free again at once`() async throws {
        let world = try await SiteFixture()
        let web = try await world.service("web", ["hostnames": ["old.example.org"]])
        let shop = try await world.site("example.org", ["www_redirect": "bare", "aliases": ["example.net"]])
        for taken in ["example.org", "WWW.example.org.", "example.net", "old.example.org"] {
            let refused = try await problem { _ = try await world.site(taken) }
            #expect(refused.code == .conflict, "\(taken): \(refused)")
            guard taken != "old.example.org" else { continue }
            let hosts: JSONValue = ["hostnames": [.string(taken)]]
            let service = try await problem { try await world.update("service", web, hosts) }
            #expect(service.code == .conflict, "\(taken): \(service)")
        }
        #expect(
            try await problem { _ = try await world.service("api", ["hostnames": ["example.net"]]) }.code == .conflict)
        // Exact names and wildcards do not meet.
        _ = try await world.site("*.example.org")
        _ = try await world.node("web-1")
        try await world.update("site", shop, ["aliases": []])
        _ = try await world.site("example.net")
        try await world.delete("site", shop)
        #expect(try await world.read("site", shop)["status"] == "deleting")
        _ = try await world.site("www.example.org")
        try await world.update("service", web, ["hostnames": ["example.org"]])
    }

    @Test func `the status follows the reports of all servers`() async throws {
        let world = try await SiteFixture()
        let id = try await world.site("shop.example.org", ["tls": "acme"])
        #expect(try await world.read("site", id)["status"] == "pending")
        try await world.hub.settle(stackId: world.stack)
        #expect(try await world.read("site", id)["status_message"]?.stringValue?.contains("server add") == true)
        let (first, second) = (try await world.node("web-1"), try await world.node("web-2"))
        func report(_ state: String, _ message: String? = nil, ends: Int64? = nil) -> SiteReport {
            SiteReport(
                siteId: id, state: state, message: message,
                certificateNotAfter: ends.map { ManualClock.start.advanced(by: .seconds($0)) })
        }
        func stands() async throws -> (String?, String?) {
            let site = try await world.read("site", id)
            return (site["status"]?.stringValue, site["status_message"]?.stringValue)
        }
        try await world.beat(first, 1, [report("active", ends: 900)])
        var now = try await stands()
        #expect(now.0 == "provisioning" && now.1?.contains("web-2") == true, "\(now)")
        try await world.beat(second, 1, [report("provisioning", "The certificate is being requested.")])
        now = try await stands()
        #expect(now.0 == "provisioning" && now.1 == "On server web-2: The certificate is being requested.", "\(now)")
        try await world.beat(second, 2, [report("failed", "No address points here.")])
        now = try await stands()
        #expect(now.0 == "failed" && now.1 == "On server web-2: No address points here.", "\(now)")
        try await world.beat(second, 3, [report("active", ends: 300)])
        now = try await stands()
        #expect(now.0 == "active" && now.1 == nil, "\(now)")
        let site = try await world.read("site", id)
        #expect(site["certificate_not_after"] == .string(ManualClock.start.advanced(by: .seconds(300)).rfc3339))
        #expect(site["nodes"]?["web-1"]?["state"] == "active")
        // A change is not in force before each server has taken it, whatever they say of the version before.
        let old = try await world.document(first).generation
        try await world.update("site", id, ["logs_query": true])
        try await world.beat(first, 2, generation: old, [report("active")])
        #expect(try await stands().0 == "provisioning")
        try await world.beat(first, 3, [report("active")])
        try await world.beat(second, 4, [report("active")])
        #expect(try await stands().0 == "active")
        // An agent that knows no sites says nothing of them.
        try await world.beat(first, 4, nil)
        now = try await stands()
        #expect(now.0 == "provisioning" && now.1?.contains("upgrade") == true, "\(now)")
    }

    @Test func `a site is gone when no server that is heard of has it`() async throws {
        let world = try await SiteFixture()
        let id = try await world.site("shop.example.org")
        let (first, second) = (try await world.node("web-1"), try await world.node("web-2"))
        let report = SiteReport(siteId: id, state: "active")
        try await world.beat(first, 1, [report])
        try await world.beat(second, 1, [report])
        try await world.delete("site", id)
        #expect(try await world.document(first).sites == nil)
        try await world.beat(first, 2, [])
        let leaving = try await world.read("site", id)
        #expect(leaving["status"] == "deleting" && leaving["status_message"] == "Waiting for web-2.")
        // It took the new version, but has not let go yet.
        try await world.beat(second, 2, [report])
        #expect(try await world.read("site", id)["status"] == "deleting")
        try await world.delete("site", id)
        try await world.beat(second, 3, [])
        #expect(try await problem { _ = try await world.read("site", id) }.code == .notFound)
    }

    @Test func `without a server a site goes at once, with its users`() async throws {
        let world = try await SiteFixture()
        let id = try await world.site("shop.example.org", ["auth": "basic"])
        let user = try await world.fixture.make(
            "site-user", below: id, ["username": "ada", "password": "correct horse"])
        let answer = try await world.delete("site", id)
        #expect(answer["status"] == "deleted")
        for (kind, id) in [("site", id), ("site-user", user)] {
            #expect(try await problem { _ = try await world.read(kind, id) }.code == .notFound)
        }
    }

    @Test func `a service that a site needs cannot go, but with its stack`() async throws {
        let world = try await SiteFixture()
        let web = try await world.service("web")
        let login = try await world.service("login")
        let shop = try await world.site("shop.example.org", ["upstream": "web"])
        let blog = try await world.site(
            "blog.example.org", ["upstream": .string(web), "forward_auth": ["service": "login"]])
        for service in [web, login] {
            let refused = try await problem { try await world.delete("service", service) }
            #expect(refused.code == .conflict && refused.message.contains("example.org"), "\(refused)")
        }
        let answer = try await world.delete("site", blog)
        #expect(answer["status_message"] == "The service web stays, as shop.example.org uses it too.")
        try await world.delete("service", login)
        try await world.update("site", shop, ["upstream": "127.0.0.1:8080"])
        try await world.delete("service", web)
        _ = try await world.service("web")
        try await world.update("site", shop, ["upstream": "web"])
        try await world.delete("stack", world.stack)
        #expect(try await world.hub.list(world.fixture.kind("site"), as: .local).items.isEmpty)
    }

    @Test func `a site whose service is gone says so, and comes back with retry`() async throws {
        let world = try await SiteFixture()
        let web = try await world.service("web", ["hostnames": ["*.pr.example.org"]])
        let preview = try await world.fixture.make("preview", below: web, ["branch": "next"])
        let name = try #require(try await world.read("preview", preview)["name"]?.stringValue)
        let id = try await world.site("next.example.org", ["upstream": .string(name)])
        let node = try await world.node("web-1")
        try await world.delete("preview", preview)
        try await world.beat(node, 1, [])
        let site = try await world.read("site", id)
        #expect(site["status"] == "failed")
        #expect(site["status_message"]?.stringValue?.contains("roost site unprovision") == true, "\(site)")
        #expect(try await world.document(node).sites == nil)
        let kind = try world.fixture.kind("site")
        let retry = try #require(kind.actions.first)
        let refused = try await problem { _ = try await world.hub.perform(retry, on: kind, id: id, as: .local) }
        #expect(refused.fields["upstream"] != nil)
        _ = try await world.service(name)
        _ = try await world.hub.perform(retry, on: kind, id: id, as: .local)
        try await world.beat(node, 2, [SiteReport(siteId: id, state: "active")])
        #expect(try await world.read("site", id)["status"] == "active")
    }

    @Test func `the default stack is meant when none is named, and only by those who may see it`() async throws {
        let world = try await SiteFixture(stack: "other")
        let body: JSONValue = ["domain": "a.example.org", "upstream": "127.0.0.1:80"]
        let kind = try world.fixture.kind("site")
        let missing = try await problem { _ = try await world.hub.create(kind, body: body, as: .local) }
        #expect(missing.fields["stack_id"] != nil)
        let standard = try await world.fixture.make("stack", ["name": "default"])
        let made = try await world.hub.create(kind, body: body, as: .local)
        #expect(made.code == 202 && made.body["stack_id"] == .string(standard))
        let stranger = Principal.scoped("sites:write", "sites:read", "sites:delete", brands: ["b1"])
        let refused = try await problem { _ = try await world.hub.create(kind, body: body, as: stranger) }
        #expect(refused.fields["stack_id"] != nil && !"\(refused)".contains(standard))
        let id = made.body["id"]?.stringValue ?? ""
        for attempt: () async throws -> Void in [
            { _ = try await world.hub.read(kind, id: id, as: stranger) },
            { _ = try await world.hub.update(kind, id: id, body: ["upstream": "a:1"], as: stranger) },
            { _ = try await world.hub.delete(kind, id: id, as: stranger) },
            {
                _ = try await world.hub.create(
                    try world.fixture.kind("site-user"), parentId: id, body: ["username": "x", "password": "12345678"],
                    as: .scoped("*:*", brands: ["b1"]))
            },
        ] { #expect(try await problem(attempt).code == .notFound) }
        #expect(try await world.hub.list(kind, as: stranger).items.isEmpty)
    }

    @Test func `a plan tells servers apart and changes nothing`() async throws {
        let world = try await SiteFixture()
        _ = try await world.service("web")
        _ = try await world.node("web-1")
        let kind = try world.fixture.kind("site")
        func steps(_ body: JSONValue) throws -> [String] {
            (body["nodes"]?.arrayValue?.first?["steps"]?.arrayValue ?? []).compactMap(\.stringValue)
        }
        let planned = try await world.hub.create(
            kind, body: ["domain": "a.example.org", "upstream": "web", "tls": "acme"], options: .init(isPlan: true),
            as: .local)
        let steps1 = try steps(planned.body)
        #expect(steps1.contains("edge: listen for TLS on 0.0.0.0:443"), "\(steps1)")
        #expect(steps1.contains("site a.example.org: order a certificate, and renew it by itself"), "\(steps1)")
        #expect(try await world.hub.list(kind, as: .local).items.isEmpty)
        let id = try await world.site("a.example.org", ["upstream": "web", "auth": "basic"])
        _ = try await world.site("b.example.org", ["upstream": "web"])
        let users = try world.fixture.kind("site-user")
        let user = try await world.hub.create(
            users, parentId: id, body: ["username": "ada", "password": "correct horse"],
            options: .init(isPlan: true), as: .local)
        #expect(try steps(user.body) == ["site a.example.org: let pass 1 by password"])
        let gone = try await world.hub.delete(kind, id: id, options: .init(isPlan: true), as: .local)
        #expect(gone.body.canonicalText.contains("The service web stays, as b.example.org uses it too."))
        #expect(try steps(gone.body).contains { $0.contains("b.example.org uses it too") })
    }
}
