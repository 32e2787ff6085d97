import Catalog
import Model
import ResourceKit
import Testing

@testable import CLI

@Suite("Stack files")
struct StackFileTests {
    private func parse(_ text: String, environment: [String: String]? = nil) throws -> StackFile {
        try StackFile.parse(
            text, name: "stack.yaml", stackKind: try #require(Catalog.kind(named: "stack")),
            serviceKind: try #require(Catalog.kind(named: "service")),
            siteKind: try #require(Catalog.kind(named: "site")), environment: environment)
    }

    private let web = """
        name: shop
        poll_interval: 5s
        services:
          web:
            git_url: https://git.example.org/shop.git
            git_ref: 1.20
            run_command: node server.js
            path: /
            env:
              DEBUG: no
              WORKERS: 4
              KEY: {secret: true, from_env: SHOP_KEY}
            health_check: {path: /up, interval: 2s}

        """

    @Test("text stays text, whatever it looks like")
    func text() throws {
        let file = try parse(web, environment: ["SHOP_KEY": "k"])
        let service = try #require(file.services["web"])
        #expect(service["git_ref"] == "1.20")
        #expect(service["env"] == ["DEBUG": "no", "WORKERS": "4", "KEY": ["secret": true, "value": "k"]])
        #expect(file.stack == ["name": "shop", "poll_interval": "5s"])
    }

    @Test(
        "a flaw is named with line, path and reason",
        arguments: [
            ("name: shop\nservces: {}\n", "stack.yaml:2: servces is not a known field. Did you mean services?"),
            (
                "name: shop\nservices:\n  web:\n    git_url: https://a.example/b\n    run_command: x\n    pth: /\n",
                "stack.yaml:6: services.web.pth is not a known field. Did you mean path?"
            ),
            (
                "name: shop\nservices:\n  web:\n    run_command: x\n    git_url: https://a.example/b\n"
                    + "    port: 70000\n",
                "stack.yaml:6: services.web.port must be between 1 and 65535."
            ),
            (
                "name: shop\nservices:\n  web:\n    git_url: https://a.example/b\n",
                "stack.yaml:3: services.web.run_command is required for a process."
            ),
            (
                "name: shop\nservices:\n  web:\n    git_url: https://a.example/b\n    run_command: x\n"
                    + "    health_check:\n      intervall: 5s\n",
                "stack.yaml:7: services.web.health_check.intervall is not a known field. Did you mean interval?"
            ),
            ("services: {}\n", "stack.yaml:1: name is required."),
            ("[1, 2]\n", "stack.yaml:1: The file must be a mapping."),
            ("name: a\nname: b\n", "stack.yaml:1: name appears twice."), ("", "stack.yaml: The file is empty."),
            (
                "name: shop\nservices:\n  Web_1: {git_url: \"https://a.example/b\", run_command: x}\n",
                "stack.yaml:3: services.Web_1 must consist of a–z, 0–9 and hyphens."
            ),
        ])
    func flaws(text: String, message: String) throws {
        let error = #expect(throws: Problem.self) { try parse(text) }
        #expect(error?.message == message)
    }

    @Test("an environment variable that is not set is an error, not an empty secret")
    func missingVariable() {
        let error = #expect(throws: Problem.self) { try parse(web, environment: [:]) }
        #expect(error?.message == "stack.yaml:12: services.web.env.KEY: the environment variable SHOP_KEY is not set.")
    }

    @Test("aliases cannot make a small file large")
    func aliases() {
        var text = "name: shop\nservices:\n  a0: &a0 {env: {A: x}}\n"
        for level in 1...20 {
            text += "  a\(level): &a\(level) {env: {A: *a\(level - 1), B: *a\(level - 1), C: *a\(level - 1)}}\n"
        }
        #expect(throws: Problem.self) { try parse(text) }
    }

    private func changes(
        _ file: StackFile, services: [JSONValue], sites: [JSONValue] = [], prunes: Bool = false,
        refreshesSecrets: Bool = false
    ) throws -> StackChanges {
        let stack: JSONValue = [
            "id": "s1", "name": "shop", "poll_interval": 5, "proxy": ["bind": "0.0.0.0", "port": 80, "tls_port": 443],
            "acme": ["contacts": []],
            "dns": ["suffix": "svc.internal"], "security_mode": "open", "ssh_allow": [], "status": "active",
        ]
        return StackChanges.compute(
            file: file, stack: Resource(kind: "stack", value: stack),
            services: services.map { Resource(kind: "service", value: $0) },
            sites: sites.map { Resource(kind: "site", value: $0) },
            stackKind: try #require(Catalog.kind(named: "stack")),
            serviceKind: try #require(Catalog.kind(named: "service")),
            siteKind: try #require(Catalog.kind(named: "site")), prunes: prunes,
            refreshesSecrets: refreshesSecrets)
    }

    private let stored: JSONValue = [
        "id": "w1", "name": "web", "kind": "process", "git_url": "https://git.example.org/shop.git", "git_ref": "1.20",
        "build_timeout": "15m", "build_memory_max": "2G", "run_command": "node server.js", "path": "/",
        "strip_path": false, "hostnames": [], "env": ["DEBUG": "no", "WORKERS": "4", "KEY": ["secret": true]],
        "health_check": [
            "path": "/up", "interval": 2, "timeout": "2s", "grace": "60s", "healthy_threshold": 1,
            "unhealthy_threshold": 3,
        ], "instances": 1, "stop_signal": "TERM", "stop_grace": 10, "retain": 5, "auto_deploy": true,
        "memory_max": .null,
    ]

    @Test("what means the same is no change: spans, sizes, defaults, kept secrets")
    func unchanged() throws {
        let file = try parse(web, environment: ["SHOP_KEY": "k"])
        #expect(try changes(file, services: [stored]).planned.isEmpty)
        let refreshed = try changes(file, services: [stored], refreshesSecrets: true)
        #expect(refreshed.planned.map(\.change) == [.update])
    }

    @Test("what the file does not name gets its default, and services go only with --prune")
    func differences() throws {
        let file = try parse(web, environment: ["SHOP_KEY": "k"])
        var changed = stored
        changed["memory_max"] = "64M"
        changed["instances"] = 3
        var other = stored
        other["id"] = "o1"
        other["name"] = "old"
        let kept = try changes(file, services: [changed, other])
        #expect(kept.services.map(\.body) == [["memory_max": .null, "instances": .null]])
        #expect(kept.extra == ["old"])
        let pruned = try changes(file, services: [changed, other], prunes: true)
        #expect(pruned.planned.map(\.change) == [.update, .delete])
        #expect(pruned.services.last?.id == "o1")
        let created = try changes(file, services: [])
        #expect(created.planned.map(\.change) == [.create])
    }

    private let shop = """
        name: shop
        sites:
          shop.example.org:
            upstream: web
            tls: upload
            certificate_pem: C
            key_pem: {from_env: SHOP_TLS_KEY}
            hsts: {max_age: 30d}
          intra.example.org:
            upstream: 10.0.0.5:80
            auth: token
            tokens: {from_env: TOKENS}

        """

    @Test("secrets of sites come from the environment, and are shown in no plan")
    func siteSecrets() throws {
        let tokens = "0123456789abcdef, fedcba9876543210"
        let file = try parse(shop, environment: ["SHOP_TLS_KEY": "K", "TOKENS": tokens])
        #expect(file.sites["shop.example.org"]?["key_pem"] == "K")
        #expect(file.sites["intra.example.org"]?["tokens"] == ["0123456789abcdef", "fedcba9876543210"])
        let created = try changes(file, services: [])
        #expect(created.sites.map(\.body).count == 2)
        #expect(created.planned.allSatisfy { !"\($0)".contains("fedcba9876543210") })
        let unset = #expect(throws: Problem.self) { try parse(shop, environment: ["TOKENS": tokens]) }
        #expect(
            unset?.message
                == "stack.yaml:7: sites.shop.example.org.key_pem: the environment variable SHOP_TLS_KEY is not set.")
        let short = #expect(throws: Problem.self) {
            try parse(shop, environment: ["SHOP_TLS_KEY": "K", "TOKENS": "short"])
        }
        #expect(short?.message.contains("sites.intra.example.org.tokens[0]") == true)
        // Without an environment the file is only checked.
        _ = try parse(shop)
    }

    @Test(
        "a flaw of a site is named with line, path and reason",
        arguments: [
            ("upstream: x, tls: maybe", "sites.a.example.org.tls must be one of acme, upload, self-signed, off."),
            ("upstream: 'http://x'", "sites.a.example.org.upstream must be no URL; write HOST:PORT."),
            ("tls: off", "sites.a.example.org.upstream is required."),
            (
                "upstream: x, hsts: {max_age: 1h}", "sites.a.example.org.hsts.max_age needs tls."
            ),
            ("upstream: x, upstreem: y", "sites.a.example.org.upstreem is not a known field. Did you mean upstream?"),
        ])
    func siteFlaws(fields: String, message: String) throws {
        let error = #expect(throws: Problem.self) { try parse("name: a\nsites:\n  a.example.org: {\(fields)}\n") }
        #expect(error?.message == "stack.yaml:3: \(message)")
    }

    @Test("sites go before the services that they need, and come after them")
    func siteOrder() throws {
        let text = """
            name: shop
            services:
              new: {git_url: "https://a.example/b", run_command: x}
            sites:
              a.example.org: {upstream: new}

            """
        let kind = try #require(Catalog.kind(named: "site"))
        func site(_ id: String, _ domain: String) -> JSONValue {
            .object(
                kind.fields.withDefaults([
                    "id": .string(id), "domain": .string(domain), "upstream": "web", "status": "active",
                ]))
        }
        let present = [site("1", "A.example.org."), site("2", "b.example.org")]
        let pruned = try changes(try parse(text), services: [stored], sites: present, prunes: true)
        #expect(
            pruned.ordered.map { "\($0.plan.change) \($0.plan.title)" } == [
                "delete b.example.org", "create new", "update a.example.org", "delete web",
            ])
        #expect(pruned.sites.first { $0.id == "1" }?.body == ["upstream": "new"])
        #expect(try changes(try parse(text), services: [stored], sites: present).extra == ["web", "b.example.org"])
    }
}
