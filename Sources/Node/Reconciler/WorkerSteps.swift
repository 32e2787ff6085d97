import AgentProtocol
import Host
import Model
import Synchronization

/// How long requests of an old instance may go on after the switch.
private let drainMax: Duration = .seconds(30)

/// The effects of each step.
extension WorkerRun {
    mutating func perform(
        _ step: ServiceStep, _ desired: DesiredService?, _ observed: ServiceObservation
    ) async throws -> Duration {
        switch step {
        case .fetch, .build:
            guard let desired else { return .zero }
            try await makeRelease(desired)
        case .start(let unit): try await start(unit, desired)
        case .awaitHealth:
            enter("checking", desired)
            return health.pause(now: host.clock.monotonic()).map { min(max($0, .milliseconds(5)), .milliseconds(250)) }
                ?? .milliseconds(10)
        case .hold:
            try await remember("service.hold.remember") { $0.isHolding = true }
            try await refreshEdge(observed)
        case .sleep:
            try await remember("service.sleep.remember") { $0.sleep = .asleep }
            try await refreshEdge(observed)
            try await tell("run", "\(memory.name): asleep until somebody asks for it.")
        case .wake:
            try await remember("service.wake.remember") { $0.sleep = .waking }
            try await refreshEdge(observed)
        case .switchOver(let release): try await switchOver(to: release, desired, observed)
        case .fail(let message): try await fail(desired, message)
        case .drainAndStop(let unit):
            // The agent may have died between remembering a switch and telling the edge.
            try await refreshEdge(observed)
            return try await drainAndStop(unit)
        case .stop(let unit): try await stop(unit)
        case .removeRelease(let release): try await removeRelease(release)
        case .forget: try await forget()
        }
        return .zero
    }

    /// Notes the phase of the deployment under way, and the time that the one before took.
    mutating func enter(_ phase: String, _ desired: DesiredService?, message: String? = nil) {
        guard let desired else { return }
        let now = host.clock.monotonic()
        var report =
            memory.report?.deploymentId == desired.deploymentId
            ? memory.report! : DeploymentReport(deploymentId: desired.deploymentId, phase: "")
        guard report.phase != phase || report.message != message else { return }
        // A finished deployment is not reopened by upkeep, e.g. a vanished instance that is started again.
        if report.phase == "active" || report.phase == "failed", phase != "active", phase != "failed" { return }
        if let began = phaseBegan, !report.phase.isEmpty {
            report.durationsMs[report.phase, default: 0] += Int((now - began).milliseconds)
        }
        phaseBegan = now
        report.phase = phase
        report.message = message
        memory.report = report
        let serving = memory.serving
        worker.shared.withLock { shared in
            shared.report?.deployment = report
            // A report that calls a deployment active names it as what serves.
            shared.report?.servingDeploymentId = serving?.service.deploymentId
            shared.report?.commit = serving?.service.commit
            shared.report?.release = serving?.release
        }
        worker.parts.changed.notify()
    }

    private mutating func start(_ unit: String, _ desired: DesiredService?) async throws {
        let isOld = memory.serving?.unitIds.contains(unit) == true
        guard let service = isOld ? memory.serving?.service : desired else { return }
        enter("starting", desired)
        let account = service.usesContainers ? nil : try await ensureAccount(service)
        if !memory.instances.contains(where: { $0.unitId == unit }) {
            let taken = Set(memory.instances.map(\.port))
            let port: Int
            if let fixed = service.fixedPort {
                port = fixed
            } else {
                port = try await host.probes.freePort(excluding: taken)
            }
            let (runKey, index) = (Keys.run(service), Int(unit.split(separator: ".").last ?? "") ?? 0)
            let record = InstanceRecord(
                unitId: unit, deploymentId: service.deploymentId, release: Keys.release(service), runKey: runKey,
                index: index, port: port, engineLabel: Self.engineLabel(service, runKey: runKey, index: index))
            try await remember("instance.remember") { $0.instances.append(record) }
        }
        guard let record = memory.instances.first(where: { $0.unitId == unit }) else { return }
        let isOfEngine = service.usesContainers
        let made =
            isOfEngine
            ? try await engineSpec(service, record) : instanceSpec(service, record, account: account)
        guard let spec = made else { return }
        let host = host
        try await host.effect("unit.start") { try await host.supervisor.start(spec) }
        // The next look must see it, or it would be started again and again.
        _ = try await worker.parts.units.all(isFresh: true)
        if !isOld {
            try await tell(
                "run", "\(service.name): started instance \(record.index) of \(record.release) on port \(record.port).")
        }
    }

