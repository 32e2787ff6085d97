import AgentProtocol
import Model
import Testing

@testable import Node

/// What is asked of the container engine, and what is planned around it.
@Suite struct ContainerTests {
    private static func service(_ kind: String, _ change: (inout DesiredService) -> Void = { _ in }) -> DesiredService {
        ServicePlanTests.service {
            $0.kind = kind
            $0.buildCommand = nil
            $0.runCommand = nil
            change(&$0)
        }
    }

    @Test func `no value of the environment is an argument`() {
        let service = Self.service("container") {
            $0.env = ["TOKEN": "hunter2"]
            $0.runCommand = "./serve --port $PORT"
            $0.memoryMaxBytes = 33_554_432
            $0.cpuQuota = 0.5
        }
        let argv = DockerCommands.run(service, name: "roost-x", outerPort: 20_001, names: ["TOKEN", "PORT"])
        #expect(!argv.contains { $0.contains("hunter2") })
        #expect(argv.contains("TOKEN"))
        #expect(argv.contains("127.0.0.1:20001:20001"))
        #expect(argv.suffix(4) == ["/bin/sh", DockerCommands.image(service), "-c", "./serve --port $PORT"])
        #expect(zip(argv, argv.dropFirst()).contains { $0 == ("--memory", "33554432b") })
        #expect(zip(argv, argv.dropFirst()).contains { $0 == ("--memory-swap", "33554432b") })
        #expect(zip(argv, argv.dropFirst()).contains { $0 == ("--cpus", "0.5") })
    }

    @Test func `a limited build names its control group`() {
        let service = Self.service("container")
        #expect(!DockerCommands.build(service, tree: "/t", group: nil).contains("--cgroup-parent"))
        let argv = DockerCommands.build(service, tree: "/t", group: "/roost-builds/web-1")
        #expect(zip(argv, argv.dropFirst()).contains { $0 == ("--cgroup-parent", "/roost-builds/web-1") })
        #expect(argv.suffix(3) == ["--file", "/t/Dockerfile", "/t"])
    }

    @Test func `a port is the one inside, so that two releases fit beside each other`() {
        let service = Self.service("container") { $0.port = 80 }
        let argv = DockerCommands.run(service, name: "roost-x", outerPort: 20_001, names: [])
        #expect(argv.contains("127.0.0.1:20001:80"))
        #expect(service.fixedPort == nil)
        #expect(Self.service("compose") { $0.port = 80 }.fixedPort == 80)
        #expect(Self.service("process") { $0.port = 80 }.fixedPort == 80)
    }

