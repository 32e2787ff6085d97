import AgentProtocol
import Host
import Logging
import Model
import Synchronization

/// One worker's turns: state that nobody else touches.
struct WorkerRun {
    let worker: ServiceWorker
    var memory: ServiceMemory
    var health = HealthMonitor()
    var isForgotten = false
    /// Start of the phase under way, for the durations of the report.
    var phaseBegan: Duration?
    var drainBegan: [String: Duration] = [:]
    var lastProblem: String?
    /// There may be logs of stopped instances; an agent before this one may have left some.
    var hasOldLogs = true
    /// Since when requests could reach it, as far as this agent knows; idleness counts from there on.
    var awakeSince: Duration
    private var planned: Planned?

    /// A plan with all that it follows from.
    private struct Planned {
        var target: DesiredService?
        var memory: ServiceMemory
        var observed: ServiceObservation
        var steps: [ServiceStep]
    }

    /// While steady, units are looked at this often.
    private static let steadyPause: Duration = .seconds(1)
    private static let busyPause: Duration = .milliseconds(20)

    init(worker: ServiceWorker, memory: ServiceMemory) {
        self.worker = worker
        self.memory = memory
        awakeSince = worker.parts.host.clock.monotonic()
    }

    var host: Host { worker.parts.host }
    var paths: ServicePaths { worker.paths }

    /// Observes, plans, and does the first step. Returns how long nothing will have to be done.
    mutating func turn() async throws -> Duration {
        let (desired, isDecided) = worker.shared.withLock { ($0.desired, $0.isDecided) }
        let observed = try await observe(desired)
        try await tellTransitions(observed)
        // Before the first document is known, what served goes on as it was.
        let target = isDecided ? desired : memory.serving?.service
        guard isDecided || target != nil else { return Self.steadyPause }
        let steps = plan(target, observed)
        publish(observed, isConverged: steps.isEmpty)
        guard let step = steps.first else {
            try await refreshEdge(observed)
            try await removeOldInstanceLogs(observed)
            // An agent that died right after the switch left the phase before it behind.
            if let target, memory.serving?.service.deploymentId == target.deploymentId { enter("active", target) }
            lastProblem = nil
            let next = health.pause(now: host.clock.monotonic()) ?? Self.steadyPause
            return min(Self.steadyPause, max(next, Self.busyPause))
        }
        let pause = try await perform(step, target, observed)
        publish(observed, isConverged: false)
        return pause
    }

    /// The steps that are left. While nothing changes, and most of the time nothing does, they are those of last time.
    private mutating func plan(_ target: DesiredService?, _ observed: ServiceObservation) -> [ServiceStep] {
        if let planned, planned.target == target, planned.memory == memory, planned.observed == observed {
            return planned.steps
        }
        let steps = ServicePlan.steps(desired: target, memory: memory, observed: observed)
        planned = Planned(target: target, memory: memory, observed: observed, steps: steps)
        return steps
    }

    /// Looks at units, releases and ports.
    mutating func observe(_ desired: DesiredService?) async throws -> ServiceObservation {
        let all = try await worker.parts.units.all(isFresh: memory.report.map { $0.phase != "active" } ?? true)
        let own = ["app.\(memory.name).", "build.\(memory.name)."]
        var observed = ServiceObservation()
        observed.units = all.filter { entry in own.contains { entry.key.hasPrefix($0) } }
        explainContainers(&observed.units, desired)
        for name in try await host.files.list(paths.releases) {
            if name.hasSuffix(".json") {
                observed.sealed.insert(String(name.dropLast(5)))
            } else {
                observed.halves.insert(name)
            }
        }
        observed.halves.subtract(observed.sealed)
        observed.health = await checkHealth(observed.units, desired)
        if let timeout = desired?.idleTimeoutMs {
            let traffic = worker.parts.traffic
            observed.isWanted = traffic.isWanted(memory.serviceId)
            observed.isIdle = traffic.isIdle(
                memory.serviceId, for: .milliseconds(timeout), since: awakeSince, clock: host.clock)
        }
        return observed
    }

    private mutating func checkHealth(
        _ units: [String: UnitStatus], _ desired: DesiredService?
    ) async -> [String: HealthVerdict] {
        let instances = memory.instances.filter { units[$0.unitId] != nil }
        health.forget(except: Set(instances.map(\.unitId)))
        guard let check = (desired ?? memory.serving?.service)?.healthCheck else { return [:] }
        let due = health.due(instances.map(\.unitId), now: host.clock.monotonic())
        for instance in instances where due.contains(instance.unitId) {
            let failure = await probe(instance, check, isRunning: units[instance.unitId]?.state == .running)
            health.record(instance.unitId, failure: failure, check: check, now: host.clock.monotonic())
        }
        let now = host.clock.monotonic()
        return Dictionary(
            uniqueKeysWithValues: instances.map {
                ($0.unitId, health.verdict($0.unitId, status: units[$0.unitId], check: check, now: now))
            })
    }

    /// Why the instance is not well; nil when it is.
    private func probe(_ instance: InstanceRecord, _ check: DesiredHealthCheck, isRunning: Bool) async -> String? {
        guard isRunning else { return "it is not running" }
        let timeout: Duration = .milliseconds(check.timeoutMs)
        do {
            if let path = check.path {
                let status = try await host.probes.http(
                    host: "127.0.0.1", port: instance.port, path: path, timeout: timeout)
                return (200..<400).contains(status) ? nil : "GET \(path) answered \(status)"
            }
            // The engine opens a container's port before anything in the container listens.
            if let label = instance.engineLabel {
                if let reason = try await containersFlaw(label) { return reason }
                try await host.probes.steadyTCP(host: "127.0.0.1", port: instance.port, timeout: timeout)
            } else {
                try await host.probes.tcp(host: "127.0.0.1", port: instance.port, timeout: timeout)
            }
            return nil
        } catch {
            return Problem(wrapping: error, doing: "The health check").message
        }
    }

    /// Remembers durably; the label says before which effect.
    mutating func remember(_ label: EffectLabel, _ change: (inout ServiceMemory) -> Void) async throws {
        var next = memory
        change(&next)
        guard next != memory else { return }
        let (host, path, value) = (host, paths.memory, next)
        try await host.effect(label) { try await JSONFile.write(value, path, host.files) }
        memory = next
    }

    /// Notes a failed turn: shown in the report, told once as an event.
    mutating func note(_ error: any Error) {
        let problem = Problem(wrapping: error, doing: "Reconciling \(memory.name)")
        guard problem.message != lastProblem else { return }
        lastProblem = problem.message
        // At once, and without the next turn: it may fail before it comes to its report.
        worker.report(problem.message, memory)
        worker.parts.logger.warning(
            "service turn failed",
            metadata: ["service": "\(memory.name)", "error": "\(problem)", "context": "\(problem.context ?? "")"])
    }
}
