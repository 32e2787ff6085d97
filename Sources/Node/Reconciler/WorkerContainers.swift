import AgentProtocol
import Host
import Model

/// What a build left in the container engine.
struct EngineImages: Sendable, Equatable {
    var names: [String]
    var composeFile: String?
}

/// Building and running by the container engine. Its client runs as the agent's own account: whoever may speak to the
/// engine is root, so a service's account never gets there.
extension WorkerRun {
    /// A server without Docker fails the deployment before anything is fetched; a Docker that does not answer is waited
    /// for.
    ///
    /// - Returns: nil when the deployment has failed.
    mutating func engineClient(_ desired: DesiredService) async throws -> ContainerClient? {
        do {
            return try await host.containers.client()
        } catch let problem as Problem where problem.code == .notFound {
            try await fail(desired, "\(problem.message) \(problem.hint ?? "")")
            return nil
        }
    }

    /// Builds the images of a release in its checked-out tree.
    ///
    /// - Returns: what the seal is to say of them; nil when the deployment failed or was given up.
    mutating func buildImages(_ desired: DesiredService, release: String) async throws -> EngineImages? {
        guard let client = try await engineClient(desired) else { return nil }
        try await remember("containers.remember") { $0.usesContainers = true }
        let group = try await limitBuild(desired)
        let images =
            desired.kind == "compose"
            ? try await buildCompose(desired, client, release: release, group: group)
            : try await buildContainer(desired, client, release: release, group: group)
        if group != nil { try await removeBuildLimit() }
        return images
    }

    private var buildGroup: String { Keys.engineName(memory.name, id: memory.serviceId) }

    /// Not everywhere can memory be limited. A build goes on without a limit then, and an event says so.
    private func limitBuild(_ desired: DesiredService) async throws -> String? {
        guard let bytes = desired.buildMemoryMaxBytes else { return nil }
        let (host, group) = (host, buildGroup)
        do {
            return try await host.effect("build.group.make") {
                try await host.containers.limitBuild(group: group, memoryMaxBytes: bytes)
            }
        } catch let problem as Problem where [.unavailable, .invalid].contains(problem.code) {
            try await tellUnlimited("\(problem.message) \(problem.hint ?? "")", desired)
            return nil
        }
    }

    private func tellUnlimited(_ reason: String, _ desired: DesiredService) async throws {
        try await tell(
            "build", "\(desired.name): the build is not held to build_memory_max. \(reason)", desired.deploymentId)
    }

    /// What an interrupted build left is removed with the next one, or with the service.
    func removeBuildLimit() async throws {
        let (host, group) = (host, buildGroup)
        try await host.effect("build.group.remove") { await host.containers.removeLimit(group: group) }
    }

    /// Said of a failed build that wanted more memory than it may have.
    func memoryWord(_ desired: DesiredService) async -> String {
        guard let bytes = desired.buildMemoryMaxBytes, await host.containers.hasReachedLimit(group: buildGroup) else {
            return ""
        }
        return "; it reached its memory limit of \(ByteCount.text(bytes))"
    }

    private mutating func buildContainer(
        _ desired: DesiredService, _ client: ContainerClient, release: String, group: String?
    ) async throws -> EngineImages? {
        let argv = DockerCommands.build(desired, tree: paths.release(release), group: group)
        guard try await engineStep(argv, desired, client, client.environment, release: release) else { return nil }
        return EngineImages(names: [DockerCommands.image(desired)])
    }

    private mutating func buildCompose(
        _ desired: DesiredService, _ client: ContainerClient, release: String, group: String?
    ) async throws -> EngineImages? {
        let tree = paths.release(release)
        let names = try await host.files.list(tree)
        guard let file = desired.composeFile ?? ComposeModel.usualFiles.first(where: names.contains) else {
            try await fail(desired, "The checkout has no \(ComposeModel.usualFiles[0]). Name the file in compose_file.")
            return nil
        }
        let project = "roost-\(Keys.engineName(desired.name, id: desired.id))"
        var environment = client.environment.merging(containerEnvironment(desired)) { $1 }
        environment["PORT"] = String(desired.port ?? ComposeModel.standInPort)
        let check = DockerCommands.compose(project: project, files: ["\(tree)/\(file)"], ["config", "--quiet"])
        guard try await engineStep(check, desired, client, environment, release: release) else { return nil }
        let model = try await readModel("\(tree)/\(file)", project: project, environment)
        if let flaw = model.flaw(port: desired.port) {
            try await fail(desired, flaw)
            return nil
        }
        let (host, additions) = (host, "\(tree)/\(ComposeModel.additionsFile)")
        let bytes = model.additions(desired).canonicalBytes
        try await host.effect("compose.additions.write") { try await host.files.write(additions, bytes, mode: 0o644) }
        for image in model.pulledImages where try await !hasImages([image]) {
            guard try await engineStep(["pull", image], desired, client, environment, release: release) else {
                return nil
            }
        }
        let images = model.builtImages(desired).values.sorted()
        let limitFlaw = group == nil ? nil : model.limitFlaw
        if let limitFlaw { try await tellUnlimited(limitFlaw, desired) }
        if let group, limitFlaw == nil {
            for build in model.builds(desired, group: group) {
                let variables = client.environment.merging(build.arguments) { own, _ in own }
                guard try await engineStep(build.argv, desired, client, variables, release: release) else { return nil }
            }
        } else if !images.isEmpty {
            let files = ["\(tree)/\(file)", additions]
            let argv = DockerCommands.compose(project: project, files: files, ["build", "--progress", "plain"])
            guard try await engineStep(argv, desired, client, environment, release: release) else { return nil }
        }
        return EngineImages(names: images, composeFile: file)
    }