    @Test(arguments: ["web", "a--b", "0", String(repeating: "n", count: 63)])
    func `names fit into Docker's rules and differ between services of one name`(name: String) throws {
        let one = Self.service("container") { $0.name = name }
        let other = Self.service("container") {
            $0.name = name
            $0.id = "2"
        }
        let image = DockerCommands.image(one)
        #expect(image != DockerCommands.image(other))
        let reference = try Regex("roost/[a-z0-9]+(-+[a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
        #expect(image.wholeMatch(of: reference) != nil)
        let run = Keys.engineRun(one, runKey: Keys.run(one), index: 31)
        #expect(run.wholeMatch(of: try Regex("[a-z0-9][a-z0-9-]*")) != nil)
        #expect(run != Keys.engineRun(other, runKey: Keys.run(other), index: 31))
    }

    @Test func `kind, file and, for compose, environment make a release`() {
        let process = Self.service("process")
        let container = Self.service("container")
        #expect(Keys.release(process) != Keys.release(container))
        #expect(Keys.release(container) != Keys.release(Self.service("container") { $0.dockerfile = "b/Dockerfile" }))
        #expect(Keys.release(container) == Keys.release(Self.service("container") { $0.env = ["A": "1"] }))
        #expect(Keys.run(container) != Keys.run(Self.service("container") { $0.env = ["A": "1"] }))
        let compose = Self.service("compose")
        #expect(Keys.release(compose) != Keys.release(Self.service("compose") { $0.env = ["A": "1"] }))
        #expect(Keys.release(compose) != Keys.release(Self.service("compose") { $0.composeFile = "b.yaml" }))
    }

    @Test func `a container's fixed port needs no hold`() {
        let old = Self.service("container") { $0.port = 80 }
        var memory = ServiceMemory(serviceId: "1", name: "web")
        let unit = Keys.instanceUnit(old, runKey: Keys.run(old), index: 0)
        memory.serving = Serving(service: old, release: Keys.release(old), runKey: Keys.run(old), unitIds: [unit])
        var observed = ServiceObservation()
        observed.units = [unit: UnitStatus(id: unit, state: .running)]
        observed.health = [unit: .healthy]
        observed.sealed = [Keys.release(old)]
        let new = Self.service("container") {
            $0.port = 80
            $0.deploymentId = "d2"
            $0.env = ["A": "1"]
        }
        let steps = ServicePlan.steps(desired: new, memory: memory, observed: observed)
        let added = Keys.instanceUnit(new, runKey: Keys.run(new), index: 0)
        #expect(steps == [.start(unit: added), .awaitHealth(unit: added), .switchOver(release: Keys.release(new))])
    }

    @Test func `a unit that is gone is stopped again while the engine may hold something of it`() {
        let service = Self.service("container")
        var memory = ServiceMemory(serviceId: "1", name: "web")
        var record = InstanceRecord(
            unitId: "app.web.old.0", deploymentId: "d0", release: "r", runKey: "old", index: 0, port: 20_000)
        memory.instances = [record]
        let none = ServiceObservation()
        #expect(ServicePlan.steps(desired: nil, memory: memory, observed: none) == [.forget])
        record.engineLabel = "roost.run=roost-web-x-old-0"
        memory.instances = [record]
        #expect(
            ServicePlan.steps(desired: nil, memory: memory, observed: none) == [.stop(unit: "app.web.old.0"), .forget])
        let steps = ServicePlan.steps(desired: service, memory: memory, observed: none)
        #expect(steps.last == .stop(unit: "app.web.old.0"))
    }

    @Test func `exit codes of the client are told in words`() {
        let service = Self.service("container") { $0.memoryMaxBytes = 67_108_864 }
        #expect(DockerCommands.explain(exitCode: 137, service)?.contains("64.0 MiB") == true)
        #expect(DockerCommands.explain(exitCode: 125, service)?.contains("Docker") == true)
        #expect(DockerCommands.explain(exitCode: 1, service) == nil)
        #expect(DockerCommands.explain(exitCode: nil, service) == nil)
    }
}

@Suite struct ComposeModelTests {
    private static let service = ServicePlanTests.service {
        $0.kind = "compose"
        $0.name = "shop"
    }

    /// As `docker compose config --format json` writes it.
    private static func model(_ text: String) throws -> ComposeModel {
        ComposeModel(try JSONParser.parse(text), project: "p")
    }

    private static func published(_ port: String, _ rest: String = "") -> String {
        #"{"services": {"web": {"image": "x", "ports": [{"target": 80, "published": "\#(port)"}]\#(rest)}}}"#
    }

    @Test func `volumes keep one name for all releases, unless the file names them`() throws {
        let model = try Self.model(
            """
            {"services": {"web": {"build": {"context": "."}}, "db": {"image": "postgres:17"}},
             "volumes": {"data": {"name": "p_data"}, "own": {"name": "mine"},
                         "there": {"name": "p_there", "external": true}}}
            """)
        let additions = model.additions(Self.service)
        #expect(additions["volumes"]?.objectValue?.keys.sorted() == ["data"])
        let name = additions["volumes"]?["data"]?["name"]?.stringValue
        #expect(name == ComposeModel.volume("data", of: Self.service))
        #expect(name?.hasPrefix("roost-shop-") == true)
        var later = Self.service
        later.commit = String(repeating: "b", count: 40)
        #expect(model.additions(later)["volumes"] == additions["volumes"])
        #expect(model.additions(later)["services"] != additions["services"], "images are the release's own")
    }

