import Logging
import Model
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

    init(
        file: TableFile, loops: [EdgeLoop], registry: StateRegistry, zone: NameZone?,
        certificates: CertificateStore?, logger: Logger, initial: RoutingTable
    ) {
        self.certificates = certificates
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
        return status
    }
}
