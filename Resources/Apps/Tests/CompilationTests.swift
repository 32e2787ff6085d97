import AgentProtocol
import AppsResources
import Model
import ResourceKit
import Testing

@Suite struct CompilationTests {
    private static let now = Timestamp(millisecondsSinceEpoch: 0)

    private static func record(
        _ kind: String, _ id: String, spec: [String: JSONValue], state: [String: JSONValue], parent: String? = nil
    ) -> ResourceRecord {
        ResourceRecord(
            kind: kind, id: id, parentId: parent, status: .active, spec: spec, state: state, createdAt: now,
            updatedAt: now)
    }

    private static func compile(_ services: [ResourceRecord], _ deployments: [ResourceRecord]) throws -> DesiredState {
        let stack = record("stack", "s", spec: ["name": "default", "poll_interval": "5s"], state: ["version": 9])
        return try StackCompilation.compile(
            stack: stack, services: services,
            deployments: Dictionary(uniqueKeysWithValues: deployments.map { ($0.id, $0) }), nodeId: "n",
            open: { "opened \($0)" })
    }

    private static func service(_ name: String, path: JSONValue = "/") -> ResourceRecord {
        record(
            "service", "id-\(name)",
            spec: ["name": .string(name), "path": path, "git_url": "https://now.example.org/x"],
            state: ["deployment_id": .string("d-\(name)"), "deploy_key_private": "sealed:key"], parent: "s")
    }

    private static func deployment(_ name: String, url: JSONValue = "https://then.example.org/x") -> ResourceRecord {
        record(
            "deployment", "d-\(name)", spec: [:],
            state: [
                "commit": .string(String(repeating: "c", count: 40)),
                "snapshot": [
                    "git_url": url, "run_command": "./serve", "kind": "process",
                    "env": ["PLAIN": "sealed:not", "SECRET": ["value": "sealed:x", "secret": true]],
                ],
            ])
    }

    @Test func `the order of the input does not matter`() throws {
        let (web, api) = (Self.service("web"), Self.service("api"))
        let deployments = [Self.deployment("web"), Self.deployment("api")]
        let first = try WireCoding.encode(try Self.compile([web, api], deployments))
        let second = try WireCoding.encode(try Self.compile([api, web], deployments.reversed()))
        #expect(first.canonicalText == second.canonicalText)
    }

    @Test func `what runs comes from the snapshot, what routes from the service`() throws {
        let state = try Self.compile([Self.service("web", path: "/shop")], [Self.deployment("web")])
        let service = try #require(state.services.first)
        #expect(service.gitUrl == "https://then.example.org/x")
        #expect(service.path == "/shop")
        #expect(state.generation == 9)
        #expect(state.pollIntervalMs == 5000)
    }

    @Test func `only secrets are opened`() throws {
        let state = try Self.compile([Self.service("web")], [Self.deployment("web")])
        #expect(state.services.first?.env == ["PLAIN": "sealed:not", "SECRET": "opened sealed:x"])
        #expect(state.services.first?.gitSshKey == nil)
    }

    @Test(arguments: ["ssh://git@git.example.org/x.git", "git@git.example.org:x.git"])
    func `the deploy key goes only where ssh is used`(url: String) throws {
        let state = try Self.compile([Self.service("web")], [Self.deployment("web", url: .string(url))])
        #expect(state.services.first?.gitSshKey == "opened sealed:key")
    }

    @Test(
        arguments: [
            ["kind": "container"],
            [
                "kind": "container", "dockerfile": "deploy/Dockerfile", "run_command": "x", "port": 80,
                "instances": 3, "memory_max": "1G", "stop_signal": "QUIT",
                "env": ["DOCKER_INFLUXDB_INIT_MODE": "setup"],
            ],
            ["kind": "compose", "stop_signal": "TERM", "instances": 1],
            ["kind": "compose", "compose_file": "deploy/stack.yml", "port": 8080, "build_command": "make"],
            ["kind": "process", "run_command": "x", "env": ["DOCKER_HOST": "tcp://x"]],
        ] as [[String: JSONValue]])
    func `fields that go together are taken`(spec: [String: JSONValue]) {
        var flaws = FieldFlaws()
        serviceKind.validate(spec, &flaws)
        #expect(flaws.reasons.isEmpty)
    }

