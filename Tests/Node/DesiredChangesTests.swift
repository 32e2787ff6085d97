import AgentProtocol
import Model
import Testing

@testable import Node

/// The hub foretells from two documents what the agent's own keys will make of them.
@Suite struct DesiredChangesTests {
    private static let service = DesiredService(
        id: "s1", name: "web", kind: "process", deploymentId: "d1", gitUrl: "https://git.example.org/a.git",
        commit: String(repeating: "a", count: 40), isUpload: false, gitSshKey: nil, buildCommand: "make",
        buildTimeoutMs: 1000,
        buildMemoryMaxBytes: nil, runCommand: "./web", publicFolder: nil, port: nil, path: "/", stripPath: false,
        hostnames: [], env: ["A": "1"],
        healthCheck: DesiredHealthCheck(
            path: nil, intervalMs: 1000, timeoutMs: 1000, graceMs: 1000, healthyThreshold: 1, unhealthyThreshold: 3),
        memoryMaxBytes: nil, cpuQuota: nil, instances: 2, stopSignal: "TERM", stopGraceMs: 1000, retain: 5,
        restartGeneration: 0)

    private static func document(_ services: [DesiredService]) -> DesiredState {
        DesiredState(
            nodeId: "n", stackId: "s", stackName: "default", generation: 1, pollIntervalMs: 1000,
            proxy: DesiredProxy(bind: "0.0.0.0", port: 80), dns: DesiredDNS(suffix: "svc.internal"),
            securityMode: "open", peers: ["web"], services: services)
    }

    private static let changes: [(String, @Sendable (inout DesiredService) -> Void)] = [
        ("commit", { $0.commit = String(repeating: "b", count: 40) }), ("url", { $0.gitUrl += "x" }),
        ("build", { $0.buildCommand = "make all" }), ("no build", { $0.buildCommand = nil }),
        ("env", { $0.env["A"] = "2" }), ("run", { $0.runCommand = "./other" }), ("port", { $0.port = 9000 }),
        ("memory", { $0.memoryMaxBytes = 1 << 28 }), ("cpu", { $0.cpuQuota = 0.5 }),
        ("signal", { $0.stopSignal = "INT" }), ("grace", { $0.stopGraceMs = 5 }),
        ("restart", { $0.restartGeneration = 1 }), ("path", { $0.path = "/x" }),
        ("hosts", { $0.hostnames = ["a.example.org"] }), ("strip", { $0.stripPath = true }),
        ("instances", { $0.instances = 1 }), ("retain", { $0.retain = 9 }), ("deployment", { $0.deploymentId = "d2" }),
        ("balance", { $0.balance = EdgeBalance(stickyCookie: "x") }), ("breaker", { $0.breaker = EdgeBreaker() }),
        ("body", { $0.maxBodyBytes = 1000 }), ("build time", { $0.buildTimeoutMs = 9 }),
        ("check", { $0.healthCheck.path = "/healthz" }),
    ]

    @Test(arguments: changes.indices, [false, true])
    func `builds and starts are foretold exactly`(_ index: Int, _ hasBuild: Bool) {
        var old = Self.service
        if !hasBuild { old.buildCommand = nil }
        var new = old
        Self.changes[index].1(&new)
        let steps = DesiredChanges.steps(from: Self.document([old]), to: Self.document([new]))
        let name = Self.changes[index].0
        #expect(steps.contains { $0.contains(": fetch ") } == (Keys.release(old) != Keys.release(new)), "\(name)")
        #expect(steps.contains { $0.contains("switch requests") } == (Keys.run(old) != Keys.run(new)), "\(name)")
    }

    @Test func `equal documents need nothing, and a first one everything`() {
        let document = Self.document([Self.service])
        #expect(DesiredChanges.steps(from: document, to: document) == [])
        #expect(
            DesiredChanges.steps(from: nil, to: document) == [
                "web: fetch commit aaaaaaaaaaaa from https://git.example.org/a.git", "web: build it: make",
                "web: start 2 instances", "web: route / → web",
            ])
    }

    @Test func `what the edge will do differently is said`() {
        var new = Self.service
        new.balance = EdgeBalance(policy: .roundRobin, stickyCookie: "x", retries: 2)
        new.breaker = EdgeBreaker(failures: 5, windowMs: 10_000, openMs: 1000)
        new.maxBodyBytes = 1000
        new.staticOptions = EdgeStaticOptions(fallback: "index.html")
        let (plain, told) = (Self.document([Self.service]), Self.document([new]))
        #expect(
            DesiredChanges.steps(from: plain, to: told) == [
                "web: give requests in turn, each browser to one instance, 2 tried again at most",
                "web: rest for 1s after 5 failures within 10s", "web: take bodies of at most 1000 bytes",
                "web: serve its files by other rules",
            ])
        #expect(
            DesiredChanges.steps(from: told, to: plain) == [
                "web: give requests to whoever has the fewest, 1 tried again at most",
                "web: take requests however many fail", "web: take bodies of any size",
                "web: serve its files by other rules",
            ])
    }

    @Test func `a fixed port changes hands while requests are held`() {
        var old = Self.service
        old.port = 9000
        old.instances = 1
        var new = old
        new.runCommand = "./other"
        #expect(
            DesiredChanges.steps(from: Self.document([old]), to: Self.document([new])) == [
                "web: hold requests", "web: drain and stop 1 instance of the old release",
                "web: start 1 instance on port 9000", "web: switch requests to the new when healthy",
            ])
    }

    @Test func `secrets are not in the steps`() {
        var new = Self.service
        new.env["PASSWORD"] = "pl4nted"
        new.gitSshKey = "pl4nted"
        let steps = DesiredChanges.steps(from: Self.document([Self.service]), to: Self.document([new]))
        #expect(!steps.isEmpty && !steps.joined().contains("pl4nted"))
    }
}
