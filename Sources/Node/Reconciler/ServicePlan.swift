import AgentProtocol
import Model

/// One change that brings a service nearer to what is desired.
public enum ServiceStep: Sendable, Equatable {
    /// Brings the commit, or the upload of this digest.
    case fetch(commit: String)
    case build(release: String)
    case start(unit: String)
    /// Nothing to do but to look again: an instance has not shown yet that it works.
    case awaitHealth(unit: String)
    /// Requests are kept waiting at the edge while a fixed port changes hands.
    case hold
    case switchOver(release: String)
    /// Nobody asked for a while: requests are held from here on, and the instances stopped.
    case sleep
    /// Somebody asks.
    case wake
    case fail(message: String)
    /// Waits until the requests under way are done, then stops.
    case drainAndStop(unit: String)
    case stop(unit: String)
    case removeRelease(String)
    case forget
}

extension ServiceStep: CustomStringConvertible {
    public var description: String {
        switch self {
        case .fetch(let commit): "fetch \(commit.prefix(12))"
        case .build(let release): "build release \(release)"
        case .start(let unit): "start \(unit)"
        case .awaitHealth(let unit): "wait until \(unit) is healthy"
        case .hold: "hold requests at the edge"
        case .switchOver(let release): "switch requests to release \(release)"
        case .sleep: "let it sleep until it is asked for"
        case .wake: "wake it"
        case .fail(let message): "give up: \(message)"
        case .drainAndStop(let unit): "drain and stop \(unit)"
        case .stop(let unit): "stop \(unit)"
        case .removeRelease(let release): "remove release \(release)"
        case .forget: "remove everything of the service"
        }
    }
}

/// What was observed of a service.
struct ServiceObservation: Sendable, Equatable {
    /// Units of this service that exist, by id.
    var units: [String: UnitStatus] = [:]
    /// Releases with a seal.
    var sealed: Set<String> = []
    /// Releases on disk without one, other than the one that is being built.
    var halves: Set<String> = []
    /// Objects are in the cache and the tree is checked out, though not built.
    var health: [String: HealthVerdict] = [:]
    /// Nobody asked for it for its idle timeout.
    var isIdle = false
    /// A request waits for it to wake.
    var isWanted = false
}

enum HealthVerdict: Sendable, Equatable {
    case waiting
    case healthy
    case unhealthy(String)
    /// It did not become healthy within its grace.
    case late(String)
}

/// Desired, remembered and observed → the steps that are left. Pure: no clock, no effects.
///
/// The executor does the first step, looks again, and plans again; the rest is what `roost plan` prints.
enum ServicePlan {
    static func steps(
        desired: DesiredService?, memory: ServiceMemory, observed: ServiceObservation
    ) -> [ServiceStep] {
        guard let desired else { return removal(memory, observed) }
        let hasFailed = memory.failed?.deploymentId == desired.deploymentId
        var steps: [ServiceStep] = []
        if memory.sleep == .asleep {
            guard staysAsleep(desired, hasFailed: hasFailed, memory, observed) else { return [.wake] }
            return cleanup(desired, hasFailed: hasFailed, isBusy: false, memory, observed)
        }
        if hasFailed {
            if let serving = memory.serving { steps += restore(serving, memory, observed) }
            if memory.isHolding || memory.sleep == .waking, steps.isEmpty {
                steps.append(.switchOver(release: memory.serving?.release ?? ""))
            }
        } else {
            steps += deploy(desired, memory, observed)
        }
        steps += cleanup(desired, hasFailed: hasFailed, isBusy: !steps.isEmpty, memory, observed)
        let maySleep = desired.idleTimeoutMs != nil && desired.kind != "static" && memory.serving != nil
        return steps.isEmpty && maySleep && observed.isIdle && !observed.isWanted ? [.sleep] : steps
    }

    /// Nobody asks for it, and what sleeps is what should run.
    private static func staysAsleep(
        _ desired: DesiredService, hasFailed: Bool, _ memory: ServiceMemory, _ observed: ServiceObservation
    ) -> Bool {
        desired.idleTimeoutMs != nil && !observed.isWanted && (hasFailed || isServed(desired, memory))
    }

    /// What was switched to last is what is desired.
    private static func isServed(_ desired: DesiredService, _ memory: ServiceMemory) -> Bool {
        guard let serving = memory.serving else { return false }
        return serving.service.deploymentId == desired.deploymentId && serving.runKey == Keys.run(desired)
            && serving.release == Keys.release(desired) && serving.service.instances == desired.instances
    }

    private static func removal(_ memory: ServiceMemory, _ observed: ServiceObservation) -> [ServiceStep] {
        // Routes go first, so that no request finds a stopped instance.
        var steps: [ServiceStep] = memory.serving == nil ? [] : [.switchOver(release: "")]
        steps += observed.units.keys.sorted().map { .drainAndStop(unit: $0) }
        // What else they are remembered by goes with the service.
        let inEngine = Set(memory.instances.filter { $0.engineLabel != nil }.map(\.unitId))
        steps += leftovers(kept: [], memory, observed).filter(inEngine.contains).map { .stop(unit: $0) }
        return steps + [.forget]
    }

