import AppsResources
import Host
import HubStore
import Logging
import Model
import ResourceKit

extension Hub {
    private static let resolveTimeout: Duration = .seconds(15)

    /// Resolves the service's reference and deploys the commit; answers the deployment that runs already when nothing
    /// changed.
    ///
    /// - Parameter expectedCommit: what a push says it brought; only for the event.
    /// - Throws: `git_unreachable`, `git_unknown_ref`, `timeout`: the running version is left alone.
    public func deploy(serviceId: String, by actor: String, expectedCommit: String?) async throws -> MutationAnswer {
        guard let service = try await store.read({ try $0.get("service", serviceId) }) else {
            throw Problem(.notFound, "There is no service \(serviceId).")
        }
        let commit: String
        do {
            commit = try await resolve(Deployments.snapshot(service.spec), key: service.state["deploy_key_private"])
        } catch {
            let problem = Problem(wrapping: error, doing: "Resolving the reference")
            try await write { transaction in
                try transaction.emit(
                    HubEvent(
                        time: transaction.now, kind: "build", stackId: service.parentId, serviceId: serviceId,
                        message: "\(service.spec["name"]?.stringValue ?? ""): not deployed: \(problem.message)"))
            }
            throw problem
        }
        let reason = expectedCommit == nil ? "deploy" : "push"
        let record = try await write { transaction in
            try Self.deploy(serviceId, commit: commit, reason: reason, by: actor, transaction)
        }
        guard let kind = kind("deployment") else { throw Problem(.internalError, "There is no kind deployment.") }
        return MutationAnswer(code: 202, body: rendered(record, kind))
    }

    /// Starts a deployment of a commit, or finds the one that has brought it, or is about to.
    private static func deploy(
        _ serviceId: String, commit: String, reason: String, by actor: String, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard let service = try transaction.get("service", serviceId) else {
            throw Problem(.notFound, "There is no service \(serviceId).")
        }
        if let last = try running(.commit(commit), service, transaction) { return last }
        return try Deployments.start(of: service, .commit(commit), reason: reason, by: actor, transaction)
    }

    /// The body of a planned deploy: the reference is resolved as for a real one, and nothing is kept.
    func plannedDeploy(
        serviceId: String, by actor: String
    ) async throws -> @Sendable (RecordingTransaction) throws -> MutationOutcome {
        guard let service = try await store.read({ try $0.get("service", serviceId) }) else {
            throw Problem(.notFound, "There is no service \(serviceId).")
        }
        let snapshot = Deployments.snapshot(service.spec)
        let commit = try await resolve(snapshot, key: service.state["deploy_key_private"])
        return { transaction in
            _ = try Self.deploy(serviceId, commit: commit, reason: "deploy", by: actor, transaction)
            return MutationOutcome(id: serviceId, answer: MutationAnswer(code: 202, body: .null))
        }
    }

    private func resolve(_ snapshot: [String: JSONValue], key: JSONValue?) async throws -> String {
        guard let url = snapshot["git_url"]?.stringValue else {
            throw Problem(
                .conflict, "The service has no git_url; it runs what is uploaded.",
                hint: "Upload it: roost upload SERVICE FOLDER.")
        }
        let ref = snapshot["git_ref"]?.stringValue
        let privateKey = try key?.stringValue.map { try world.secrets.open($0) }
        return try await world.git.resolve(
            url: url, ref: ref, credentials: GitCredentials(sshPrivateKey: privateKey), timeout: Self.resolveTimeout)
    }

