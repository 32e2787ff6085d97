import AgentProtocol
import Host
import Model
import Synchronization

private let searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/// Written last into a release: what it is, and how much.
struct ReleaseSeal: Codable, Sendable, Equatable {
    var commit: String
    var sealedAt: String
    /// Nil in seals of versions that did not measure.
    var files: Int?
    var bytes: Int64?
    /// Images that the container engine must have for it to run.
    var images: [String]?
    /// Of a compose service, relative to the tree.
    var composeFile: String?
}

/// Brings a release into being: objects, tree, build, seal.
extension WorkerRun {
    mutating func makeRelease(_ desired: DesiredService) async throws {
        let release = Keys.release(desired)
        let tree = paths.release(release)
        enter("fetching", desired)
        if desired.usesContainers, try await engineClient(desired) == nil { return }
        try await clearHalf(release, desired)
        let host = host
        do {
            if desired.isUpload {
                try await unpackUpload(desired, to: tree)
            } else {
                try await checkOut(desired, to: tree)
            }
        } catch let problem as Problem where Self.isFinal(problem) {
            return try await fail(desired, [problem.message, problem.hint].compactMap(\.self).joined(separator: " "))
        }
        if let account = try await ensureAccount(desired) {
            try await host.effect("release.give") { try await host.files.give(tree, to: account) }
        }
        if desired.buildCommand != nil || desired.usesContainers { try await beginBuildLog(desired, release: release) }
        if let command = desired.buildCommand {
            let spec = buildSpec(desired, command, unit: Keys.buildUnit(desired, release: release), tree: tree)
            guard try await build(desired, spec, release: release) else { return }
        }
        var images: EngineImages?
        if desired.usesContainers {
            images = try await buildImages(desired, release: release)
            if images == nil { return }
        }
        let size = try await host.files.measure(tree)
        let seal = ReleaseSeal(
            commit: desired.commit, sealedAt: host.clock.now().rfc3339, files: size.files, bytes: size.bytes,
            images: images?.names, composeFile: images?.composeFile)
        let path = paths.seal(release)
        try await host.effect("release.seal") {
            // A seal that a power cut leaves beside empty files would make them count for ever.
            try await host.files.sync(tree)
            try await JSONFile.write(seal, path, host.files)
        }
        noteSize(seal, desired)
        try await remember("release.remember") { $0.releases = $0.releases.filter { $0 != release } + [release] }
    }

    private func unpackUpload(_ desired: DesiredService, to tree: String) async throws {
        let host = host
        let archive = try await worker.parts.uploads.fetch(desired.commit)
        try await host.effect("upload.unpack") {
            try await host.archives.unpack(archive, to: tree, timeout: .seconds(600))
        }
        try await host.effect("upload.archive.remove") { try await host.files.remove(archive) }
    }

    /// Puts the size of the release into the deployment's report.
    private mutating func noteSize(_ seal: ReleaseSeal, _ desired: DesiredService) {
        guard memory.report?.deploymentId == desired.deploymentId else { return }
        memory.report?.files = seal.files
        memory.report?.bytes = seal.bytes
    }

    /// The same for a release that was built for an earlier deployment.
    mutating func noteSize(of release: String, _ desired: DesiredService) async throws {
        if let seal = try await JSONFile.read(ReleaseSeal.self, paths.seal(release), host.files) {
            noteSize(seal, desired)
        }
    }

    private static let diskFreeBytesMin: Int64 = 1_048_576

    private static func isFinal(_ problem: Problem) -> Bool {
        [.gitUnreachable, .gitUnknownRef, .timeout, .commandFailed, .invalid].contains(problem.code)
    }

    /// What an interrupted attempt left: its build may still run, and its tree is worthless.
    private mutating func clearHalf(_ release: String, _ desired: DesiredService) async throws {
        let (host, tree) = (host, paths.release(release))
        let unit = Keys.buildUnit(desired, release: release)
        if try await worker.parts.units.all(isFresh: true)[unit] != nil {
            try await host.effect("build.stop.stale") { try await host.supervisor.stop(unit) }
        }
        try await host.effect("release.clear") { try await host.files.remove(tree) }
        guard !desired.isUpload else { return }
        let cache = worker.parts.paths.cache(url: desired.gitUrl)
        try await host.effect("git.prune") { try await host.git.prune(cache: cache) }
    }

    /// One log for all steps of a build.
    private func beginBuildLog(_ desired: DesiredService, release: String) async throws {
        let (host, logs) = (host, worker.parts.paths.buildLog(desired.name, desired.deploymentId))
        try await removeOldBuildLogs(except: logs)
        try await host.effect("build.log.clear") { try await host.files.remove(logs) }
        try await tell("build", "\(desired.name): building \(release).", desired.deploymentId)
    }

