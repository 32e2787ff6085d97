import AgentProtocol
public import Certificates
import Host
import Logging
import Model

/// How an agent reaches certificate authorities.
public struct AuthorityAccess: Sendable {
    public var transports: any ACMETransports
    /// Proves names by DNS-01 in place of HTTP-01, as wildcards need; nil where nobody can change the zone.
    public var dns: (any DNSChallenges)?

    public init(transports: any ACMETransports, dns: (any DNSChallenges)? = nil) {
        self.transports = transports
        self.dns = dns
    }
}

/// Brings the sites of a document into the edge's table, with their certificates, and says how each stands.
actor SiteDirector {
    private let host: Host
    private let paths: AgentPaths
    private let edge: EdgeDirector
    private let access: AuthorityAccess
    let certificates: CertificateKeeper
    private let gate = SerialGate()
    private var authority: DesiredAuthority?
    private var isAuthoritySet = false
    /// What the keeper was told of.
    private var wanted: [WantedCertificate]?
    /// Something may be left of sites that are gone.
    private(set) var isForgetting = true
    /// The edge cannot use the files of some certificate.
    private var isUnshown = false
    /// When those were looked at last.
    private var lookedAt: Duration?
    private static let lookInterval: Duration = .seconds(10)
    /// The edge was told of some site.
    private var isShowing = false
    private var report = CertificateReport(entries: [], statuses: [])
    private var places: [String: ContainerPlace] = [:]
    private var downSince: [String: Timestamp] = [:]
    /// How it stands with each site that was taken up or is still to be forgotten.
    private(set) var reports: [SiteReport] = []
    /// What the reports are of.
    private var reported: [String: DesiredSite] = [:]

    init(host: Host, paths: AgentPaths, edge: EdgeDirector, access: AuthorityAccess, logger: Logger) {
        self.host = host
        self.paths = paths
        self.edge = edge
        self.access = access
        certificates = CertificateKeeper(
            folder: paths.certificates, challengeFolder: paths.challenges, host: CertificateHost(host), authority: nil,
            isHeld: true, logger: logger)
    }

    /// Notes what sites the edge shall have, without changing anything; for the start, when one table must hold all of
    /// them at once, and for plans.
    func note(_ document: DesiredState, tlsAddress: String?) async throws {
        let sites = document.sites ?? []
        isShowing = !sites.isEmpty
        await findContainers(sites, before: try await placesInForce(sites))
        do {
            report = try await certificates.look(sites.compactMap(SiteRouting.wanted))
        } catch {
            // A first table without the sites would take them all away.
            await edge.note(parts(document, tlsAddress))
            throw error
        }
        await edge.note(parts(document, tlsAddress))
    }

    /// Takes a document's sites up, as far as that goes now: records and uploads first, then the table; what no table
    /// shows any more is forgotten last.
    /// - Returns: whether a report changed.
    func keep(_ document: DesiredState, tlsAddress: String?, generation: Int) async throws -> Bool {
        try await gate.run { try await self.keepOnce(document, tlsAddress, generation) }
    }

    private func keepOnce(_ document: DesiredState, _ tlsAddress: String?, _ generation: Int) async throws -> Bool {
        let sites = document.sites ?? []
        guard !sites.isEmpty || isShowing || isForgetting else { return false }
        var obstacle: Problem?
        do {
            if isUnshown { try await lookAgain() }
            try await takeUp(document)
            await findContainers(sites, before: places)
            // An edge may still show what an agent before this one was told to take away.
            let parts = parts(document, tlsAddress)
            var isOther = isShowing || !sites.isEmpty
            if !isOther { isOther = await !edge.holds(parts) }
            if !isOther { isOther = try await edge.isServingOther() }
            if isOther { try await edge.set(parts) }
            isShowing = !sites.isEmpty
            if !Set(reported.keys).isSubset(of: sites.map(\.id)) { isForgetting = true }
            if isForgetting { try await forget() }
        } catch is CancellationError {
            throw CancellationError()
        } catch {
            obstacle = Problem(wrapping: error, doing: "Setting up sites")
        }
        // One that refuses a table answers as well.
        if obstacle == nil || obstacle?.code == .invalid { await certificates.release() }
        // An edge that has just been started has no reason to tell.
        let isStarting = obstacle?.code == .unavailable ? await edge.endReason() == nil : false
        // An edge that does not answer has no generation; why is told by its end.
        let status = tlsAddress == nil ? nil : try? await host.edge.status()
        let listener = tlsAddress == nil || status?.generation == generation ? nil : await edge.endReason() ?? ""
        let unshown = unshown(sites, status)
        var next: [SiteReport] = []
        for site in sites {
            let refusal = await edge.refusal(site.id)
            var answer = report(
                site, refusal ?? obstacle, listener, hasListener: tlsAddress != nil, unshown: unshown[site.id])
            if isStarting { answer.state = "provisioning" }
            next.append(answer)
        }
        let known = Set(sites.map(\.id))
        isUnshown = !unshown.isEmpty
        // What could not be forgotten is still here.
        if isForgetting { next += reports.filter { !known.contains($0.siteId) } }
        let now = Dictionary(sites.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        defer { (reports, reported) = (next, now) }
        return next != reports || now != reported
    }

    /// What was mended in the files of certificates is found out now and then.
    private func lookAgain() async throws {
        let now = host.clock.monotonic()
        if let lookedAt, now - lookedAt < Self.lookInterval { return }
        lookedAt = now
        try await certificates.checkFiles()
        wanted = nil
        await edge.lookAgain()
    }

    private func forget() async throws {
        isForgetting = false
        do {
            let isDone = try await certificates.forgetUnwanted()
            // The edge takes lines of sites that are gone out of its log.
            let isPurging = try await host.edge.status().isPurgingAccessLog
            isForgetting = isForgetting || isPurging || !isDone
        } catch {
            isForgetting = true
            throw error
        }
    }

    /// The reports for a document, which may be newer than what was taken up.
    func reports(for document: DesiredState?) -> [SiteReport] {
        let before = Dictionary(reports.map { ($0.siteId, $0) }, uniquingKeysWith: { $1 })
        let sites = document?.sites ?? []
        let known = Set(sites.map(\.id))
        return sites.map { site in
            if reported[site.id] == site, let report = before[site.id] { return report }
            return SiteReport(siteId: site.id, state: "provisioning", message: "The server takes it up.")
        } + reports.filter { !known.contains($0.siteId) }
    }

    func note(_ report: CertificateReport) {
        // What is new takes the place of something.
        if report != self.report { isForgetting = true }
        self.report = report
    }

    private func takeUp(_ document: DesiredState) async throws {
        let needed = document.sites?.contains { $0.tls.mode == .acme } == true ? document.authority : nil
        if !isAuthoritySet || authority != needed {
            do {
                // The way to the former authority is closed with the opening of another one.
                await certificates.use(nil)
                await certificates.use(try await opened(needed))
            } catch let problem as Problem {
                // Only the sites that need it wait for its mending.
                await certificates.use(nil, flaw: problem)
            }
            authority = needed
            isAuthoritySet = true
        }
        let next = (document.sites ?? []).compactMap(SiteRouting.wanted)
        if next != wanted {
            if !next.isEmpty {
                let (host, folders) = (host, [paths.certificates, paths.challenges])
                try await host.effect("certificate-folders.make") {
                    for folder in folders { try await host.files.makeFolder(folder, mode: 0o700) }
                }
            }
            isForgetting = true
            try await certificates.want(next, forgetting: false)
            wanted = next
        }
        note(await certificates.report())
    }

    private func opened(_ authority: DesiredAuthority?) async throws -> CertificateAuthority? {
        guard let authority else { return nil }
        let scheme = "mailto:"
        return CertificateAuthority(
            directoryURL: authority.directoryUrl,
            contacts: authority.contacts.map { $0.hasPrefix(scheme) ? String($0.dropFirst(scheme.count)) : $0 },
            transport: try await access.transports.transport(rootsPEM: authority.rootsPem), dns: access.dns)
    }

    private func parts(_ document: DesiredState, _ tlsAddress: String?) -> SiteParts {
        SiteRouting.parts(
            document, certificates: report.entries, places: places, downSince: downSince, tlsAddress: tlsAddress)
    }

    // MARK: containers

    private func findContainers(_ sites: [DesiredSite], before: [String: ContainerPlace]) async {
        places = await ContainerPlaces(engine: host.containers).find(sites, before: before)
        let now = host.clock.now()
        downSince = places.compactMapValues { place in
            guard case .absent = place else { return nil }
            return now
        }.merging(downSince) { $1 }.filter { if case .absent = places[$0.key] { true } else { false } }
    }

    /// Where the table in force has the containers of sites, for a start at which the engine does not answer.
    private func placesInForce(_ sites: [DesiredSite]) async throws -> [String: ContainerPlace] {
        let targets = sites.flatMap(SiteRouting.targets).filter { $0.target.container != nil }
        guard !targets.isEmpty,
            let table = try await JSONFile.read(EdgeTable.self, paths.edgeTable, host.files)
        else { return [:] }
        var places: [String: ContainerPlace] = [:]
        for target in targets {
            let upstream = table.upstreams.first { $0.id == target.id }
            guard let endpoint = upstream?.endpoints.first else { continue }
            places[target.id] = .at(host: endpoint.host, port: endpoint.port)
        }
        return places
    }

    // MARK: reports

    /// Why the edge cannot show a site's certificate, by the site's id.
    private func unshown(_ sites: [DesiredSite], _ status: EdgeStatus?) -> [String: String] {
        let broken = (status?.certificates ?? []).filter { $0.problem != nil }
        guard !broken.isEmpty else { return [:] }
        var problems: [String: String] = [:]
        for site in sites {
            guard let names = SiteRouting.wanted(site)?.names,
                let path = report.entries.first(where: { $0.names == names })?.certificatePath
            else { continue }
            problems[site.id] = broken.first { $0.certificatePath == path }?.problem
        }
        return problems
    }

    private func report(
        _ site: DesiredSite, _ obstacle: Problem?, _ listener: String?, hasListener: Bool, unshown: String?
    ) -> SiteReport {
        var answer = SiteReport(siteId: site.id, state: "active")
        let status = status(of: site)
        answer.certificateNotAfter = status?.notAfter
        answer.message = status?.message
        func say(_ state: String, _ message: String?) -> SiteReport {
            answer.state = state
            answer.message = message
            return answer
        }
        if let obstacle { return say("failed", obstacle.description) }
        if let reason = absence(site) { return say("failed", reason) }
        guard site.tls.mode != .off else { return answer }
        guard hasListener else { return say("failed", "This server has no address to listen on for TLS.") }
        if let listener, !listener.isEmpty { return say("failed", listener) }
        switch status?.state {
        case .failed: return say("failed", status.flatMap { Self.failure($0, of: site, now: host.clock.now()) })
        case nil, .pending: return say("provisioning", status?.message ?? "The certificate is being requested.")
        case .active: break
        }
        if listener != nil { return say("provisioning", "The edge begins to listen for TLS.") }
        if let unshown { return say("failed", "The edge cannot show the certificate. \(unshown)") }
        return answer
    }

    /// What went wrong with a certificate, and when it is tried again.
    private static func failure(_ status: CertificateStatus, of site: DesiredSite, now: Timestamp) -> String? {
        guard let message = status.message, let next = status.nextTry, next > now, site.tls.mode == .acme else {
            return status.message
        }
        return "\(message) The next attempt is at \(next.rfc3339); roost site retry \(site.domain) tries at once."
    }

    /// Why a container that a site is in front of cannot be reached; nil when all can.
    private func absence(_ site: DesiredSite) -> String? {
        SiteRouting.targets(site).lazy.compactMap { target in
            guard case .absent(let reason) = self.places[target.id] else { return nil }
            return reason
        }.first
    }

    private func status(of site: DesiredSite) -> CertificateStatus? {
        guard let names = SiteRouting.wanted(site)?.names else { return nil }
        return report.statuses.first { $0.names == names }
    }

    /// What is still to be done for the sites of a document that was noted, by domain.
    func steps(_ document: DesiredState) -> [(domain: String, steps: [String])] {
        (document.sites ?? []).compactMap { site in
            var steps: [String] = []
            if let wanted = SiteRouting.wanted(site), status(of: site)?.state != .active {
                let names = wanted.names.joined(separator: ", ")
                switch wanted.source {
                case .acme: steps.append("order a certificate for \(names)")
                case .upload: steps.append("keep the uploaded certificate for \(names)")
                case .selfSigned: steps.append("make a self-signed certificate for \(names)")
                }
            }
            if let reason = absence(site) { steps.append("wait: \(reason)") }
            return steps.isEmpty ? nil : (site.domain, steps)
        }
    }
}
