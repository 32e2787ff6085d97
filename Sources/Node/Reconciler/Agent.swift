import AgentProtocol
import Certificates
public import Host
public import Logging
import Model
import Synchronization

/// The server agent: takes desired states from the hub, makes them so, proves it, and keeps them so. It runs for days
/// without the hub, and its death touches neither the applications nor the edge.
public final class Agent: Sendable {
    let host: Host
    let paths: AgentPaths
    let options: AgentOptions
    let identity: AgentIdentity
    let hub: SignedHub
    let keeper: DocumentKeeper
    let outbox: Outbox
    let edge: EdgeDirector
    let shipper: LogShipper
    let firewall: FirewallDirector
    let sites: SiteDirector
    let changed = Signal()
    private let documentChanged = Signal()
    let firewallChanged = Signal()
    let sitesChanged = Signal()
    let logger: Logger
    let traffic = TrafficWatch()
    let parts: WorkerParts
    private let workers = Mutex<[String: ServiceWorker]>([:])
    private let applied = Mutex<NodeWish?>(nil)
    /// In memory alone: what it tells of is often a disk that takes nothing.
    let hindrance = Mutex<String?>(nil)
    /// The edge that is to run.
    let edgeUnit = Mutex(EdgeUnit(generation: 1))
    let edgeRestarts = Mutex<EdgeRestarts?>(nil)
    /// The one whose trouble was told.
    let toldEdge = Mutex<EdgeUnit?>(nil)

    public init(
        options: AgentOptions, identity: AgentIdentity, host: Host, link: any HubLink, authorities: AuthorityAccess,
        logger: Logger
    ) {
        self.host = host
        self.options = options
        self.identity = identity
        self.logger = logger
        paths = AgentPaths(root: options.dataFolder)
        hub = SignedHub(identity: identity, link: link, clock: host.clock, random: host.random)
        keeper = DocumentKeeper(host: host, path: paths.desired, identity: identity)
        outbox = Outbox(host: host, path: paths.outbox)
        edge = EdgeDirector(host: host, suffix: "svc.internal", logFolder: paths.unitLog("edge"))
        shipper = LogShipper(host: host, hub: hub, logFolder: paths.logs, memory: paths.logPositions)
        firewall = FirewallDirector(host: host, path: paths.firewall, logger: logger)
        sites = SiteDirector(host: host, paths: paths, edge: edge, access: authorities, logger: logger)
        parts = WorkerParts(
            host: host, paths: paths, edge: edge, outbox: outbox,
            uploads: UploadFetch(host: host, hub: hub, folder: paths.uploads), units: UnitWatch(host: host),
            traffic: traffic, builds: Slots(2), changed: changed, shipper: shipper, internalPort: options.internalPort,
            logger: logger)
    }

