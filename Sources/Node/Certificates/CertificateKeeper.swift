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
    /// Certificates of our own that are made at once.
    static let ownMax = 8

    let folder: CertificateFolder
    let host: CertificateHost
    let challengeFolder: String
    let logger: Logger
    private(set) var authority: CertificateAuthority?
    /// Why there is no authority although one is named.
    private var authorityFlaw: Problem?
    /// Rises with each ``use(_:flaw:)``: what was begun before counts for nothing after.
    private(set) var authorityEpoch = 0
    /// Of the account with the authority; made by one task at a time.
    var client: ACMEClient?
    let opening = SerialGate()
    private(set) var wanted: [String: WantedCertificate] = [:]
    var records: [String: CertificateRecord] = [:]
    /// No longer wanted as they are, but they serve names that have no certificate yet.
    private var standIns: [String: CertificateRecord] = [:]
    /// What somebody is at work on.
    private var busy: Set<String> = []
    private let woken = Signal()
    /// Nothing is ordered yet, as no edge could answer the authority.
    private var isHeld: Bool

    /// - Parameters:
    ///   - folder: of the certificates; made when it is missing.
    ///   - challengeFolder: the edge's ``EdgeListeners/challengeFolder``.
    ///   - authority: nil where nothing may be ordered.
    ///   - isHeld: whether orders wait for ``release()``.
    public init(
        folder: String, challengeFolder: String, host: CertificateHost, authority: CertificateAuthority?,
        isHeld: Bool = false, logger: Logger = Logger(label: "roost.certificates")
    ) {
        self.isHeld = isHeld
        self.folder = CertificateFolder(root: folder, host: host, logger: logger)
        self.challengeFolder = challengeFolder
        self.host = host
        self.authority = authority
        self.logger = logger
    }

    // MARK: what is wanted

    /// Replaces where certificates are ordered; nil orders nothing.
    /// - Parameter flaw: why there is none.
    public func use(_ authority: CertificateAuthority?, flaw: Problem? = nil) {
        self.authority = authority
        authorityFlaw = flaw
        authorityEpoch += 1
        client = nil
        woken.notify()
    }

    /// Lets orders begin, now that the edge answers.
    public func release() {
        guard isHeld else { return }
        isHeld = false
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
        var others: [String: CertificateRecord] = [:]
        for id in try await folder.ids() where next[id] == nil { others[id] = try await folder.record(id) }
        var known: [String: CertificateRecord] = [:]
        // Work that ends while the disk is read takes its record along.
        while let (id, certificate) = next.first(where: { records[$0.key] == nil && known[$0.key] == nil }) {
            known[id] = try await folder.record(id) ?? CertificateRecord(names: certificate.names)
        }
        wanted = next
        records = known.merging(records) { $1 }.filter { wanted[$0.key] != nil || busy.contains($0.key) }
        heedAttempts()
        standIns = others.filter { isStandIn($0.value) }
    }

    /// Whether a certificate has names for which one is wanted that is not there yet.
    private func isStandIn(_ record: CertificateRecord) -> Bool {
        guard let current = record.current, current.notAfter > host.clock.now() else { return false }
        return wanted.contains { id, certificate in
            records[id]?.current == nil && !Set(certificate.names).isDisjoint(with: record.names)
        }
    }

    /// Removes whatever is kept of names that are no longer wanted. For the time when no table shows them any more.
    /// - Returns: whether nothing is left; what an order is under way for is still there.
    /// - Throws: `storage_failed`.
    @discardableResult
    public func forgetUnwanted() async throws -> Bool {
        standIns = standIns.filter { isStandIn($0.value) }
        var isDone = true
        for id in try await folder.ids() where wanted[id] == nil && standIns[id] == nil {
            if busy.contains(id) { isDone = false } else { try await folder.forget(id) }
        }
        // Of attempts that a power cut ended: each file belongs to an order, and there is none.
        guard busy.isEmpty, records.values.allSatisfy({ $0.order == nil }) else { return isDone }
        for token in try await host.files.list(challengeFolder) {
            let path = "\(challengeFolder)/\(token)"
            try await host.effect("certificate-challenge.forget") { try await host.files.remove(path) }
        }
        return isDone
    }

    /// Lets go of certificates whose files are gone, so that they are got anew; uploads are with the next ``want(_:)``.
    /// - Throws: `storage_failed`.
    public func checkFiles() async throws {
        for (id, record) in records where !busy.contains(id) {
            guard let file = record.current?.file, try await !folder.hasFiles(id, file) else { continue }
            if records[id]?.current?.file == file { records[id]?.current = nil }
        }
        woken.notify()
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
        // What is under way was begun before it was asked for, and is begun again.
        let heeded = CertificateSchedule.asked(record, attempt: certificate.attempt)
        var status = CertificateSchedule.status(heeded, now: now, isUnderWay: isUnderWay)
        guard status.state != .active else { return status }
        switch certificate.source {
        case .acme where authority == nil:
            status.state = .failed
            status.message = authorityFlaw?.description ?? "No certificate authority is set."
            status.nextTry = nil
        case .upload where record.lastError == nil:
            status.state = .failed
            let end = record.current.map { "has ended on \($0.notAfter.rfc3339)" } ?? "is missing"
            status.message = "The uploaded certificate \(end). Upload another one."
        case .acme, .upload, .selfSigned: break
        }
        return status
    }

    // MARK: the work

    /// Does what is due until cancelled.
    /// - Parameter changed: is told of each change of the report; what it throws is tried again after a minute.
    public func run(_ changed: @Sendable (CertificateReport) async throws -> Void) async throws {
        try await withThrowingDiscardingTaskGroup { group in
            var told: CertificateReport?
            while !Task.isCancelled {
                for id in takeDue() { group.addTask { await self.work(id) } }
                var pause = min(max(nextDue().since(host.clock.now()), .seconds(1)), .seconds(3600))
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
    }

    /// Does what is due now, a few orders at a time, and waits for it.
    /// - Returns: when something is due next.
    public func step() async -> Timestamp {
        var begun: Set<String> = []
        while !Task.isCancelled {
            let due = takeDue().filter { id in
                // Due again at once: for the next step.
                if !begun.insert(id).inserted { busy.remove(id) }
                return busy.contains(id)
            }
            guard !due.isEmpty else { break }
            await withDiscardingTaskGroup { group in
                for id in due { group.addTask { await self.work(id) } }
            }
        }
        return nextDue()
    }

    /// What is due now, as far as there is room for it; the caller has to do it.
    private func takeDue() -> [String] {
        let now = host.clock.now()
        adoptAuthority(now)
        heedAttempts()
        var rooms = [true: room(forOrders: true), false: room(forOrders: false)]
        let due = wanted.keys.sorted().filter { id in
            guard !busy.contains(id) else { return false }
            switch nextStep(id, now) {
            case nil, .wait: return false
            case .begin, .resume: break
            }
            rooms[isOrder(id), default: 0] -= 1
            return rooms[isOrder(id), default: 0] >= 0
        }
        busy.formUnion(due)
        return due
    }

    private func room(forOrders: Bool) -> Int {
        (forOrders ? Self.ordersMax : Self.ownMax) - busy.count { isOrder($0) == forOrders }
    }

    /// Whether it is got from an authority. What is no longer wanted is taken for that: the slots are few.
    private func isOrder(_ id: String) -> Bool { wanted[id]?.source != .selfSigned }

    /// Whether names are still wanted, as an order asks that takes long.
    func isWanted(_ id: String) -> Bool { wanted[id] != nil }

    /// When something is due that nobody is at work on.
    private func nextDue() -> Timestamp {
        let now = host.clock.now()
        let isFull = [true: room(forOrders: true) <= 0, false: room(forOrders: false) <= 0]
        return wanted.keys.compactMap { id -> Timestamp? in
            switch nextStep(id, now) {
            case nil: nil
            case .wait(let until): until
            // The end of what is under way wakes who waits for room.
            case .begin, .resume: busy.contains(id) || isFull[isOrder(id)] == true ? nil : now
            }
        }.min() ?? now.advanced(by: .seconds(86_400))
    }

    /// Has the work done, and says so.
    private func work(_ id: String) async {
        await attempt(id)
        busy.remove(id)
        if wanted[id] == nil { records[id] = nil }
        woken.notify()
    }

    /// Nil where there is never anything to do.
    private func nextStep(_ id: String, _ now: Timestamp) -> CertificateSchedule.Step? {
        guard let source = wanted[id]?.source, let record = records[id] else { return nil }
        switch source {
        case .upload: return nil
        case .acme where authority == nil || isHeld: return nil
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
}
