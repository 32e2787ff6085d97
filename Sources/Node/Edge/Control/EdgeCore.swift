import Logging
import Model
import NIOConcurrencyHelpers
import NIOCore
import NameResponder
import Synchronization

/// Puts tables in force and tells the edge's state. Called from the control socket's thread, never from an event loop.
final class EdgeCore: Sendable {
    private let file: TableFile
    private let loops: [EdgeLoop]
    private let registry: StateRegistry
    private let zone: NameZone?
    private let certificates: CertificateStore?
    private let logger: Logger
    private let tableHash: Mutex<String>
    private let table: Mutex<RoutingTable>
    private let history = Mutex(RateHistory(now: EdgeLoop.now()))
    private let health: ActiveHealth
    private let log: AccessLogWriter
    private let generation: Int?
    private let sockets: Mutex<ListenerSet>
    /// 1 while something accepts from the sockets.
    private let accepting = ConditionLock(value: 1)
    private let isHandedOver = Atomic<Bool>(false)
    /// Ends when another process took over.
    let serving: AsyncStream<Void>
    private let servingEnd: AsyncStream<Void>.Continuation

    init(
        file: TableFile, loops: [EdgeLoop], registry: StateRegistry, zone: NameZone?,
        certificates: CertificateStore?, logger: Logger, log: AccessLogWriter, initial: RoutingTable,
        generation: Int?, sockets: ListenerSet
    ) {
        self.certificates = certificates
        self.log = log
        health = ActiveHealth(eventLoop: loops[0].eventLoop)
        table = Mutex(initial)
        (serving, servingEnd) = AsyncStream.makeStream()
        self.generation = generation
        self.sockets = Mutex(sockets)
        self.file = file
        self.loops = loops
        self.registry = registry
        self.zone = zone
        self.logger = logger
        tableHash = Mutex(initial.hash)
        if !initial.hash.isEmpty { publishNames(initial.source) }
        loadCertificates(initial.source)
        log.keep(sites: initial.siteIds)
    }

    /// Checks a table, keeps it on disk, and gives it to every loop. Blocks until the last has it.
    /// - Throws: `invalid` when the table is wrong, `storage_failed` when it cannot be kept, `conflict` when another
    ///   process serves by now; nothing has changed then.
    func apply(_ source: EdgeTable) throws(Problem) {
        guard !hasHandedOver else {
            throw Problem(.conflict, "This edge process has handed over to another one.", hint: "Ask again.")
        }
        let table = try RoutingTable(source, registry: registry)
        let isNew = table.hash != tableHash.withLock { $0 }
        if !isNew, certificates?.hasProblems ?? false { loadCertificates(source) }
        guard isNew || !table.allResolved else { return }
        try file.write(table.canonicalBytes)
        // Before the routes: a new site's name has its certificate when its first request is served.
        loadCertificates(source)
        do {
            for loop in loops { try loop.eventLoop.submit { loop.swap(table) }.wait() }
        } catch {
            throw Problem(wrapping: error, doing: "Putting the edge's table in force")
        }
        tableHash.withLock { $0 = table.hash }
        self.table.withLock { $0 = table }
        // After each loop has handed its lines over.
        log.keep(sites: table.siteIds)
        let health = health
        loops[0].eventLoop.execute { health.follow(table) }
        publishNames(source)
        registry.prune(keeping: table)
        for hidden in table.hiddenRoutes {
            logger.warning("A route is hidden by an earlier one", metadata: ["route": "\(hidden)"])
        }
        logger.info(
            "A table is in force",
            metadata: ["hash": "\(table.hash)", "routes": "\(source.routes.count)"])
    }

    private func publishNames(_ table: EdgeTable) {
        zone?.replace(suffix: table.internalSuffix, names: table.internalNames.keys)
    }

    private func loadCertificates(_ table: EdgeTable) {
        guard let certificates else { return }
        let told = certificates.statuses ?? []
        certificates.replace(with: table.certificates)
        for status in certificates.statuses ?? [] where !told.contains(status) {
            guard let problem = status.problem else { continue }
            logger.error(
                "A certificate cannot be used",
                metadata: ["names": "\(status.names.joined(separator: " "))", "problem": "\(problem)"])
        }
    }

    /// Blocks until every loop told its counts.
    func status() -> EdgeStatus {
        var status = registry.status(tableHash: tableHash.withLock { $0 })
        status.certificates = certificates?.statuses
        status.generation = generation
        status.accessLogDropped = log.dropped
        status.isPurgingAccessLog = log.isPurging
        let now = EdgeLoop.now()
        let totals = Self.bySubject(readSeries())
        status.upstreams = history.withLock { $0.statuses(totals, now: now) }
        for upstream in table.withLock({ $0 }).upstreams {
            guard let plan = upstream.plan else { continue }
            let out = plan.endpointsOut(now: now)
            let isOpen = plan.breaker?.isOpen ?? false
            guard !out.isEmpty || isOpen else { continue }
            status.upstreams[upstream.state.id, default: EdgeUpstreamStatus()].endpointsOut = out
            status.upstreams[upstream.state.id]?.isBreakerOpen = isOpen
        }
        return status
    }

