import Crypto
public import Host
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
    private let authority: CertificateAuthority?
    private let challengeFolder: String
    private let logger: Logger
    private var client: ACMEClient?
    private var wanted: [String: WantedCertificate] = [:]
    private var records: [String: CertificateRecord] = [:]
    private var busy: Set<String> = []
    private var sleeper: Task<Void, Never>?
    private var isWoken = false

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

    /// Replaces what is wanted. Names that are no longer in it are forgotten, with their keys; what is new is there
    /// after the next ``step()``.
    /// - Throws: `storage_failed`; `invalid` for a name that is none.
    public func want(_ certificates: [WantedCertificate]) async throws {
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
        for id in try await folder.ids() where wanted[id] == nil && !busy.contains(id) { try await folder.forget(id) }
        records = records.filter { wanted[$0.key] != nil || busy.contains($0.key) }
        for (id, certificate) in next {
            if case .upload(let chain, let key) = certificate.source { try await keep(id, chain, key) }
        }
        isWoken = true
        sleeper?.cancel()
    }

    /// What there is, and how it stands.
    public func report() -> CertificateReport {
        let now = host.clock.now()
        let sorted = wanted.sorted { $0.value.names.lexicographicallyPrecedes($1.value.names) }
        return CertificateReport(
            entries: sorted.compactMap { id, certificate in
                records[id]?.current.map {
                    EdgeCertificate(
                        names: certificate.names, certificatePath: folder.certificatePath(id, $0.file),
                        keyPath: folder.keyPath(id, $0.file))
                }
            },
            statuses: sorted.compactMap { id, _ in records[id].map { CertificateSchedule.status($0, now: now) } })
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
            await wait(pause)
        }
    }

    private func wait(_ pause: Duration) async {
        guard !isWoken else {
            isWoken = false
            return
        }
        let clock = host.clock
        // The sleep ends early only when it is cancelled, to wake us.
        let sleep = Task<Void, Never> { try? await clock.sleep(for: pause) }
        sleeper = sleep
        await withTaskCancellationHandler {
            await sleep.value
        } onCancel: {
            sleep.cancel()
        }
        sleeper = nil
        isWoken = false
    }

    /// Does what is due now, a few orders at a time.
    /// - Returns: when something is due next.
    public func step() async -> Timestamp {
        let now = host.clock.now()
        var due: [String] = []
        for (id, certificate) in wanted where !busy.contains(id) {
            guard case .acme = certificate.source, let record = records[id] else { continue }
            if case .wait = CertificateSchedule.step(record, now: now) { continue }
            due.append(id)
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
            guard case .acme = wanted[id]?.source, let record = records[id] else { return nil }
            if case .wait(let until) = CertificateSchedule.step(record, now: after) { return until }
            return after
        }.min() ?? after.advanced(by: .seconds(86_400))
    }

    private func work(_ id: String) async {
        do {
            try await order(id)
        } catch is CancellationError {
            // What was begun is on disk and is taken up again.
        } catch {
            await note(error, id)
        }
        busy.remove(id)
        guard wanted[id] == nil else { return }
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