    private func readModel(
        _ file: String, project: String, _ environment: [String: String]
    ) async throws -> ComposeModel {
        let argv = DockerCommands.compose(project: project, files: [file], ["config", "--format", "json"])
        let result = try await host.containers.ask(argv, environment: environment, timeout: .seconds(60))
        // The output holds what the environment holds, so it is not shown.
        guard result.succeeded, let json = try? JSONParser.parse(result.output) else {
            throw Problem(.unavailable, "Docker compose could not show the compose file; it will be asked again.")
        }
        return ComposeModel(json, project: project)
    }

    /// One run of the client as a build unit. A failure is the deployment's, unless the engine went away meanwhile.
    private mutating func engineStep(
        _ arguments: [String], _ desired: DesiredService, _ client: ContainerClient, _ environment: [String: String],
        release: String
    ) async throws -> Bool {
        let unit = Keys.buildUnit(desired, release: release)
        let spec = UnitSpec(
            id: unit, argv: [client.program] + arguments, environment: environment,
            workingDirectory: paths.release(release), restart: .never, stopGraceMs: 2000,
            timeLimitMs: desired.buildTimeoutMs,
            logFolder: worker.parts.paths.buildLog(desired.name, desired.deploymentId),
            logSizeMaxBytes: 4_194_304, logFilesMax: 2)
        return try await build(desired, spec, release: release, isOfEngine: true)
    }

    /// Whether the engine has all of these images.
    func hasImages(_ references: [String]) async throws -> Bool {
        guard !references.isEmpty else { return true }
        let result = try await host.containers.ask(
            ["image", "inspect", "--format", "{{.Id}}"] + references, environment: [:], timeout: .seconds(60))
        return result.succeeded
    }

    /// What a container, or the compose file, finds in its environment besides `PORT`.
    func containerEnvironment(_ service: DesiredService) -> [String: String] {
        let own = [
            "ROOST_SERVICE": service.name, "ROOST_COMMIT": service.commit, "ROOST_RELEASE": Keys.release(service),
        ]
        return own.merging(service.env) { $1 }
    }

    /// What the seal of a release says.
    func seal(of release: String) async throws -> ReleaseSeal? {
        try await JSONFile.read(ReleaseSeal.self, paths.seal(release), host.files)
    }

    /// The unit of an instance, or nil when its images are gone: its release has lost its seal then, and is built
    /// again.
    func engineSpec(_ service: DesiredService, _ record: InstanceRecord) async throws -> UnitSpec? {
        let client = try await host.containers.client()
        let sealed = try await seal(of: record.release)
        let images = sealed?.images ?? []
        guard try await hasImages(images) else {
            let (host, seal) = (host, paths.seal(record.release))
            try await host.effect("release.unseal.imageless") { try await host.files.remove(seal) }
            return nil
        }
        let name = Keys.engineRun(service, runKey: record.runKey, index: record.index)
        var variables = containerEnvironment(service)
        let isCompose = service.kind == "compose"
        variables["PORT"] = String(
            isCompose ? record.port : DockerCommands.innerPort(service, outer: record.port))
        let tree = paths.release(record.release)
        let files = ["\(tree)/\(sealed?.composeFile ?? "")", "\(tree)/\(ComposeModel.additionsFile)"]
        let run =
            isCompose
            ? DockerCommands.composeUp(project: name, files: files, graceMs: service.stopGraceMs)
            : DockerCommands.run(service, name: name, outerPort: record.port, names: Array(variables.keys))
        let remove =
            isCompose
            ? DockerCommands.composeDown(name, graceMs: service.stopGraceMs) : DockerCommands.remove(name)
        return UnitSpec(
            id: record.unitId, argv: [client.program] + run,
            environment: client.environment.merging(variables) { $1 }, workingDirectory: tree,
            stopSignal: service.stopSignal, stopGraceMs: service.stopGraceMs + (isCompose ? 5000 : 1000),
            tasksMax: DockerCommands.processesMax, logFolder: worker.parts.paths.unitLog(record.unitId),
            prepareArgv: [client.program] + remove, cleanupArgv: [client.program] + remove,
            hookTimeLimitMs: 30_000 + service.stopGraceMs)
    }

