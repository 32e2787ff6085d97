import AgentProtocol
import Model
import Testing

@testable import Node

/// When a service is stopped for want of requests, and started again for one.
@Suite struct SleepPlanTests {
    private static let service = ServicePlanTests.service { $0.idleTimeoutMs = 60_000 }
    private static let unit = Keys.instanceUnit(service, runKey: Keys.run(service), index: 0)

    private static func memory(_ sleep: SleepState?) -> ServiceMemory {
        var memory = ServiceMemory(serviceId: service.id, name: service.name)
        let release = Keys.release(service)
        memory.serving = Serving(service: service, release: release, runKey: Keys.run(service), unitIds: [unit])
        memory.releases = [release]
        memory.sleep = sleep
        return memory
    }

    private static func observed(
        runs: Bool, isIdle: Bool = false, isWanted: Bool = false, verdict: HealthVerdict = .healthy
    ) -> ServiceObservation {
        var observed = ServiceObservation(isIdle: isIdle, isWanted: isWanted)
        observed.sealed = [Keys.release(service)]
        guard runs else { return observed }
        observed.units[unit] = UnitStatus(id: unit, state: .running)
        observed.health[unit] = verdict
        return observed
    }

    private func steps(
        _ memory: ServiceMemory, _ observed: ServiceObservation, _ desired: DesiredService = service
    ) -> [ServiceStep] {
        ServicePlan.steps(desired: desired, memory: memory, observed: observed)
    }

    @Test func itSleepsWhenNobodyAsks() {
        #expect(steps(Self.memory(nil), Self.observed(runs: true)) == [])
        #expect(steps(Self.memory(nil), Self.observed(runs: true, isIdle: true)) == [.sleep])
        #expect(steps(Self.memory(nil), Self.observed(runs: true, isIdle: true, isWanted: true)) == [])
        let always = ServicePlanTests.service()
        #expect(steps(Self.memory(nil), Self.observed(runs: true, isIdle: true), always) == [])
    }

    @Test func asleepItIsStoppedAndStaysSo() {
        #expect(steps(Self.memory(.asleep), Self.observed(runs: true)) == [.drainAndStop(unit: Self.unit)])
        #expect(steps(Self.memory(.asleep), Self.observed(runs: false)) == [])
    }

    @Test func aRequestWakesIt() {
        #expect(steps(Self.memory(.asleep), Self.observed(runs: false, isWanted: true)) == [.wake])
        let release = Keys.release(Self.service)
        #expect(
            steps(Self.memory(.waking), Self.observed(runs: false, isWanted: true)) == [
                .start(unit: Self.unit), .awaitHealth(unit: Self.unit), .switchOver(release: release),
            ])
        #expect(
            steps(Self.memory(.waking), Self.observed(runs: true, isIdle: true)) == [.switchOver(release: release)])
    }

    @Test func whatDoesNotComeUpInTimeIsShownAndNotCalledAFailedDeployment() {
        let late = Self.observed(runs: true, verdict: .late("no answer"))
        #expect(steps(Self.memory(.waking), late) == [.switchOver(release: Keys.release(Self.service))])
    }

    @Test func aChangeWakesIt() {
        for change: (inout DesiredService) -> Void in [
            { $0.idleTimeoutMs = nil }, { $0.deploymentId = "d2" }, { $0.env["A"] = "b" }, { $0.instances = 2 },
        ] {
            var desired = Self.service
            change(&desired)
            #expect(steps(Self.memory(.asleep), Self.observed(runs: false), desired) == [.wake])
        }
    }

    @Test func removalTakesASleeperToo() {
        let steps = ServicePlan.steps(
            desired: nil, memory: Self.memory(.asleep), observed: Self.observed(runs: false))
        #expect(steps == [.switchOver(release: ""), .forget])
    }

    @Test func theEdgeHoldsRequestsForIt() {
        let cases: [(SleepState?, EdgeUpstream.Mode)] = [(.asleep, .wake), (.waking, .wake), (nil, .serve)]
        var service = Self.service
        service.maxBodyBytes = 1000
        for (sleep, mode) in cases {
            let wish = WorkerRun.contribution(
                Self.memory(sleep), desired: service, health: [:],
                paths: ServicePaths(root: "/x/web", logRoot: "/x/log"))
            #expect(wish?.upstream.mode == mode)
            #expect(wish?.routes.map(\.limits) == [EdgeRouteLimits(maxBodyBytes: 1000)])
        }
    }
}
