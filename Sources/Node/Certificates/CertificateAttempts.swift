import CertificateEncoding
import Crypto
import Host
import Logging
import Model

/// How certificates are got: one attempt for one set of names at a time.
extension CertificateKeeper {
    /// Gets what is due for these names, and notes when that fails.
    func attempt(_ id: String) async {
        let epoch = authorityEpoch
        do {
            switch wanted[id]?.source {
            case .acme: try await order(id)
            case .selfSigned: try await make(id)
            case .upload, nil: break
            }
        } catch is CancellationError {
            // What was begun is on disk and is taken up again.
        } catch  where epoch != authorityEpoch {
            logger.info("an order ended with its authority", metadata: ["id": "\(id)", "error": "\(error)"])
        } catch {
            await note(error, id)
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
        let isTransient = lost == nil && ![.conflict, .rateLimited, .notFound].contains(problem.code)
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
        guard let authority, let record = records[id] else {
            throw OrderFailure("No certificate authority is set.")
        }
        let client = try await registered(authority)
        guard case .resume = CertificateSchedule.step(record, now: host.clock.now()) else {
            return try await complete(id, try await begin(id, record, client), client, authority)
        }
        do {
            try await complete(id, record, client, authority)
        } catch let problem as Problem where problem.code == .notFound {
            // An authority that was set up anew knows nothing of it.
            try await complete(id, try await begin(id, record, client), client, authority)
        }
    }

    private func complete(
        _ id: String, _ record: CertificateRecord, _ client: ACMEClient, _ authority: CertificateAuthority
    ) async throws {
        guard let order = record.order, let url = order.url, let key = try await folder.key(id, order.file) else {
            throw OrderFailure("The key of an order is missing.")
        }
        let chain = try await CertificateOrder(
            client: client, host: host, challengeFolder: challengeFolder, dns: authority.dns,
            isWanted: { await self.isWanted(id) }
        ).complete(url, names: record.orderedNames, key: key)
        let issued = try PEMCertificate(
            chain: chain, key: Array(key.pemRepresentation.utf8), now: host.clock.now())
        try await folder.writeChain(chain, id, order.file)
        let next = CertificateSchedule.issued(
            record, notBefore: issued.notBefore, notAfter: issued.notAfter, jitter: host.random.unit())
        try await set(next, id)
        await tidy(id, keeping: next)
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
        await tidy(id, keeping: record)
        try await folder.writeKey(OrderKey.make(), id, file)
        let names = record.orderedNames
        let url = try await host.effect("certificate-order.create") { try await client.newOrder(names: names) }
        record = CertificateSchedule.ordered(record, url: url)
        try await set(record, id)
        return record
    }

    /// What could not be written did not happen: the attempt is taken up where the disk has it.
    func set(_ record: CertificateRecord, _ id: String) async throws {
        try await folder.write(record, id)
        records[id] = record
    }

    /// Files that stay cost nothing but room.
    func tidy(_ id: String, keeping record: CertificateRecord) async {
        do {
            try await folder.tidy(id, keeping: record)
        } catch {
            logger.warning("old certificates could not be removed", metadata: ["id": "\(id)", "error": "\(error)"])
        }
    }

    /// The account with the authority, opened when it is not yet.
    private func registered(_ authority: CertificateAuthority) async throws -> ACMEClient {
        let epoch = authorityEpoch
        return try await opening.run { try await self.open(authority, epoch) }
    }

    private func open(_ authority: CertificateAuthority, _ epoch: Int) async throws -> ACMEClient {
        if client == nil {
            let key = try await folder.accountKey()
            guard epoch == authorityEpoch else { throw CancellationError() }
            client = ACMEClient(directoryURL: authority.directoryURL, transport: authority.transport, key: key)
        }
        guard epoch == authorityEpoch, let client else { throw CancellationError() }
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
        await tidy(id, keeping: record)
    }

    // MARK: uploads

    /// Keeps an uploaded certificate, or notes why it cannot be used.
    func keep(_ id: String, _ chain: String, _ key: String) async throws {
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
        await tidy(id, keeping: record)
    }
}