    /// Label by which everything that an instance started is found in the engine.
    static func engineLabel(_ service: DesiredService, runKey: String, index: Int) -> String? {
        guard service.usesContainers else { return nil }
        let key = service.kind == "compose" ? DockerCommands.projectLabel : DockerCommands.runLabel
        return "\(key)=\(Keys.engineRun(service, runKey: runKey, index: index))"
    }

    /// Why a connection to the published port would say nothing yet; nil when all containers have been started. Until
    /// then the engine takes connections and keeps them open.
    func containersFlaw(_ label: String) async throws -> String? {
        let result = try await host.containers.ask(
            ["ps", "--all", "--filter", "label=\(label)", "--format", "{{.State}}"], environment: [:],
            timeout: .seconds(20))
        let states = result.outputText.split(separator: "\n")
        guard result.succeeded, states.contains("running"), !states.contains("created") else {
            return "its container is not running"
        }
        return nil
    }

    /// The unit of a container is the engine's client: its memory says nothing, and its exit code needs translation.
    func explainContainers(_ units: inout [String: UnitStatus], _ desired: DesiredService?) {
        for record in memory.instances where record.engineLabel != nil {
            guard var unit = units[record.unitId] else { continue }
            let isServing = memory.serving?.unitIds.contains(record.unitId) == true
            unit.memoryBytes = nil
            if let service = isServing ? memory.serving?.service : desired, service.kind == "container",
                let text = DockerCommands.explain(exitCode: unit.exitCode, service)
            {
                unit.lastError = text
            }
            units[record.unitId] = unit
        }
    }

    /// Removes containers and networks with this label; their volumes stay.
    ///
    /// - Throws: `unavailable` when the engine does not answer. Where there is none, there is nothing to remove.
    func clearEngine(label: String) async throws {
        let host = host
        try await host.effect("containers.remove") {
            try await Self.removeAll(
                ["ps", "--all", "--quiet", "--filter", "label=\(label)"], by: ["rm", "--force", "--volumes"], host)
            try await Self.removeAll(
                ["network", "ls", "--quiet", "--filter", "label=\(label)"], by: ["network", "rm"], host)
        }
    }

    /// Removes the images of a release, or of all releases.
    func clearImages(release: String? = nil) async throws {
        let (host, id) = (host, memory.serviceId)
        let pattern = "\(DockerCommands.repository(memory.name, id: id)):\(release ?? "")*"
        try await host.effect("images.remove") {
            try await Self.removeAll(
                ["image", "ls", "--filter", "reference=\(pattern)", "--format", "{{.Repository}}:{{.Tag}}"],
                by: ["image", "rm", "--force"], host)
            guard release == nil else { return }
            // Images that lost their tag to a later build of the same release.
            try await Self.removeAll(
                ["image", "ls", "--quiet", "--filter", "label=\(DockerCommands.serviceLabel)=\(id)"],
                by: ["image", "rm", "--force"], host)
        }
    }

    private static func removeAll(_ query: [String], by remove: [String], _ host: Host) async throws {
        let found: CommandResult
        do {
            found = try await host.containers.ask(query, environment: [:], timeout: .seconds(60))
        } catch let problem as Problem where problem.code == .notFound {
            return
        }
        guard found.succeeded else { throw unreachable(found) }
        let names = Set(found.outputText.split(separator: "\n").map(String.init)).sorted()
        guard !names.isEmpty else { return }
        let removed = try await host.containers.ask(remove + names, environment: [:], timeout: .seconds(120))
        if removed.succeeded { return }
        // What went away by itself meanwhile is no failure: what counts is that nothing is left.
        let left = try await host.containers.ask(query, environment: [:], timeout: .seconds(60))
        guard left.succeeded, left.outputText.isEmpty else { throw unreachable(removed) }
    }

    private static func unreachable(_ result: CommandResult) -> Problem {
        Problem(
            .unavailable, "Docker could not be asked to clear away what a service left; it will be asked again.",
            context: String(result.errorText.prefix(500)))
    }
}