    /// Runs one step of a build. All steps of a build have the same unit and write to the same log, in turn.
    ///
    /// - Parameter isOfEngine: whether the container engine does the work: when it went away meanwhile, that is not the
    ///   build's failure, and it is tried again.
    /// - Returns: false when the build failed, or was given up for a newer deployment.
    mutating func build(
        _ desired: DesiredService, _ spec: UnitSpec, release: String, isOfEngine: Bool = false
    ) async throws -> Bool {
        enter("queued", desired)
        await worker.parts.builds.take()
        defer { worker.parts.builds.give() }
        enter("building", desired)
        let unit = spec.id
        let (host, logs) = (host, spec.logFolder)
        try await host.effect("build.start") { try await host.supervisor.start(spec) }
        let outcome = try await awaitBuild(unit, desired)
        try await host.effect("build.stop") { try await host.supervisor.stop(unit) }
        guard let outcome else { return false }
        if outcome.exitCode == 0 { return true }
        let tail = await LogTail.lastLines(logs, host.files)
        let isShort = isOfEngine ? await memoryWord(desired) : ""
        if isOfEngine {
            _ = try await host.containers.client()
            try await clearImages(release: release)
        }
        // A full disk has no room for the build's own words about it, so it is looked for while the tree is there.
        let isFull = try await host.facts.machine().diskFreeBytes < Self.diskFreeBytesMin
        // The tree goes first: a build that filled the disk must not keep its failure from being recorded.
        try await removeTree(release)
        let what =
            (outcome.lastError ?? "ended without a result") + isShort
            + (isFull ? "; the disk of the server is full" : "")
        try await fail(desired, "The build \(what)." + (tail.isEmpty ? "" : "\n\(tail)"))
        return false
    }

    private func removeTree(_ release: String) async throws {
        let (host, tree) = (host, paths.release(release))
        try await host.effect("build.tree.remove") { try await host.files.remove(tree) }
    }

    /// The end of the build, or nil when a newer deployment is asked for meanwhile.
    private func awaitBuild(_ unit: String, _ desired: DesiredService) async throws -> UnitStatus? {
        var pause: Duration = .milliseconds(5)
        while true {
            guard let status = try await worker.parts.units.all(isFresh: true)[unit] else {
                throw Problem(.unavailable, "The build vanished; it will be tried again.")
            }
            if status.state == .exited { return status }
            if worker.shared.withLock({ $0.isDecided && $0.desired?.deploymentId != desired.deploymentId }) {
                return nil
            }
            try await host.clock.sleep(for: pause)
            pause = min(pause * 1.5, .milliseconds(250))
        }
    }

    mutating func ensureAccount(_ service: DesiredService) async throws -> String? {
        let (host, name) = (host, Keys.account(service.name))
        if memory.account == nil {
            guard let account = try await host.effect("account.make", { try await host.accounts.ensure(name) }) else {
                return nil
            }
            try await remember("account.remember") { $0.account = account }
            let home = paths.home
            try await host.effect("home.make") {
                try await host.files.makeFolder(home, mode: 0o700)
                try await host.files.give(home, to: account)
            }
        }
        return memory.account
    }

    private func buildSpec(_ service: DesiredService, _ command: String, unit: String, tree: String) -> UnitSpec {
        UnitSpec(
            id: unit, argv: ["/bin/sh", "-ec", command],
            environment: baseEnvironment(service).merging(["CI": "true"]) { $1 }, workingDirectory: tree,
            user: memory.account, restart: .never, stopGraceMs: 2000, memoryMaxBytes: service.buildMemoryMaxBytes,
            tasksMax: 4096, timeLimitMs: service.buildTimeoutMs,
            logFolder: worker.parts.paths.buildLog(service.name, service.deploymentId),
            logSizeMaxBytes: 4_194_304, logFilesMax: 2)
    }

    func instanceSpec(_ service: DesiredService, _ record: InstanceRecord, account: String?) -> UnitSpec {
        var environment = baseEnvironment(service)
        environment["PORT"] = String(record.port)
        let (peers, suffix) = worker.shared.withLock { ($0.peers, $0.suffix) }
        let port = worker.parts.internalPort
        for peer in peers {
            let key = "SERVICE_\(String(peer.uppercased().map { $0 == "-" ? "_" : $0 }))_URL"
            environment[key] = "http://\(peer).\(suffix)" + (port == 80 ? "" : ":\(port)")
        }
        return UnitSpec(
            id: record.unitId, argv: ["/bin/sh", "-c", service.runCommand ?? "false"],
            environment: environment, workingDirectory: paths.release(record.release), user: account,
            stopSignal: service.stopSignal, stopGraceMs: service.stopGraceMs, memoryMaxBytes: service.memoryMaxBytes,
            cpuQuota: service.cpuQuota, tasksMax: 4096, logFolder: worker.parts.paths.unitLog(record.unitId))
    }

    private func baseEnvironment(_ service: DesiredService) -> [String: String] {
        let own = [
            "PATH": searchPath, "LANG": "C.UTF-8", "HOME": memory.account == nil ? paths.root : paths.home,
            "ROOST_SERVICE": service.name, "ROOST_COMMIT": service.commit, "ROOST_RELEASE": Keys.release(service),
        ]
        return own.merging(service.env) { $1 }
    }
}
