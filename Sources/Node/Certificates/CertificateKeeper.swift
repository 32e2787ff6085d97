import CertificateEncoding
import Crypto
import Host
public import Logging
public import Model

/// Where certificates are ordered.
public struct CertificateAuthority: Sendable {
    public var directoryURL: String
    /// Addresses that the authority writes to when something is wrong.
    public var contacts: [String]
    public var transport: any ACMETransport
    /// When set, names are proved by DNS-01, which wildcards need; else by HTTP-01.
    public var dns: (any DNSChallenges)?

    public init(
        directoryURL: String = "https://acme-v02.api.letsencrypt.org/directory", contacts: [String] = [],
        transport: any ACMETransport, dns: (any DNSChallenges)? = nil
    ) {
        self.directoryURL = directoryURL
        self.contacts = contacts
        self.transport = transport
        self.dns = dns
    }
}

/// Has a certificate for every set of names that is wanted, and sees to it that none ends. What it knows is on disk, so
/// that it may be stopped at any instant.
public actor CertificateKeeper {
    /// Orders at once, of different names.
    static let ordersMax = 4

    private let folder: CertificateFolder
    private let host: CertificateHost
    private var authority: CertificateAuthority?
    private let challengeFolder: String
    private let logger: Logger
    private var client: ACMEClient?
    private var wanted: [String: WantedCertificate] = [:]
    private var records: [String: CertificateRecord] = [:]
    /// No longer wanted as they are, but they serve names that have no certificate yet.
    private var standIns: [String: CertificateRecord] = [:]
    private var busy: Set<String> = []
    private let woken = Signal()

    /// - Parameters:
    ///   - folder: of the certificates; made when it is missing.
    ///   - challengeFolder: the edge's ``EdgeListeners/challengeFolder``.
    ///   - authority: nil where nothing may be ordered.
    public init(
        folder: String, challengeFolder: String, host: CertificateHost, authority: CertificateAuthority?,
        logger: Logger = Logger(label: "roost.certificates")
    ) {
        self.folder = CertificateFolder(root: folder, host: host)
        self.challengeFolder = challengeFolder
        self.host = host
        self.authority = authority
        self.logger = logger
    }

    // MARK: what is wanted

    /// Replaces where certificates are ordered; nil orders nothing.
    public func use(_ authority: CertificateAuthority?) {
        self.authority = authority
        client = nil
        woken.notify()
    }

    /// Replaces what is wanted; what is new is there after the next ``step()``.
    /// - Parameter forgetting: whether names that are no longer wanted are forgotten at once, with their keys.
    /// - Throws: `storage_failed`; `invalid` for a name that is none.
    public func want(_ certificates: [WantedCertificate], forgetting: Bool = true) async throws {
        try await load(certificates)
        if forgetting { try await forgetUnwanted() }
        for (id, certificate) in wanted {
            if case .upload(let chain, let key) = certificate.source { try await keep(id, chain, key) }
        }
        woken.notify()
    }

    /// What there is for these names; changes nothing but what ``report()`` tells of.
    /// - Throws: as ``want(_:forgetting:)``.
    public func look(_ certificates: [WantedCertificate]) async throws -> CertificateReport {
        try await load(certificates)
        return report()
    }

    private func load(_ certificates: [WantedCertificate]) async throws {
        var next: [String: WantedCertificate] = [:]
        for certificate in certificates where !certificate.names.isEmpty {
            for name in certificate.names {
                if let flaw = Names.hostnameFlaw(name, wildcard: true) { throw Problem.invalid("names", flaw) }
                guard name == name.lowercased(), !name.hasSuffix(".") else {
                    throw Problem.invalid("names", "must be lower case without a trailing dot")
                }
            }
            next[CertificateFolder.id(certificate)] = certificate
        }
        for (id, certificate) in next where records[id] == nil {
            records[id] = try await folder.record(id) ?? CertificateRecord(names: certificate.names)
        }
        wanted = next
        heedAttempts()
        records = records.filter { wanted[$0.key] != nil || busy.contains($0.key) }
        standIns = [:]
        for id in try await folder.ids() where wanted[id] == nil {
            guard let record = try await folder.record(id), isStandIn(record) else { continue }
            standIns[id] = record
        }
    }

    /// Whether a certificate has names for which one is wanted that is not there yet.
    private func isStandIn(_ record: CertificateRecord) -> Bool {
        guard let current = record.current, current.notAfter > host.clock.now() else { return false }
        return wanted.contains { id, certificate in
            records[id]?.current == nil && !Set(certificate.names).isDisjoint(with: record.names)
        }
    }

    /// Removes whatever is kept of names that are no longer wanted. For the time when no table shows them any more.
    /// - Throws: `storage_failed`.
    public func forgetUnwanted() async throws {
        standIns = standIns.filter { isStandIn($0.value) }
        for id in try await folder.ids() where wanted[id] == nil && standIns[id] == nil && !busy.contains(id) {
            try await folder.forget(id)
        }
        // Of attempts that a power cut ended: each file belongs to an order, and there is none.
        guard busy.isEmpty, records.values.allSatisfy({ $0.order == nil }) else { return }
        for token in try await host.files.list(challengeFolder) {
            let path = "\(challengeFolder)/\(token)"
            try await host.effect("certificate-challenge.forget") { try await host.files.remove(path) }
        }
    }

    /// What there is, and how it stands.
    public func report() -> CertificateReport {
        let now = host.clock.now()
        let sorted = wanted.sorted { $0.value.names.lexicographicallyPrecedes($1.value.names) }
        return CertificateReport(
            // The edge shows the first of those for a name.
            entries: sorted.compactMap { id, _ in records[id].flatMap { entry(id, $0) } }
                + standIns.filter { isStandIn($0.value) }.sorted { $0.key < $1.key }.compactMap {
                    entry($0.key, $0.value)
                },
            statuses: sorted.compactMap { id, certificate in
                records[id].map { status($0, of: certificate, now, isUnderWay: busy.contains(id)) }
            })
    }

    private func entry(_ id: String, _ record: CertificateRecord) -> EdgeCertificate? {
        record.current.map {
            EdgeCertificate(
                names: record.names, certificatePath: folder.certificatePath(id, $0.file),
                keyPath: folder.keyPath(id, $0.file))
        }
    }

    private func status(
        _ record: CertificateRecord, of certificate: WantedCertificate, _ now: Timestamp, isUnderWay: Bool
    ) -> CertificateStatus {
        var status = CertificateSchedule.status(record, now: now, isUnderWay: isUnderWay)
        if case .acme = certificate.source, authority == nil, status.state != .active {
            status.state = .failed
            status.message = "No certificate authority is set."
        }
        return status
    }

    // MARK: the work

    /// Does what is due until cancelled.
    /// - Parameter changed: is told of each change of the report; what it throws is tried again after a minute.
    public func run(_ changed: @Sendable (CertificateReport) async throws -> Void) async throws {
        var told: CertificateReport?
        while !Task.isCancelled {
            let next = await step()
            var pause = min(max(next.since(host.clock.now()), .seconds(1)), .seconds(3600))
            let report = report()
            if report != told {
                do {
                    try await changed(report)
                    told = report
                } catch is CancellationError {
                    throw CancellationError()
                } catch {
                    logger.warning("certificates could not be put in force", metadata: ["error": "\(error)"])
                    pause = min(pause, .seconds(60))
                }
            }
            await woken.wait(atMost: pause, host.clock)
        }
    }

    /// Does what is due now, a few orders at a time.
    /// - Returns: when something is due next.
    public func step() async -> Timestamp {
        let now = host.clock.now()
        var due: [String] = []
        adoptAuthority(now)
        heedAttempts()
        for id in wanted.keys where !busy.contains(id) {
            switch nextStep(id, now) {
            case nil, .wait: continue
            case .begin, .resume: due.append(id)
            }
        }
        busy.formUnion(due)
        await withTaskGroup(of: Void.self) { group in
            for (index, id) in due.sorted().enumerated() {
                if index >= Self.ordersMax { await group.next() }
                group.addTask { await self.work(id) }
            }
        }
        let after = host.clock.now()
        return wanted.keys.compactMap { id -> Timestamp? in
            switch nextStep(id, after) {
            case nil: nil
            case .wait(let until): until
            case .begin, .resume: after
            }
        }.min() ?? after.advanced(by: .seconds(86_400))
    }

    /// Nil where there is never anything to do.
    private func nextStep(_ id: String, _ now: Timestamp) -> CertificateSchedule.Step? {
        guard let source = wanted[id]?.source, let record = records[id] else { return nil }
        switch source {
        case .upload: return nil
        case .acme where authority == nil: return nil
        case .acme, .selfSigned: return CertificateSchedule.step(record, now: now)
        }
    }

    private func adoptAuthority(_ now: Timestamp) {
        guard let directory = authority?.directoryURL else { return }
        for (id, certificate) in wanted where !busy.contains(id) {
            guard case .acme = certificate.source, let record = records[id] else { continue }
            records[id] = CertificateSchedule.adopted(record, directory: directory, now: now)
        }
    }

    /// What is being worked on is looked at again after that.
    private func heedAttempts() {
        for (id, certificate) in wanted where !busy.contains(id) {
            records[id] = records[id].map { CertificateSchedule.asked($0, attempt: certificate.attempt) }
        }
    }

    private func work(_ id: String) async {
        do {
            if case .selfSigned = wanted[id]?.source { try await make(id) } else { try await order(id) }
        } catch is CancellationError {
            // What was begun is on disk and is taken up again.
        } catch {
            await note(error, id)
        }
        busy.remove(id)
        guard wanted[id] == nil, standIns[id] == nil else { return }
        records[id] = nil
        do {
            try await folder.forget(id)
        } catch {
            // It is with the next change of what is wanted.
            logger.warning("a certificate could not be removed", metadata: ["id": "\(id)", "error": "\(error)"])
        }
    }

    /// Notes a failure. When not even that can be written, the record in memory still delays the next attempt.
    private func note(_ error: any Error, _ id: String) async {
        guard let record = records[id] else { return }
        let lost = (error as? OrderFailure)?.problem
        let problem = lost ?? Problem(wrapping: error, doing: "Getting a certificate")
        logger.warning(
            "a certificate was not issued",
            metadata: [
                "names": "\(record.names.joined(separator: " "))", "problem": "\(problem)",
                "context": "\(problem.context ?? "")",
            ])
        let isTransient = lost == nil && problem.code != .conflict && problem.code != .rateLimited
        let next = CertificateSchedule.failed(
            record, problem, isTransient: isTransient, now: host.clock.now(), jitter: host.random.unit())
        records[id] = next
        do {
            try await folder.write(next, id)
        } catch {
            logger.warning("a failure could not be noted", metadata: ["id": "\(id)", "error": "\(error)"])
        }
    }

    private func order(_ id: String) async throws {
        guard let authority, var record = records[id] else {
            throw OrderFailure("No certificate authority is set.")
        }
        let client = try await registered(authority)
        if case .begin = CertificateSchedule.step(record, now: host.clock.now()) {
            record = try await begin(id, record, client)
        }
        guard let order = record.order, let url = order.url, let key = try await folder.key(id, order.file) else {
            throw OrderFailure("The key of an order is missing.")
        }
        let chain = try await CertificateOrder(
            client: client, host: host, challengeFolder: challengeFolder, dns: authority.dns
        ).complete(url, names: record.names, key: key)
        let issued = try PEMCertificate(
            chain: chain, key: Array(key.pemRepresentation.utf8), now: host.clock.now())
        try await folder.writeChain(chain, id, order.file)
        record = CertificateSchedule.issued(
            record, notBefore: issued.notBefore, notAfter: issued.notAfter, jitter: host.random.unit())
        try await set(record, id)
        try await folder.tidy(id, keeping: record)
    }

    /// The record that an attempt begins goes to disk first, then the key, then the order to the authority.
    private func begin(
        _ id: String, _ former: CertificateRecord, _ client: ACMEClient
    ) async throws -> CertificateRecord {
        let now = host.clock.now()
        // The time in front, so that names sort by age.
        let file = "\(now.millisecondsSinceEpoch)-\(host.random.hex(4))"
        var record = CertificateSchedule.begun(former, file: file, now: now, jitter: host.random.unit())
        try await set(record, id)
        try await folder.tidy(id, keeping: record)
        try await folder.writeKey(OrderKey.make(), id, file)
        let names = record.names
        let url = try await host.effect("certificate-order.create") { try await client.newOrder(names: names) }
        record = CertificateSchedule.ordered(record, url: url)
        try await set(record, id)
        return record
    }

    private func set(_ record: CertificateRecord, _ id: String) async throws {
        records[id] = record
        try await folder.write(record, id)
    }

    private func registered(_ authority: CertificateAuthority) async throws -> ACMEClient {
        let client: ACMEClient
        if let known = self.client {
            client = known
        } else {
            let key = try await folder.accountKey()
            client =
                self.client
                ?? ACMEClient(
                    directoryURL: authority.directoryURL, transport: authority.transport, key: key)
            self.client = client
        }
        try await client.register(contacts: authority.contacts)
        return client
    }

    // MARK: certificates of our own

    private func make(_ id: String) async throws {
        guard var record = records[id] else { return }
        let now = host.clock.now()
        let file = "\(now.millisecondsSinceEpoch)-\(host.random.hex(4))"
        let key = P256.Signing.PrivateKey()
        let end = now.advanced(by: .seconds(365 * 86_400))
        let der = try SelfSignedCertificate.der(
            names: record.names, addresses: [], key: key, from: now.advanced(by: .seconds(-3600)), to: end)
        try await folder.writeKey(key.pemRepresentation + "\n", id, file)
        try await folder.writeChain(Array(PEM.encode("CERTIFICATE", der).utf8), id, file)
        record = CertificateSchedule.made(record, file: file, notAfter: end)
        try await set(record, id)
        try await folder.tidy(id, keeping: record)
    }

    // MARK: uploads

    private func keep(_ id: String, _ chain: String, _ key: String) async throws {
        guard var record = records[id] else { return }
        let digest = OrderKey.digest(chain + key).prefix(16).hexadecimal
        guard record.current?.file.hasSuffix(digest) != true else { return }
        let now = host.clock.now()
        let file = "\(now.millisecondsSinceEpoch)-\(digest)"
        do {
            let read = try PEMCertificate(chain: Array(chain.utf8), key: Array(key.utf8), now: now)
            try await folder.writeKey(key, id, file)
            try await folder.writeChain(Array(chain.utf8), id, file)
            record.current = CertificateRecord.Kept(file: file, notAfter: read.notAfter, renewAt: nil)
            record.lastError = nil
        } catch let problem as Problem where problem.code == .invalid {
            record.lastError = problem.description
        }
        try await set(record, id)
        try await folder.tidy(id, keeping: record)
    }
}
