import AgentProtocol
import Host
import Logging
import Model
import Synchronization

/// What the agent does with the hub: ask, report, deliver. Each loop goes on by itself when the hub is away.
extension Agent {
    /// How long the hub may hold a question open.
    private static let longPollSeconds = 25

    func poll() async {
        var failures = 0
        var lastRefusal: String?
        while !Task.isCancelled {
            do {
                // The first question is answered at once; later ones when something changed.
                let known = await keeper.hash
                let wait = known == nil || failures > 0 ? 0 : Self.longPollSeconds
                let reply = try await hub.get(
                    "/api/v1/agent/desired-state?wait=\(wait)", ifNoneMatch: known,
                    timeout: .seconds(wait + 15))
                switch reply.status {
                case 200:
                    let envelope = try DesiredStateEnvelope(json: try JSONParser.parse(reply.body))
                    if try await keeper.accept(envelope), let document = await keeper.current {
                        await edge.note(document)
                        redistribute()
                        changed.notify()
                    }
                    lastRefusal = nil
                case 304: break
                default: throw SignedHub.problem(reply)
                }
                failures = 0
                note(hindrance: nil)
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                let problem = Problem(wrapping: error, doing: "Asking the hub")
                if problem.code == .storage { note(hindrance: problem.message) }
                if problem.code == .untrusted || problem.code == .forbidden, problem.message != lastRefusal {
                    lastRefusal = problem.message
                    await tell("security", "The hub's answer was refused: \(problem.message)")
                }
                logger.log(
                    level: problem.code == .storage ? .warning : .debug, "poll failed",
                    metadata: ["error": "\(problem)", "context": "\(problem.context ?? "")"])
                await pause(afterFailures: failures)
            }
        }
    }

    /// Tells the hub what keeps its document from being taken, or that nothing does.
    private func note(hindrance message: String?) {
        let isNews = hindrance.withLock { now in
            defer { now = message }
            return now != message
        }
        if isNews { changed.notify() }
    }

    /// Backoff with jitter, so that a thousand agents do not come back in one instant.
    private func pause(afterFailures failures: Int) async {
        let base = min(100 << min(failures, 10), 30_000)
        let jittered = Double(base) * (0.5 + host.random.unit())
        // A cancelled sleep ends the loop at its head.
        try? await host.clock.sleep(for: .milliseconds(Int(jittered)))
    }

    func beat(_ sequence: HeartbeatSequence) async {
        var sequence = sequence
        var failures = 0
        while !Task.isCancelled {
            do {
                let document = await keeper.current
                let machine = try WireCoding.encode(try await host.facts.machine())
                let (services, memory) = reports.withoutMemory
                let heartbeat = Heartbeat(
                    sequence: sequence.next(), agentVersion: options.agentVersion, protocolVersion: protocolVersion,
                    generation: document?.generation ?? 0, hash: await keeper.hash ?? "",
                    converged: isConverged(document), services: services, machine: machine,
                    eventsPending: await outbox.pending, requests: await edge.requests,
                    security: try await securityReport(), problem: hindrance.withLock { $0 },
                    sites: await sites.reports(for: document), traffic: await edge.traffic, memoryBytes: memory)
                _ = try await hub.post("/api/v1/agent/heartbeat", heartbeat)
                failures = 0
                await openSession()
                let interval: Duration = .milliseconds(document?.pollIntervalMs ?? 10_000)
                await changed.wait(atMost: interval, host.clock)
                // Several changes in a row make one heartbeat.
                try await host.clock.sleep(for: .milliseconds(5))
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                logger.debug("heartbeat failed", metadata: ["error": "\(error)"])
                await pause(afterFailures: failures)
            }
        }
    }

    /// Right after an answer: a hub that is away is not asked for a session.
    private func openSession() async {
        do {
            try await hub.openSessionIfDue()
        } catch {
            // Requests are signed until there is one.
            logger.debug("no session was opened", metadata: ["error": "\(error)"])
        }
    }

    func deliverEvents() async {
        var failures = 0
        while !Task.isCancelled {
            do {
                let batch = await outbox.batch(200)
                guard !batch.isEmpty else {
                    await outbox.added.wait(atMost: .seconds(30), host.clock)
                    continue
                }
                let answer = try await hub.post("/api/v1/agent/events", EventBatch(events: batch))
                try await outbox.acknowledge(try WireCoding.decode(EventReceipt.self, from: answer).acknowledged)
                failures = 0
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                logger.debug("events could not be delivered", metadata: ["error": "\(error)"])
                await pause(afterFailures: failures)
            }
        }
    }

    /// The edge is looked at now and then, like everything that is kept.
    func healEdge() async {
        while !Task.isCancelled {
            do {
                try await host.clock.sleep(for: .seconds(5))
                try await tellEdgeEnds()
                try await edge.heal()
                try await retireFormerEdges()
            } catch is CancellationError {
                return
            } catch {
                logger.debug("the edge could not be asked", metadata: ["error": "\(error)"])
            }
        }
    }

    func tell(_ kind: String, _ message: String) async {
        do {
            try await outbox.add(kind, message)
        } catch {
            logger.error("an event could not be kept", metadata: ["event": "\(message)", "error": "\(error)"])
        }
    }