    private mutating func switchOver(
        to release: String, _ desired: DesiredService?, _ observed: ServiceObservation
    ) async throws {
        guard let desired else {
            try await remember("service.unserve.remember") {
                $0.serving = nil
                $0.isHolding = false
                $0.sleep = nil
            }
            return try await worker.parts.edge.set(nil, for: memory.serviceId)
        }
        if memory.failed?.deploymentId == desired.deploymentId {
            // The old release is back on its fixed port.
            awakeSince = host.clock.monotonic()
            try await remember("service.unhold.remember") {
                $0.isHolding = false
                $0.sleep = nil
            }
            return try await refreshEdge(observed)
        }
        if desired.kind == "static" { try await checkFolder(desired, release) }
        guard memory.failed?.deploymentId != desired.deploymentId else { return }
        enter("switching", desired)
        try await noteSize(of: release, desired)
        let runKey = Keys.run(desired)
        let units =
            desired.kind == "static"
            ? [] : (0..<desired.instances).map { Keys.instanceUnit(desired, runKey: runKey, index: $0) }
        awakeSince = host.clock.monotonic()
        let isNew = memory.serving?.service.deploymentId != desired.deploymentId
        let serving = Serving(service: desired, release: release, runKey: runKey, unitIds: units)
        try await remember("service.serving.remember") {
            $0.serving = serving
            $0.isHolding = false
            $0.sleep = nil
            $0.releases = $0.releases.filter { $0 != release } + [release]
        }
        try await refreshEdge(observed)
        enter("active", desired)
        try await remember("service.active.remember") { $0.failed = nil }
        if isNew { try await tell("run", "\(desired.name): \(release) is live.", desired.deploymentId) }
    }

    private mutating func checkFolder(_ desired: DesiredService, _ release: String) async throws {
        let tree = paths.release(release)
        let folder = desired.publicFolder.map { $0 == "." ? tree : "\(tree)/\($0)" } ?? tree
        guard try await !host.files.isFolder(folder, below: tree) else { return }
        try await fail(desired, "The checkout has no folder \(desired.publicFolder ?? ".") after the build.")
    }

    /// Records a failed deployment. What serves goes on serving.
    mutating func fail(_ desired: DesiredService?, _ message: String) async throws {
        guard let desired else { return }
        let tail = await lastLines(of: desired)
        let text = tail.isEmpty ? message : "\(message)\n\(tail)"
        enter("failed", desired, message: text)
        try await remember("service.failed.remember") {
            $0.failed = FailedDeployment(deploymentId: desired.deploymentId, message: text)
        }
        try await tell("build", "\(desired.name): deployment failed: \(text)", desired.deploymentId)
    }

    private func lastLines(of service: DesiredService) async -> String {
        let runKey = Keys.run(service)
        guard let unit = memory.instances.last(where: { $0.runKey == runKey })?.unitId else { return "" }
        return await LogTail.lastLines(worker.parts.paths.unitLog(unit), host.files)
    }

    private mutating func drainAndStop(_ unit: String) async throws -> Duration {
        let now = host.clock.monotonic()
        if let record = memory.instances.first(where: { $0.unitId == unit }), !memory.isHolding {
            let began = drainBegan[unit] ?? now
            drainBegan[unit] = began
            let open = try await host.edge.status().requestsInFlight["127.0.0.1:\(record.port)"] ?? 0
            if open > 0, now - began < drainMax { return .milliseconds(20) }
        }
        drainBegan[unit] = nil
        try await stop(unit)
        return .zero
    }

    private mutating func stop(_ unit: String) async throws {
        let host = host
        try await host.effect("unit.stop") { try await host.supervisor.stop(unit) }
        _ = try await worker.parts.units.all(isFresh: true)
        if let label = memory.instances.first(where: { $0.unitId == unit })?.engineLabel {
            try await clearEngine(label: label)
        }
        try await remember("instance.forget") { $0.instances.removeAll { $0.unitId == unit } }
        // What it said last is often the most interesting: its log goes when the hub has it.
        hasOldLogs = true
    }

    private mutating func removeRelease(_ release: String) async throws {
        let (host, seal, tree) = (host, paths.seal(release), paths.release(release))
        if memory.usesContainers == true { try await clearImages(release: release) }
        try await host.effect("release.unseal") { try await host.files.remove(seal) }
        try await host.effect("release.remove") { try await host.files.remove(tree) }
        try await remember("release.forget") { $0.releases.removeAll { $0 == release } }
    }

    private mutating func forget() async throws {
        let (host, root, name) = (host, paths.root, memory.name)
        // One that never served has an upstream all the same, and maybe routes, which say that it is down.
        try await worker.parts.edge.set(nil, for: memory.serviceId)
        if let account = memory.account {
            try await host.effect("account.remove") { try await host.accounts.remove(account) }
        }
        try await removeAllLogs()
        if memory.usesContainers == true {
            try await clearEngine(label: "\(DockerCommands.serviceLabel)=\(memory.serviceId)")
            try await clearImages()
            try await removeBuildLimit()
        }
        try await tell("run", "\(name): removed.")
        try await host.effect("service.remove") { try await host.files.remove(root) }
        isForgotten = true
    }

    func tell(_ kind: String, _ message: String, _ deploymentId: String? = nil) async throws {
        try await worker.parts.outbox.add(kind, message, serviceId: memory.serviceId, deploymentId: deploymentId)
    }
}
