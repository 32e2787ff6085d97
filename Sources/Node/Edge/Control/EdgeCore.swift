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
        certificates: CertificateStore?, logger: Logger, initial: RoutingTable, generation: Int?,
        sockets: ListenerSet
    ) {
        self.certificates = certificates
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
    }

    /// Checks a table, keeps it on disk, and gives it to every loop. Blocks until the last has it.
    /// - Throws: `invalid` when the table is wrong, `storage_failed` when it cannot be kept; nothing has changed then.
    func apply(_ source: EdgeTable) throws(Problem) {
        guard !hasHandedOver else {
            throw Problem(.unavailable, "This edge process has handed over to another one.", hint: "Ask again.")
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
        certificates.replace(with: table.certificates)
        for status in certificates.statuses ?? [] {
            guard let problem = status.problem else { continue }
            logger.error(
                "A certificate cannot be used",
                metadata: ["names": "\(status.names.joined(separator: " "))", "problem": "\(problem)"])
        }
    }

    func status() -> EdgeStatus {
        var status = registry.status(tableHash: tableHash.withLock { $0 })
        status.certificates = certificates?.statuses
        status.generation = generation
        return status
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
