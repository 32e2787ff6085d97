import AgentProtocol
import Host

/// Logs of builds and instances that are no more. They stay until the hub has seen them to their end.
extension WorkerRun {
    /// The hub may be away for long: of builds, and of instances, no more than this many wait for it.
    private static let unsentLogsMax = 5

    /// Removes logs of earlier builds, but for some that still have to be sent.
    func removeOldBuildLogs(except current: String) async throws {
        _ = try await removeSentLogs(AgentPaths.buildLogPrefix(memory.name), label: "build.log.remove.old") {
            worker.parts.paths.unitLog($0) == current
        }
    }

    /// Removes logs of stopped instances as soon as they are sent.
    mutating func removeOldInstanceLogs(_ observed: ServiceObservation) async throws {
        guard hasOldLogs else { return }
        let known = Set(memory.instances.map(\.unitId)).union(observed.units.keys)
        hasOldLogs = try await removeSentLogs(AgentPaths.instancePrefix(memory.name), label: "unit.log.remove") {
            known.contains($0)
        }
    }

    /// Removes every log of the service, which is gone, at the hub too.
    func removeAllLogs() async throws {
        let host = host
        let prefixes = [AgentPaths.buildLogPrefix(memory.name), AgentPaths.instancePrefix(memory.name)]
        for name in try await host.files.list(worker.parts.paths.logs) where prefixes.contains(where: name.hasPrefix) {
            let path = worker.parts.paths.unitLog(name)
            try await host.effect("service.log.remove") { try await host.files.remove(path) }
        }
    }

    /// - Returns: Whether some were left for later.
    private func removeSentLogs(
        _ prefix: String, label: EffectLabel, isKept: (String) -> Bool
    ) async throws -> Bool {
        let host = host
        var unsent = 0
        for name in try await host.files.list(worker.parts.paths.logs) where name.hasPrefix(prefix) && !isKept(name) {
            if unsent < Self.unsentLogsMax, try await !worker.parts.shipper.hasShipped(name) {
                unsent += 1
                continue
            }
            let path = worker.parts.paths.unitLog(name)
            try await host.effect(label) { try await host.files.remove(path) }
        }
        return unsent > 0
    }
}