    private static func deploy(
        _ desired: DesiredService, _ memory: ServiceMemory, _ observed: ServiceObservation
    ) -> [ServiceStep] {
        let release = Keys.release(desired)
        let runKey = Keys.run(desired)
        var steps: [ServiceStep] = []
        if !observed.sealed.contains(release) { steps += [.fetch(commit: desired.commit), .build(release: release)] }
        let isServing =
            memory.serving?.runKey == runKey && memory.serving?.release == release
            && memory.serving?.service.instances == desired.instances && !memory.isHolding && memory.sleep == nil
        if desired.kind == "static" {
            let isSame = isServing && memory.serving?.service.deploymentId == desired.deploymentId
            return isSame ? steps : steps + [.switchOver(release: release)]
        }
        let wanted = (0..<desired.instances).map { Keys.instanceUnit(desired, runKey: runKey, index: $0) }
        let missing = wanted.filter { observed.units[$0] == nil }
        if desired.fixedPort != nil, !isServing || !missing.isEmpty {
            steps += makeRoom(for: wanted, memory, observed)
        }
        steps += missing.map { .start(unit: $0) }
        if isServing, memory.serving?.service.deploymentId == desired.deploymentId { return steps }
        for unit in wanted {
            switch verdict(unit, observed) {
            case .healthy: break
            case .waiting, .unhealthy: steps.append(.awaitHealth(unit: unit))
            case .late where memory.sleep == .waking && isServed(desired, memory):
                // It was deployed long ago; that it does not come up now is its own trouble, and is shown as such.
                if missing.isEmpty { return [.switchOver(release: release)] }
            case .late(let why):
                guard missing.isEmpty, steps.allSatisfy({ if case .awaitHealth = $0 { true } else { false } }) else {
                    break
                }
                return [.fail(message: why)]
            }
        }
        return steps + [.switchOver(release: release)]
    }

    /// A fixed port can have one owner: hold requests, stop whoever has it, then go on.
    private static func makeRoom(
        for wanted: [String], _ memory: ServiceMemory, _ observed: ServiceObservation
    ) -> [ServiceStep] {
        let others = observed.units.keys.filter { $0.hasPrefix("app.") && !wanted.contains($0) }.sorted()
        guard !others.isEmpty else { return [] }
        return (memory.serving != nil && !memory.isHolding ? [.hold] : []) + others.map { .drainAndStop(unit: $0) }
    }

    /// Keeps what served before a failed deployment.
    private static func restore(
        _ serving: Serving, _ memory: ServiceMemory, _ observed: ServiceObservation
    ) -> [ServiceStep] {
        var steps: [ServiceStep] = []
        let missing = serving.unitIds.filter { observed.units[$0] == nil }
        if serving.service.fixedPort != nil, !missing.isEmpty {
            steps += observed.units.keys.filter { $0.hasPrefix("app.") && !serving.unitIds.contains($0) }.sorted()
                .map { .stop(unit: $0) }
        }
        steps += missing.map { .start(unit: $0) }
        if memory.isHolding || memory.sleep == .waking {
            steps += serving.unitIds.filter { verdict($0, observed) == .waiting }.map { .awaitHealth(unit: $0) }
        }
        return steps
    }

    private static func cleanup(
        _ desired: DesiredService, hasFailed: Bool, isBusy: Bool, _ memory: ServiceMemory,
        _ observed: ServiceObservation
    ) -> [ServiceStep] {
        let target = (0..<desired.instances).map { Keys.instanceUnit(desired, runKey: Keys.run(desired), index: $0) }
        var kept = memory.sleep == .asleep ? [] : Set(memory.serving?.unitIds ?? [])
        if !hasFailed, memory.sleep != .asleep {
            kept.formUnion(target)
            if isBusy { kept.insert(Keys.buildUnit(desired, release: Keys.release(desired))) }
        }
        let surplus = observed.units.keys.filter { !kept.contains($0) }.sorted()
        var steps: [ServiceStep] = surplus.map { $0.hasPrefix("app.") ? .drainAndStop(unit: $0) : .stop(unit: $0) }
        steps += leftovers(kept: kept, memory, observed).map { .stop(unit: $0) }
        let current = [memory.serving?.release, hasFailed ? nil : Keys.release(desired)].compactMap { $0 }
        let newest = memory.releases.filter { observed.sealed.contains($0) }.suffix(max(desired.retain, 1))
        let keptReleases = Set(current).union(newest)
        let old = observed.sealed.subtracting(keptReleases).sorted()
        let halves = observed.halves.subtracting(hasFailed ? [] : [Keys.release(desired)]).sorted()
        steps += (old + halves).map { .removeRelease($0) }
        return steps
    }

    /// Instances whose units are gone. They may have left something in the container engine, and their ports are taken
    /// as long as they are remembered.
    private static func leftovers(
        kept: Set<String>, _ memory: ServiceMemory, _ observed: ServiceObservation
    ) -> [String] {
        memory.instances.map(\.unitId).filter { observed.units[$0] == nil && !kept.contains($0) }.sorted()
    }

    private static func verdict(_ unit: String, _ observed: ServiceObservation) -> HealthVerdict {
        observed.health[unit] ?? .waiting
    }
}