    @Test func `what is built gets an image of the release, what is not is pulled`() throws {
        let model = try Self.model(
            """
            {"services": {"web": {"build": {"context": "."}, "image": "shop:latest"}, "db": {"image": "postgres:17"},
             "quiet": {"image": "postgres:17", "logging": {"driver": "none"}}}}
            """)
        #expect(model.pulledImages == ["postgres:17"])
        #expect(model.builtImages(Self.service) == ["web": "\(DockerCommands.image(Self.service))-web"])
        let services = model.additions(Self.service)["services"]
        #expect(services?["web"]?["image"]?.stringValue == "\(DockerCommands.image(Self.service))-web")
        #expect(services?["db"]?["image"] == nil)
        #expect(services?["db"]?["logging"] == ["driver": "local"])
        #expect(services?["quiet"]?["logging"] == nil)
    }

    @Test func `builds of a limited file run below a group, and no argument's value is on the command line`() throws {
        let model = try Self.model(
            """
            {"services": {"db": {"image": "postgres:17"}, "web": {"build": {"context": "/t/web", "dockerfile": "a/D",
             "args": {"TOKEN": "hunter2"}, "target": "run", "labels": {"x": "y"}, "no_cache": true, "tags": ["t"],
             "extra_hosts": ["h=10.0.0.1"], "additional_contexts": {"more": "/t/more"}}}}}
            """)
        #expect(model.limitFlaw == nil)
        let build = try #require(model.builds(Self.service, group: "/g").first)
        #expect(model.builds(Self.service, group: "/g").count == 1)
        #expect(build.arguments == ["TOKEN": "hunter2"])
        let argv = build.argv
        #expect(!argv.contains { $0.contains("hunter2") })
        for pair in [
            ("--cgroup-parent", "/g"), ("--file", "/t/web/a/D"), ("--build-arg", "TOKEN"), ("--target", "run"),
            ("--label", "x=y"), ("--add-host", "h=10.0.0.1"), ("--build-context", "more=/t/more"),
            ("--tag", "\(DockerCommands.image(Self.service))-web"),
        ] {
            #expect(zip(argv, argv.dropFirst()).contains { $0 == pair }, "\(pair)")
        }
        #expect(argv.contains("--no-cache") && argv.last == "/t/web")
    }

    @Test(arguments: [
        (#"{"context": "/t", "secrets": [{"source": "s"}]}"#, "build.secrets"),
        (#"{"context": "/t", "args": {"DOCKER_HOST": "tcp://x"}}"#, "DOCKER_HOST"),
        (#"{"context": "/t", "additional_contexts": {"base": "service:db"}}"#, "another service's image"),
    ])
    func `what cannot be built below a group is said`(build: String, word: String) throws {
        let model = try Self.model(#"{"services": {"web": {"build": \#(build)}}}"#)
        #expect(model.limitFlaw?.contains(word) == true)
    }

    @Test func `a file that two releases could not run side by side is refused`() throws {
        let standIn = String(ComposeModel.standInPort)
        #expect(try Self.model(Self.published(standIn)).flaw(port: nil) == nil)
        #expect(try Self.model(Self.published("8080")).flaw(port: nil)?.contains("fixed port 8080") == true)
        #expect(try Self.model(Self.published("8080")).flaw(port: 8080) == nil)
        #expect(try Self.model(Self.published("8081")).flaw(port: 8080)?.contains("8080") == true)
        let named = Self.published(standIn, #", "container_name": "shop""#)
        #expect(try Self.model(named).flaw(port: nil)?.contains("container_name shop") == true)
        #expect(try Self.model(#"{"services": {"web": {"image": "x"}}}"#).flaw(port: nil)?.contains("${PORT}") == true)
        #expect(
            try Self.model(#"{"services": {"web": {"image": "x", "network_mode": "host"}}}"#).flaw(port: nil) == nil)
        #expect(try Self.model("{}").flaw(port: nil)?.contains("no services") == true)
    }
}