    @Test func `what the edge is told comes from the service, and nothing where it is as usual`() throws {
        var web = Self.service("web")
        web.spec["balance"] = ["policy": "least-connections", "sticky": false, "retries": 1]
        web.spec["breaker"] = ["window": "10s", "rest": "10s"]
        var plain = try #require(try Self.compile([web], [Self.deployment("web")]).services.first)
        #expect(plain.balance == nil && plain.breaker == nil && plain.staticOptions == nil)
        web.spec["balance"] = ["policy": "round-robin", "sticky": true, "retries": 0]
        web.spec["breaker"] = ["failures": 7, "window": "1m", "rest": "5s"]
        web.spec["files"] = ["fallback": "index.html", "cache_control": "no-cache", "caches_hashed_names": true]
        plain = try #require(try Self.compile([web], [Self.deployment("web")]).services.first)
        #expect(
            plain.balance == EdgeBalance(policy: .roundRobin, stickyCookie: plain.balance?.stickyCookie, retries: 0)
                && plain.breaker == EdgeBreaker(failures: 7, windowMs: 60_000, openMs: 5000))
        #expect(plain.staticOptions == nil, "a process has no files")
        web.spec["max_body_size"] = "2G"
        let limited = try #require(try Self.compile([web], [Self.deployment("web")]).services.first)
        #expect(plain.maxBodyBytes == nil && limited.maxBodyBytes == 1 << 31)
        var api = Self.service("api")
        api.spec["balance"] = ["sticky": true]
        let both = try Self.compile([web, api], [Self.deployment("web"), Self.deployment("api")]).services
        let cookies = both.compactMap { $0.balance?.stickyCookie }
        #expect(Set(cookies).count == 2 && cookies.allSatisfy { $0.hasPrefix("roost_instance_") }, "\(cookies)")
        #expect(both.last?.balance == plain.balance, "the name stays")
        var deployment = Self.deployment("web")
        deployment.state["snapshot"] = ["git_url": "https://then.example.org/x", "kind": "static"]
        let files = try #require(try Self.compile([web], [deployment]).services.first?.staticOptions)
        #expect(
            files == EdgeStaticOptions(fallback: "index.html", cacheControl: "no-cache", cachesHashedNames: true))
    }

    @Test func `the files of containers come from the snapshot`() throws {
        var deployment = Self.deployment("web")
        deployment.state["snapshot"] = [
            "git_url": "https://then.example.org/x", "kind": "container", "dockerfile": "deploy/Dockerfile",
            "port": 8080,
        ]
        let service = try #require(try Self.compile([Self.service("web")], [deployment]).services.first)
        #expect(service.dockerfile == "deploy/Dockerfile")
        #expect(service.usesContainers && service.fixedPort == nil && service.port == 8080)
    }

    @Test func `a service without a commit is a peer and nothing more`() throws {
        let state = try Self.compile([Self.service("web")], [])
        #expect(state.services.isEmpty)
        #expect(state.peers == ["web"])
    }

    @Test(
        arguments: [
            (["name": "web", "git_url": "https://x.example.org/a"], "run_command"),
            (
                ["name": "web", "git_url": "https://x.example.org/a", "kind": "static", "run_command": "x"],
                "run_command"
            ),
            (
                ["name": "web", "git_url": "https://x.example.org/a", "run_command": "x", "public_folder": "y"],
                "public_folder"
            ),
            (
                ["name": "w", "git_url": "https://x.example.org/a", "run_command": "x", "port": 80, "instances": 2],
                "instances"
            ),
            (
                ["name": "w", "git_url": "https://x.example.org/a", "run_command": "x", "env": ["PORT": "1"]],
                "env.PORT"
            ),
            (
                ["name": "w", "git_url": "https://x.example.org/a", "run_command": "x", "env": ["SERVICE_A_URL": "1"]],
                "env.SERVICE_A_URL"
            ),
            (["kind": "process", "run_command": "x", "dockerfile": "Dockerfile"], "dockerfile"),
            (["kind": "static", "compose_file": "compose.yaml"], "compose_file"),
            (["kind": "container", "compose_file": "compose.yaml"], "compose_file"),
            (["kind": "container", "public_folder": "dist"], "public_folder"),
            (["kind": "process", "run_command": "x", "files": ["fallback": "index.html"]], "files"),
            (["kind": "container", "env": ["DOCKER_HOST": "tcp://x"]], "env.DOCKER_HOST"),
            (["kind": "container", "env": ["LD_PRELOAD": "/x.so"]], "env.LD_PRELOAD"),
            (["kind": "compose", "env": ["COMPOSE_FILE": "/x"]], "env.COMPOSE_FILE"),
            (["kind": "compose", "run_command": "x"], "run_command"),
            (["kind": "compose", "dockerfile": "Dockerfile"], "dockerfile"),
            (["kind": "compose", "memory_max": "1G"], "memory_max"),
            (["kind": "compose", "cpu_quota": 1], "cpu_quota"),
            (["kind": "compose", "instances": 2], "instances"),
            (["kind": "compose", "stop_signal": "QUIT"], "stop_signal"),
        ] as [([String: JSONValue], String)])
    func `fields that do not go together are refused by path`(spec: [String: JSONValue], path: String) {
        var flaws = FieldFlaws()
        serviceKind.validate(spec, &flaws)
        #expect(flaws.reasons.keys.contains(path))
    }
}