    /// Brings along what has no request behind it: new deployments get their commit, silent servers are marked. Runs
    /// until cancelled; everything it does is found again in the store after a crash.
    public func runFleet() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.resolvePending() }
            group.addTask { await self.watchSilence() }
            group.addTask { await self.settleStacks() }
            group.addTask { await self.writeSightings() }
            group.addTask { await self.markChangedStacks() }
            group.addTask { await self.markAllStacksAgain() }
            group.addTask { await self.hearOtherHubs() }
            await group.waitForAll()
        }
    }

    /// Dashboards and loops of this hub learn what others on the same store did.
    private func hearOtherHubs() async {
        do {
            guard let announcements = try store.announcements() else { return }
            for await announced in announcements { changes.publish(announced) }
        } catch {
            // They find everything at their next look, though not at once.
            logger.error("changes by other hubs are not heard of", metadata: ["error": "\(error)"])
        }
    }

    private func resolvePending() async {
        let feed = changes.subscribe(to: .kinds(["deployment"]))
        var underWay: Set<String> = []
        var isPausing = false
        await withTaskGroup(of: Finished.self) { group in
            group.addTask { await Self.nextDeployment(feed) }
            while !Task.isCancelled {
                let pending = await pendingDeployments()
                if pending == nil, !isPausing {
                    isPausing = true
                    group.addTask { await self.pauseAfterFailedRead() }
                }
                for deployment in pending ?? [] where underWay.insert(deployment.id).inserted {
                    group.addTask {
                        await self.resolveAndStart(deployment)
                        return .deployment(deployment.id)
                    }
                }
                switch await group.next() {
                case .deployment(let id): underWay.remove(id)
                case .change: group.addTask { await Self.nextDeployment(feed) }
                case .pause: isPausing = false
                case nil: return
                }
            }
            group.cancelAll()
        }
    }

    private enum Finished: Sendable {
        case deployment(String)
        case change
        /// There may be some that could not be read.
        case pause
    }

    private static func nextDeployment(_ feed: AsyncStream<HubChange>) async -> Finished {
        for await _ in feed { break }
        return .change
    }

    private func pauseAfterFailedRead() async -> Finished {
        // A cancelled sleep ends the loop at its head.
        try? await world.clock.sleep(for: .seconds(1))
        return .pause
    }

    /// Nil when they cannot be read.
    private func pendingDeployments() async -> [ResourceRecord]? {
        do {
            return try await store.read { transaction in
                try transaction.all("deployment", parentId: nil).filter { $0.status == .pending }
            }
        } catch {
            logger.warning("pending deployments could not be read", metadata: ["error": "\(error)"])
            return nil
        }
    }

    private func resolveAndStart(_ deployment: ResourceRecord) async {
        do {
            let service = try await store.read { try $0.get("service", deployment.parentId ?? "") }
            let outcome: Result<String, Problem>
            do {
                let snapshot = deployment.state["snapshot"]?.objectValue ?? [:]
                outcome = .success(try await resolve(snapshot, key: service?.state["deploy_key_private"]))
            } catch {
                outcome = .failure(Problem(wrapping: error, doing: "Resolving the reference"))
            }
            try await write { transaction in
                // Superseded or removed meanwhile: nothing to do.
                guard let current = try transaction.get("deployment", deployment.id), current.status == .pending else {
                    return
                }
                switch outcome {
                case .success(let commit): try Deployments.resolved(current, .commit(commit), transaction)
                case .failure(let problem): try Deployments.fail(current, problem.description, transaction)
                }
            }
        } catch {
            logger.warning("a deployment could not be started", metadata: ["error": "\(error)"])
            // The next pass finds it again; a cancelled sleep ends that.
            try? await world.clock.sleep(for: .seconds(1))
        }
    }

    private func watchSilence() async {
        while !Task.isCancelled {
            do {
                try await world.clock.sleep(for: .seconds(1))
                try await markSilentNodes()
            } catch is CancellationError {
                return
            } catch {
                logger.warning("silent servers could not be marked", metadata: ["error": "\(error)"])
            }
        }
    }

    /// Statuses follow the reports. Many reports at once make one look: its cost does not grow with their number.
    private func settleStacks() async {
        while !Task.isCancelled {
            for stackId in await dirtyStacks.next() {
                let began = world.clock.monotonic()
                do {
                    try await settle(stackId: stackId)
                } catch {
                    logger.warning(
                        "statuses could not be settled", metadata: ["stack": "\(stackId)", "error": "\(error)"])
                    dirtyStacks.mark(stackId)
                    // A cancelled sleep ends the loop at its head.
                    try? await world.clock.sleep(for: .seconds(1))
                }
                let spent = world.clock.monotonic() - began
                // A large stack is looked at less often; a small one within milliseconds.
                try? await world.clock.sleep(for: min(spent * 4, .seconds(3)))
            }
        }
    }

    /// Brings the statuses of a stack and what is in it up to what its servers last said.
    package func settle(stackId: String) async throws {
        try await write { [self] transaction in
            try Settling.settle(stackId: stackId, transaction)
            try noteHash(ofStack: stackId, transaction)
        }
    }

    private func markChangedStacks() async {
        for await change in changes.subscribe(to: .kinds(["stack"])) {
            if change.kind == "stack" { dirtyStacks.mark(change.id) }
            if change == .everything { await markAllStacks() }
        }
    }

    /// What no report and no change tells of is found by looking now and then.
    private func markAllStacksAgain() async {
        while !Task.isCancelled {
            await markAllStacks()
            // A cancelled sleep ends the loop at its head.
            try? await world.clock.sleep(for: .seconds(60))
        }
    }

    private func markAllStacks() async {
        do {
            for stack in try await store.read({ try $0.all("stack", parentId: nil) }) { dirtyStacks.mark(stack.id) }
        } catch {
            logger.warning("stacks could not be read", metadata: ["error": "\(error)"])
        }
    }
}