    func frontDoor(_ document: DesiredState?) -> String {
        options.edgeAddress ?? "\(document?.proxy.bind ?? "0.0.0.0"):\(document?.proxy.port ?? 80)"
    }

    /// Nil while no site of the document wants TLS: nothing listens unasked.
    private func tlsDoor(_ document: DesiredState?) -> String? {
        guard document?.sites?.contains(where: { $0.tls.mode != .off }) == true else { return nil }
        if let address = options.edgeTLSAddress { return address }
        guard let port = document?.proxy.tlsPort else { return nil }
        // Beside the front door in clear text.
        let front = frontDoor(document)
        return front.lastIndex(of: ":").map { "\(front[..<$0]):\(port)" }
    }

    func edgeListeners(_ document: DesiredState?) -> EdgeListeners {
        EdgeListeners(
            publicAddress: frontDoor(document), tlsAddress: tlsDoor(document),
            internalAddress: "\(options.internalHost):\(options.internalPort)",
            dnsAddress: "\(options.internalHost):\(options.dnsPort)", controlSocket: paths.edgeSocket,
            tablePath: paths.edgeTable, logFolder: paths.unitLog("edge.access"), challengeFolder: paths.challenges,
            dnsResolvers: options.dnsResolvers,
            program: options.agentVersion)
    }

    /// What the edge is to be after the one of `before`: the same, or the next generation.
    func edgeListeners(_ document: DesiredState?, after before: EdgeListeners?) -> EdgeListeners {
        var listeners = edgeListeners(document)
        guard let before else {
            listeners.generation = 1
            return listeners
        }
        listeners.generation = before.generation
        if listeners != before || before.generation == nil { listeners.generation = (before.generation ?? 1) + 1 }
        return listeners
    }

    /// The edge is a unit like the applications, so that it outlives the agent.
    ///
    /// Other addresses or another program are another generation: a unit of its own, which takes the listening sockets
    /// over from the one before while both run. That one is stopped when the new one serves; see
    /// ``retireFormerEdges()``.
    func startEdge() async throws {
        let before = try await JSONFile.read(EdgeListeners.self, paths.edgeConfiguration, host.files)
        let listeners = edgeListeners(await keeper.current, after: before)
        if before != listeners {
            try await host.effect("edge.configure") { [host, paths, listeners] in
                try await JSONFile.write(listeners, paths.edgeConfiguration, host.files)
            }
        }
        // A file for each generation: one that is started again must not find the addresses of the next.
        let unit = EdgeUnit(generation: listeners.generation ?? 1)
        let path = paths.edgeConfiguration(unit)
        if try await JSONFile.read(EdgeListeners.self, path, host.files) != listeners {
            try await host.effect("edge.listeners") { [host, listeners] in
                try await JSONFile.write(listeners, path, host.files)
            }
        }
        // A process that was handed over finishes what it has, before it is killed.
        let spec = UnitSpec(
            id: unit.id, argv: [options.program, "edge", "--config", path],
            environment: ["PATH": "/usr/bin:/bin"], backoffFirstMs: EdgeUnit.backoffFirstMs,
            backoffMaxMs: EdgeUnit.backoffMaxMs, stopGraceMs: 40_000, logFolder: paths.unitLog(unit.id))
        try await host.effect("edge.start") { [host] in try await host.supervisor.start(spec) }
        edgeUnit.withLock { $0 = unit }
        try await tellEdgeEnds()
        await edge.setUnit(unit.id, logFolder: paths.unitLog(unit.id))
    }

    /// Stops the edges of earlier generations once the one that is wanted serves.
    func retireFormerEdges() async throws {
        let current = edgeUnit.withLock { $0 }
        let former = try await host.supervisor.list().map(\.id).compactMap(EdgeUnit.init).filter { $0 != current }
        guard !former.isEmpty else { return }
        guard try await host.edge.status().generation == current.generation else { return await tellWaiting(current) }
        for unit in former {
            try await host.effect("edge.retire") { [host] in try await host.supervisor.stop(unit.id) }
            let path = paths.edgeConfiguration(unit)
            try await host.effect("edge.forget") { [host] in try await host.files.remove(path) }
        }
    }

    /// Says once why the edge that is wanted does not come up; the one before it goes on meanwhile.
    private func tellWaiting(_ unit: EdgeUnit) async {
        guard let reason = await edge.endReason() else { return }
        let isNews = toldEdge.withLock { told in
            defer { told = unit }
            return told != unit
        }
        if isNews { await tell("config", "The edge could not be changed and serves as before: \(reason)") }
    }
}

extension EdgeListeners {
    /// Where strangers reach it.
    var addresses: [String] { [publicAddress, tlsAddress].compactMap { $0 } }
}

/// Numbers heartbeats so that a later agent's are always greater, with one write per start.
struct HeartbeatSequence {
    private var last: Int64

    static func begin(host: Host, path: String) async throws -> HeartbeatSequence {
        let text = try await host.files.read(path, bytesMax: 64).map { String(decoding: $0, as: UTF8.self) }
        let epoch = (text.flatMap(Int64.init) ?? 0) + 1
        try await host.effect("epoch.write") {
            try await host.files.write(path, Array(String(epoch).utf8), mode: 0o600)
        }
        return HeartbeatSequence(last: epoch << 32)
    }

    mutating func next() -> Int64 {
        last += 1
        return last
    }
}
