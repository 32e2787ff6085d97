import AgentProtocol
import Model
import Testing

@testable import Node

/// Desired, remembered, observed → steps: the rules of the agent, without an agent.
@Suite struct ServicePlanTests {
    static func service(_ change: (inout DesiredService) -> Void = { _ in }) -> DesiredService {
        var service = DesiredService(
            id: "1", name: "web", kind: "process", deploymentId: "d1", gitUrl: "https://git.example.org/web.git",
            commit: String(repeating: "a", count: 40), isUpload: false, gitSshKey: nil, buildCommand: "make",
            buildTimeoutMs: 1000,
            buildMemoryMaxBytes: nil, runCommand: "./serve", publicFolder: nil, port: nil, path: "/", stripPath: false,
            hostnames: [], env: [:],
            healthCheck: DesiredHealthCheck(
                path: nil, intervalMs: 1000, timeoutMs: 500, graceMs: 5000, healthyThreshold: 1, unhealthyThreshold: 3),
            memoryMaxBytes: nil, cpuQuota: nil, instances: 1, stopSignal: "TERM", stopGraceMs: 1000, retain: 5,
            restartGeneration: 0)
        change(&service)
        return service
    }

    private static func unit(_ service: DesiredService, _ index: Int = 0) -> String {
        Keys.instanceUnit(service, runKey: Keys.run(service), index: index)
    }

    /// A server on which a service serves as it should.
    private static func serving(_ service: DesiredService) -> (ServiceMemory, ServiceObservation) {
        var memory = ServiceMemory(serviceId: service.id, name: service.name)
        let release = Keys.release(service)
        let units = (0..<service.instances).map { unit(service, $0) }
        memory.serving = Serving(service: service, release: release, runKey: Keys.run(service), unitIds: units)
        memory.releases = [release]
        var observed = ServiceObservation()
        observed.sealed = [release]
        for id in units {
            observed.units[id] = UnitStatus(id: id, state: .running)
            observed.health[id] = .healthy
        }
        return (memory, observed)
    }

    @Test func `a new service is fetched, built, started, awaited and switched to`() {
        let service = Self.service()
        let memory = ServiceMemory(serviceId: "1", name: "web")
        let steps = ServicePlan.steps(desired: service, memory: memory, observed: ServiceObservation())
        let release = Keys.release(service)
        #expect(
            steps == [
                .fetch(commit: service.commit), .build(release: release), .start(unit: Self.unit(service)),
                .awaitHealth(unit: Self.unit(service)), .switchOver(release: release),
            ])
    }

    @Test func `what serves as desired needs nothing`() {
        let service = Self.service { $0.instances = 3 }
        let (memory, observed) = Self.serving(service)
        #expect(ServicePlan.steps(desired: service, memory: memory, observed: observed) == [])
    }

    @Test func `the old instance goes only after the switch`() {
        let old = Self.service()
        let (memory, observed) = Self.serving(old)
        let new = Self.service {
            $0.deploymentId = "d2"
            $0.commit = String(repeating: "b", count: 40)
        }
        let steps = ServicePlan.steps(desired: new, memory: memory, observed: observed)
        #expect(steps.contains(.switchOver(release: Keys.release(new))))
        #expect(!steps.contains(.drainAndStop(unit: Self.unit(old))))
    }

    @Test func `an old instance whose unit is gone is forgotten`() {
        let service = Self.service()
        var (memory, observed) = Self.serving(service)
        func record(_ unit: String) -> InstanceRecord {
            InstanceRecord(
                unitId: unit, deploymentId: "d0", release: "r", runKey: "k", index: 0, port: 9000, engineLabel: nil)
        }
        memory.instances = [record(Self.unit(service)), record("app.web.old.0")]
        #expect(
            ServicePlan.steps(desired: service, memory: memory, observed: observed) == [.stop(unit: "app.web.old.0")])
        // One that should run is started again instead.
        observed.units = [:]
        memory.instances.removeLast()
        #expect(
            ServicePlan.steps(desired: service, memory: memory, observed: observed)
                == [.start(unit: Self.unit(service))])
    }

    @Test func `a fixed port changes hands behind held requests`() {
        let old = Self.service { $0.port = 9000 }
        var (memory, observed) = Self.serving(old)
        let new = Self.service {
            $0.port = 9000
            $0.deploymentId = "d2"
            $0.runCommand = "./serve --other"
        }
        let steps = ServicePlan.steps(desired: new, memory: memory, observed: observed)
        #expect(steps.prefix(3) == [.hold, .drainAndStop(unit: Self.unit(old)), .start(unit: Self.unit(new))])
        // After a failure on the way, the old one gets its port back before requests are let through.
        memory.isHolding = true
        memory.failed = FailedDeployment(deploymentId: "d2", message: "no")
        observed.units = [Self.unit(new): UnitStatus(id: Self.unit(new), state: .running)]
        observed.health = [:]
        let back = ServicePlan.steps(desired: new, memory: memory, observed: observed)
        #expect(back.prefix(2) == [.stop(unit: Self.unit(new)), .start(unit: Self.unit(old))])
    }

    @Test func `a late instance fails its deployment and is not tried again`() {
        let old = Self.service()
        var (memory, observed) = Self.serving(old)
        let new = Self.service {
            $0.deploymentId = "d2"
            $0.runCommand = "./broken"
        }
        observed.units[Self.unit(new)] = UnitStatus(id: Self.unit(new), state: .running)
        observed.health[Self.unit(new)] = .late("no answer")
        #expect(
            ServicePlan.steps(desired: new, memory: memory, observed: observed).first == .fail(message: "no answer"))
        memory.failed = FailedDeployment(deploymentId: "d2", message: "no answer")
        #expect(
            ServicePlan.steps(desired: new, memory: memory, observed: observed)
                == [.drainAndStop(unit: Self.unit(new))])
    }

    @Test func `the newest releases stay`() {
        let service = Self.service { $0.retain = 2 }
        var (memory, observed) = Self.serving(service)
        memory.releases = ["r1", "r2", "r3"] + memory.releases
        observed.sealed.formUnion(["r1", "r2", "r3"])
        observed.halves = ["half"]
        #expect(
            ServicePlan.steps(desired: service, memory: memory, observed: observed)
                == [.removeRelease("r1"), .removeRelease("r2"), .removeRelease("half")])
    }

    @Test func `a removed service loses its routes first`() {
        let (memory, observed) = Self.serving(Self.service())
        let steps = ServicePlan.steps(desired: nil, memory: memory, observed: observed)
        #expect(steps == [.switchOver(release: ""), .drainAndStop(unit: Self.unit(Self.service())), .forget])
    }

    @Test func `keys follow content`() {
        let service = Self.service()
        #expect(Keys.release(service) == Keys.release(Self.service()))
        #expect(Keys.run(service) != Keys.run(Self.service { $0.restartGeneration = 1 }))
        #expect(Keys.run(service) == Keys.run(Self.service { $0.path = "/other" }))
        // The environment is part of a build, but not of a release that is only checked out.
        #expect(Keys.release(service) != Keys.release(Self.service { $0.env = ["A": "b"] }))
        let plain = Self.service { $0.buildCommand = nil }
        let other = Self.service {
            $0.buildCommand = nil
            $0.env = ["A": "b"]
        }
        #expect(Keys.release(plain) == Keys.release(other))
        #expect(Keys.account(String(repeating: "x", count: 63)).utf8.count <= 32)
    }
}
