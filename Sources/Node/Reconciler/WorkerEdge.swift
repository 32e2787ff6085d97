import AgentProtocol
import Host
import Model
import Synchronization

/// What the service wants of the edge, and what it reports.
extension WorkerRun {
    func refreshEdge(_ observed: ServiceObservation) async throws {
        let desired = worker.shared.withLock { $0.desired }
        try await worker.parts.edge.set(
            Self.contribution(memory, desired: desired, health: observed.health, paths: paths), for: memory.serviceId)
    }

    /// Pure: routes come from what is desired, endpoints from what serves and is well.
    static func contribution(
        _ memory: ServiceMemory, desired: DesiredService?, health: [String: HealthVerdict], paths: ServicePaths
    ) -> EdgeContribution? {
        guard let service = desired ?? memory.serving?.service else { return nil }
        var upstream = EdgeUpstream(id: memory.serviceId, name: service.name, mode: .down)
        if let serving = memory.serving {
            upstream.mode = memory.isHolding ? .hold : .serve
            let records = memory.instances.filter { serving.unitIds.contains($0.unitId) }
            let well = records.filter { if case .unhealthy = health[$0.unitId] { false } else { true } }
            // A canary that is not well gets no requests; of a service, those that are not are better than none.
            let chosen = well.isEmpty && service.canaryOf == nil ? records : well
            upstream.endpoints = chosen.map { EdgeEndpoint(host: "127.0.0.1", port: $0.port) }
            if memory.sleep != nil {
                upstream.mode = .wake
                upstream.endpoints = []
            }
            if serving.service.kind == "static" {
                let tree = paths.release(serving.release)
                let folder = serving.service.publicFolder
                upstream.staticFolder = folder == nil || folder == "." ? tree : "\(tree)/\(folder!)"
                upstream.staticOptions = service.staticOptions
            }
            upstream.balance = service.balance
            upstream.breaker = service.breaker
            upstream.protocol = service.protocol
        }
        let isPublic = service.path != nil || !service.hostnames.isEmpty
        let prefix = service.path ?? "/"
        // Files are named below the folder, not below the public prefix.
        let strip = service.stripPath || service.kind == "static"
        let route = EdgeRoute(
            hosts: service.hostnames, pathPrefix: prefix, stripPrefix: strip, upstreamId: memory.serviceId,
            limits: service.maxBodyBytes.map { EdgeRouteLimits(maxBodyBytes: Int($0)) })
        guard let base = service.canaryOf else {
            return EdgeContribution(name: service.name, upstream: upstream, routes: isPublic ? [route] : [])
        }
        return EdgeContribution(
            name: service.name, upstream: upstream, routes: [], canaryOf: base,
            canaryPercent: service.canaryPercent ?? 0)
    }

    /// Makes the report of this service for the next heartbeat.
    func publish(_ observed: ServiceObservation, isConverged: Bool) {
        let desired = worker.shared.withLock { $0.desired }
        let serving = memory.serving
        let units = (serving?.unitIds ?? []).compactMap { observed.units[$0] }
        let memoryBytes = units.compactMap(\.memoryBytes)
        let report = ServiceReport(
            serviceId: memory.serviceId, name: memory.name, state: state(observed, desired),
            servingDeploymentId: serving?.service.deploymentId, commit: serving?.service.commit,
            release: serving?.release,
            ports: memory.instances.filter { serving?.unitIds.contains($0.unitId) == true }.map(\.port).sorted(),
            restarts: units.map(\.restarts).reduce(0, +), lastError: lastProblem ?? units.compactMap(\.lastError).first,
            memoryBytes: memoryBytes.isEmpty ? nil : memoryBytes.reduce(0, +),
            deployment: deploymentReport(desired))
        let isChanged = worker.shared.withLock { shared in
            defer {
                shared.report = report
                shared.isConverged = isConverged
            }
            return shared.report?.state != report.state || shared.report?.deployment != report.deployment
                || shared.report?.servingDeploymentId != report.servingDeploymentId
                || shared.isConverged != isConverged || shared.report?.restarts != report.restarts
        }
        if isChanged { worker.parts.changed.notify() }
    }

    private func deploymentReport(_ desired: DesiredService?) -> DeploymentReport? {
        guard let desired else { return memory.report }
        if memory.report?.deploymentId == desired.deploymentId { return memory.report }
        if let failed = memory.failed, failed.deploymentId == desired.deploymentId {
            return DeploymentReport(deploymentId: failed.deploymentId, phase: "failed", message: failed.message)
        }
        let isServing = memory.serving?.service.deploymentId == desired.deploymentId
        return DeploymentReport(deploymentId: desired.deploymentId, phase: isServing ? "active" : "queued")
    }

    private func state(_ observed: ServiceObservation, _ desired: DesiredService?) -> String {
        guard let serving = memory.serving else {
            guard let desired else { return "stopped" }
            if memory.failed?.deploymentId == desired.deploymentId { return "failed" }
            return ["building", "starting"].contains(memory.report?.phase ?? "") ? memory.report!.phase : "pending"
        }
        if serving.service.kind == "static" { return "running" }
        if let sleep = memory.sleep { return sleep == .asleep ? "asleep" : "starting" }
        let units = serving.unitIds.map { observed.units[$0] }
        if units.contains(where: { $0?.state == .crashLoop }) { return "crash_loop" }
        if units.contains(where: { $0 == nil || $0?.state == .backoff || $0?.state == .exited }) { return "backoff" }
        let isUnhealthy = serving.unitIds.contains { if case .unhealthy = observed.health[$0] { true } else { false } }
        if isUnhealthy { return "unhealthy" }
        return serving.unitIds.allSatisfy { observed.health[$0] == .healthy } ? "running" : "starting"
    }

    /// Crashes and health changes as events, each transition once.
    mutating func tellTransitions(_ observed: ServiceObservation) async throws {
        for record in memory.instances {
            guard let unit = observed.units[record.unitId] else { continue }
            let before = record.told ?? ToldState()
            var now = before
            now.restarts = unit.restarts
            now.isCrashLoop = unit.state == .crashLoop
            switch observed.health[record.unitId] {
            case .unhealthy: now.isUnhealthy = true
            case .healthy: now.isUnhealthy = false
            default: break
            }
            guard before != now else { continue }
            if now.isCrashLoop, !before.isCrashLoop {
                try await tell("crash", "\(memory.name): crash loop: \(unit.lastError ?? "it keeps ending").")
            } else if now.restarts > before.restarts, !now.isCrashLoop {
                let count = now.restarts - before.restarts
                let times = count > 1 ? " \(count) times" : ""
                try await tell("crash", "\(memory.name): \(unit.lastError ?? "ended"); started again\(times).")
            }
            if now.isUnhealthy, !before.isUnhealthy, case .unhealthy(let why) = observed.health[record.unitId] {
                let sentence = why.hasSuffix(".") ? why : why + "."
                try await tell("health", "\(memory.name): unhealthy: \(sentence)")
            } else if !now.isUnhealthy, before.isUnhealthy {
                try await tell("health", "\(memory.name): healthy again.")
            }
            try await remember("instance.told.remember") { next in
                for index in next.instances.indices where next.instances[index].unitId == record.unitId {
                    next.instances[index].told = now
                }
            }
        }
    }
}