    /// Done when a service was asked for after `serial`, or when the time is over.
    func waitForWake(after serial: Int, atMost time: TimeAmount, on eventLoop: any EventLoop) -> EventLoopFuture<Void> {
        registry.wakes.wait(after: serial, atMost: time, on: eventLoop)
    }

    // MARK: counters

    /// Begins to keep the history of rates, and to check the table that the edge started with.
    func start() {
        let health = health
        let table = table.withLock { $0 }
        registry.metrics.use { [self] in metrics() }
        let eventLoop = loops[0].eventLoop
        eventLoop.execute { health.follow(table) }
        let interval = TimeAmount.nanoseconds(Int64(loops[0].limits.lookupInterval.wholeNanoseconds))
        eventLoop.scheduleRepeatedTask(initialDelay: interval, delay: interval) { _ in
            self.registry.names.refresh(self.table.withLock { $0 }.endpoints)
        }
        let pause = TimeAmount.nanoseconds(Int64(RateHistory.intervalNanoseconds))
        eventLoop.scheduleRepeatedAsyncTask(initialDelay: pause, delay: pause) { _ in
            let all = self.loops.map { loop in loop.eventLoop.submit { loop.metrics.snapshot() } }
            return EventLoopFuture.whenAllSucceed(all, on: eventLoop).map { snapshots in
                let totals = Self.bySubject(Self.merged(snapshots))
                self.history.withLock { $0.add(totals, now: EdgeLoop.now()) }
            }
        }
    }

    func stop() async {
        let health = health
        do {
            try await loops[0].eventLoop.submit { health.stop() }.get()
        } catch {
            // It does not fail: the loops go on until all is over.
        }
        await registry.metrics.stop()
        await registry.verifier.stop()
    }

    /// The text format of Prometheus. Blocks until every loop told its counts.
    func metrics() -> String {
        var process = PrometheusText.Process()
        for loop in loops {
            guard let (open, accepted) = read(loop, { ($0.connectionCount, $0.metrics.connectionsAccepted) }) else {
                continue
            }
            process.connections += open
            process.connectionsAccepted += accepted
        }
        process.accessLogDropped = log.dropped
        let now = EdgeLoop.now()
        for upstream in table.withLock({ $0 }).upstreams {
            guard let plan = upstream.plan else { continue }
            if plan.health != nil { process.endpointsOut[upstream.name] = plan.endpointsOut(now: now).count }
            if let breaker = plan.breaker { process.breakersOpen[upstream.name] = breaker.isOpen }
        }
        return PrometheusText.render(readSeries(), process)
    }

    private func readSeries() -> [SeriesKey: SeriesSample] {
        Self.merged(loops.compactMap { loop in read(loop) { $0.metrics.snapshot() } })
    }

    private func read<Value: Sendable>(_ loop: EdgeLoop, _ body: @escaping @Sendable (EdgeLoop) -> Value) -> Value? {
        // A loop that was shut down has nothing to tell any more.
        try? loop.eventLoop.submit { body(loop) }.wait()
    }

    private static func merged(_ snapshots: [[SeriesKey: SeriesSample]]) -> [SeriesKey: SeriesSample] {
        var all: [SeriesKey: SeriesSample] = [:]
        for snapshot in snapshots {
            for (key, sample) in snapshot { all[key, default: .zero].add(sample) }
        }
        return all
    }

    /// By upstream and, beside that, by site.
    private static func bySubject(_ series: [SeriesKey: SeriesSample]) -> [String: SeriesSample] {
        var all: [String: SeriesSample] = [:]
        for (key, sample) in series where !key.upstreamId.isEmpty {
            all[key.upstreamId, default: .zero].add(sample)
            if let site = key.siteId { all[site, default: .zero].add(sample) }
        }
        return all
    }

    // MARK: handing over

    var hasHandedOver: Bool { isHandedOver.load(ordering: .acquiring) }

    /// Duplicates of the sockets, for a process of another generation.
    /// - Throws: `conflict` when it is not a later one, `unavailable` when this one is ending.
    func socketsForHandover(to other: Int) throws(Problem) -> [BoundListener] {
        guard !hasHandedOver, other > generation ?? 0 else {
            throw Problem(.conflict, "Another edge is running with this control socket.", hint: "Stop it first.")
        }
        return try sockets.withLock { sockets throws(Problem) in try sockets.duplicates() }
    }

    /// New connections are the next process's, or refused.
    func closeSockets() { sockets.withLock { $0.close() } }

    /// Ends the serving, and returns when nothing is accepted here any more. Blocks.
    /// - Throws: `timeout` when that takes too long.
    func handOver() throws(Problem) {
        isHandedOver.store(true, ordering: .releasing)
        servingEnd.finish()
        guard accepting.lock(whenValue: 0, timeoutSeconds: 10) else {
            throw Problem(.timeout, "The edge did not stop accepting in time.")
        }
        accepting.unlock()
    }

    /// Nothing accepts from the sockets any more.
    func stoppedAccepting() {
        accepting.lock()
        accepting.unlock(withValue: 0)
    }
}