    /// Runs until cancelled. Applications and edge are left as they are.
    ///
    /// - Throws: what prevents the agent from working at all: state files that cannot be read, a full disk at start.
    public func run() async throws {
        try await outbox.load()
        try await loadDocument()
        // Before anything listens, and before the hub is asked: a machine that was closed is closed after its reboot.
        await keepFirewall()
        let memories = try await loadMemories()
        if options.edgeAddress != nil || memories.contains(where: { $0.serving != nil }) { try await startEdge() }
        for memory in memories { await noteEdge(memory) }
        await noteSites()
        let heartbeats = try await HeartbeatSequence.begin(host: host, path: paths.epoch)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.supervise(memories) }
            group.addTask { await self.healEdge() }
            group.addTask { await self.watchTraffic() }
            group.addTask { await self.watchFirewall() }
            group.addTask { await self.keepSites() }
            group.addTask { await self.keepCertificates() }
            group.addTask { await self.poll() }
            group.addTask { await self.beat(heartbeats) }
            group.addTask { await self.deliverEvents() }
            group.addTask { await self.shipper.run { self.logSources() } }
            await group.waitForAll()
        }
    }

    private func loadDocument() async throws {
        do {
            try await keeper.load()
        } catch let problem as Problem where problem.code == .untrusted || problem.code == .malformedJSON {
            // What runs goes on running; the hub will send the document again.
            try await outbox.add("security", "The stored desired state was refused: \(problem.message)")
        }
        if let document = await keeper.current { await edge.note(document) }
    }

    func loadMemories() async throws -> [ServiceMemory] {
        var memories: [ServiceMemory] = []
        for name in try await host.files.list(paths.services) {
            if let memory = try await JSONFile.read(ServiceMemory.self, paths.service(name).memory, host.files) {
                memories.append(memory)
            }
        }
        return memories
    }

    private func noteEdge(_ memory: ServiceMemory) async {
        let desired = await keeper.current?.services.first { $0.id == memory.serviceId }
        let wish = WorkerRun.contribution(memory, desired: desired, health: [:], paths: paths.service(memory.name))
        if let wish { await edge.note(wish, for: memory.serviceId) }
    }

    // MARK: workers

    /// Keeps one worker per service that is desired or remembered.
    private func supervise(_ memories: [ServiceMemory]) async {
        await withTaskGroup(of: Void.self) { group in
            for memory in memories { startWorker(memory, &group) }
            while !Task.isCancelled {
                if let document = await keeper.current {
                    await refreshEdgeAndNames(document)
                    // One folder per name: a service that was removed and made again waits until the old one is gone.
                    distribute(document, &group)
                }
                workers.withLock { $0 = $0.filter { !$0.value.isGone } }
                await documentChanged.wait(atMost: .seconds(1), host.clock)
            }
            group.cancelAll()
        }
    }

    private func startWorker(_ memory: ServiceMemory, _ group: inout TaskGroup<Void>) {
        let worker = ServiceWorker(name: memory.name, serviceId: memory.serviceId, parts: parts)
        workers.withLock { $0[memory.name] = worker }
        group.addTask { await worker.run(memory) }
    }

    private func distribute(_ document: DesiredState, _ group: inout TaskGroup<Void>) {
        let desired = Dictionary(document.services.map { ($0.name, $0) }, uniquingKeysWith: { $1 })
        let running = workers.withLock { $0 }
        for (name, service) in desired where running[name] == nil {
            startWorker(ServiceMemory(serviceId: service.id, name: name), &group)
        }
        for (name, worker) in workers.withLock({ $0 }) {
            let isSame = worker.serviceId == desired[name]?.id
            worker.setDesired(isSame ? desired[name] : nil, peers: document.peers, suffix: document.dns.suffix)
        }
    }

    /// Listeners and names follow the document. An edge that cannot be set up is tried again with the next look; names
    /// that cannot be made to resolve (not root) are said once, and the rest goes on.
    private func refreshEdgeAndNames(_ document: DesiredState) async {
        let wish = NodeWish(
            front: edgeListeners(document).addresses, suffix: document.dns.suffix, names: document.peers)
        do {
            // Also when only the edge is gone, e.g. because its shim was killed.
            let isThere = try await parts.units.all()[edgeUnit.withLock { $0.id }] != nil
            guard !isThere || applied.withLock({ $0 != wish }) else { return }
            try await startEdge()
            sitesChanged.notify()
        } catch {
            return logger.warning("the edge could not be set up", metadata: ["error": "\(error)"])
        }
        applied.withLock { $0 = wish }
        do {
            try await host.effect("names.apply") { [host, options] in
                try await host.names.apply(
                    names: wish.names, suffix: wish.suffix, address: options.internalHost,
                    dnsAddress: "\(options.internalHost):\(options.dnsPort)")
            }
        } catch {
            let problem = Problem(wrapping: error, doing: "Setting up internal names")
            await tell("config", "Internal names do not resolve on this server: \(problem.message)")
        }
    }

    var reports: [ServiceReport] {
        workers.withLock { $0.values.compactMap(\.report) }.sorted { $0.name < $1.name }
    }

    /// True when every service of the document in force needs nothing.
    func isConverged(_ document: DesiredState?) -> Bool {
        guard let document else { return false }
        let workers = workers.withLock { $0 }
        return document.services.allSatisfy { workers[$0.name]?.isConverged == true }
            && workers.keys.allSatisfy { name in document.services.contains { $0.name == name } }
    }

    private func logSources() -> [LogSource] {
        workers.withLock { $0.values.compactMap(\.report) }.flatMap { report -> [LogSource] in
            [
                // Also those of earlier builds, until they are sent to their end.
                LogSource(source: "build", id: nil, unitPrefix: AgentPaths.buildLogPrefix(report.name)),
                LogSource(source: "service", id: report.serviceId, unitPrefix: AgentPaths.instancePrefix(report.name)),
            ]
        }
    }

    /// Lets the workers of these services look at once.
    func lookAgain(at serviceIds: some Collection<String>) {
        for worker in workers.withLock({ $0 }).values where serviceIds.contains(worker.serviceId) { worker.lookAgain() }
    }

    /// Wakes the supervision of workers, after a new document.
    func redistribute() {
        documentChanged.notify()
        firewallChanged.notify()
        sitesChanged.notify()
    }
}

/// What a document asks of the machine as a whole.
private struct NodeWish: Equatable {
    /// Addresses that the edge listens on.
    var front: [String]
    var suffix: String
    var names: [String]
}
