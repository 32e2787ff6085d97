import AgentProtocol
import Host
import Model

/// What one service wants of the edge.
struct EdgeContribution: Sendable, Equatable {
    var name: String
    var upstream: EdgeUpstream
    var routes: [EdgeRoute]
    /// The service whose requests it gets a share of, and the share in percent.
    var canaryOf: String?
    var canaryPercent = 0
}

/// Owns the edge's table: puts the wishes of all services and sites together and applies the whole.
actor EdgeDirector {
    /// How long one edge process may take to follow another, before it is told as a problem.
    private static let handoverPause: Duration = .milliseconds(100)
    private static let handoverWaitsMax = 100

    private let host: Host
    /// The edge's own unit, and its log.
    private var unit = "edge"
    private var logFolder: String
    private let gate = SerialGate()
    private var contributions: [String: EdgeContribution] = [:]
    private var sites = SiteParts()
    /// Sites that the edge did not take, as they were, and why.
    private var refused: [String: (part: SitePart, problem: Problem)] = [:]
    private var suffix: String
    private var trustedProxies: [String]?
    private var applied: EdgeTable?
    /// The table is to be sent although it is in force.
    private var isLookDue = false
    private var appliedHash = ""
    /// What the edge said of itself last.
    private(set) var status = EdgeStatus()
    /// Requests answered per service, as the edge last said.
    var requests: [String: Int] { status.requestsTotal }

    /// What the services did in the last minute, as the edge last said.
    var traffic: [String: TrafficReport] {
        status.upstreams.mapValues {
            TrafficReport(
                requestsPerSecond: $0.requestsPerSecond, errorsPerSecond: $0.errorsPerSecond, p50Ms: $0.p50Milliseconds,
                p95Ms: $0.p95Milliseconds, p99Ms: $0.p99Milliseconds)
        }
    }

    init(host: Host, suffix: String, logFolder: String) {
        self.host = host
        self.logFolder = logFolder
        self.suffix = suffix
    }

    func setUnit(_ unit: String, logFolder: String) {
        self.unit = unit
        self.logFolder = logFolder
    }

    /// Notes what a document says of the edge as a whole; the next table has it.
    func note(_ document: DesiredState) {
        suffix = document.dns.suffix
        trustedProxies = document.proxy.trustedNetworks
    }

    /// Notes a wish without applying it; for the start, when one table must hold all services at once.
    func note(_ contribution: EdgeContribution, for service: String) { contributions[service] = contribution }

    /// As ``note(_:for:)``, of all sites.
    func note(_ sites: SiteParts) { self.sites = sites }

    func holds(_ sites: SiteParts) -> Bool { self.sites == sites }

    /// Notes a wish and returns when the edge serves by it.
    func set(_ contribution: EdgeContribution?, for service: String) async throws {
        contributions[service] = contribution
        try await apply()
    }

    /// As ``set(_:for:)``, of all sites. One that the edge does not take is left out, so that it keeps no other from
    /// being served; see ``refusal(_:)``.
    func set(_ sites: SiteParts) async throws {
        self.sites = sites
        let now = Dictionary(sites.sites.map { ($0.siteId, $0) }, uniquingKeysWith: { $1 })
        refused = refused.filter { now[$0.key] == $0.value.part }
        try await apply()
    }

    /// Why the edge did not take a site as it is now.
    func refusal(_ siteId: String) -> Problem? { refused[siteId]?.problem }

    /// Brings the edge to the current table; does nothing when it is in force.
    func apply() async throws {
        try await gate.run { try await self.applyOnce() }
    }

    /// Has the edge told of its table once more, so that it reads the files again that it could not use.
    func lookAgain() { isLookDue = true }

    /// Asks the edge which table it serves, and sends ours again when it is another: whatever happened to it, it heals.
    /// What was noted since reaches it, too.
    func heal() async throws {
        guard applied != nil else { return }
        status = try await host.edge.status()
        if status.tableHash != appliedHash { applied = nil }
        try await apply()
    }

    /// Whether the edge serves by another table than it should.
    /// - Throws: `unavailable` when it does not answer.
    func isServingOther() async throws -> Bool {
        let status = try await host.edge.status()
        return try !status.tableHash.isEmpty
            && status.tableHash != sha256Hex(WireCoding.encode(table).canonicalBytes)
    }

    private func applyOnce() async throws {
        var waits = 0
        while true {
            let table = self.table
            guard table != applied || isLookDue else { return }
            isLookDue = false
            let host = host
            let hash = sha256Hex(try WireCoding.encode(table).canonicalBytes)
            do {
                try await host.effect("edge.apply") { try await host.edge.apply(table) }
            } catch let problem as Problem where problem.code == .conflict && waits < Self.handoverWaitsMax {
                // The next process answers in a moment; what it said before it took over is no reason to fail.
                waits += 1
                try await host.clock.sleep(for: Self.handoverPause)
                continue
            } catch let problem as Problem where problem.code == .unavailable || problem.code == .conflict {
                guard let reason = await endReason() else { throw problem }
                throw Problem(
                    .unavailable, "\(problem.message) \(reason)", hint: problem.hint, context: problem.context)
            } catch let problem as Problem where problem.code == .invalid {
                guard refuse(problem, table) else { throw problem }
                continue
            }
            applied = table
            appliedHash = hash
            return
        }
    }

    /// Leaves the site out that the edge complains of.
    /// - Returns: false when it is none of them.
    private func refuse(_ problem: Problem, _ table: EdgeTable) -> Bool {
        for field in problem.fields.keys {
            let path = field.split(separator: "/")
            guard path.count > 1, let index = Int(path[1]) else { continue }
            for part in included {
                let isRoute = path[0] == "routes" && part.routes.contains { table.routes.at(index) == $0 }
                let isUpstream = path[0] == "upstreams" && part.upstreams.contains { table.upstreams.at(index) == $0 }
                guard isRoute || isUpstream else { continue }
                refused[part.siteId] = (part, problem)
                return true
            }
        }
        return false
    }

    /// What an edge that keeps ending said last, such as that its port is taken.
    func endReason() async -> String? {
        // The first problem is the one to tell, with or without this.
        guard let unit = try? await host.supervisor.list().first(where: { $0.id == self.unit }), unit.restarts > 0
        else {
            return nil
        }
        return await LogTail.lastLines(logFolder, host.files).split(separator: "\n").last.map(String.init)
    }

    private var included: [SitePart] { sites.sites.filter { refused[$0.siteId] == nil } }

    var table: EdgeTable {
        let sorted = contributions.sorted { $0.value.name < $1.value.name }.map(\.value)
        let included = included
        var upstreams = sorted.map(upstream) + included.flatMap(\.upstreams)
        // Sites come first: of two routes for the same place the edge takes the first.
        let routes = included.flatMap(\.routes) + sorted.flatMap(\.routes)
        let known = Set(upstreams.map(\.id))
        let named = Set(routes.flatMap { [$0.upstreamId, $0.access?.forward?.upstreamId].compactMap { $0 } })
        upstreams += named.subtracting(known).sorted().map {
            EdgeUpstream(id: $0, name: sites.serviceNames[$0] ?? "service", mode: .down)
        }
        return EdgeTable(
            routes: routes,
            internalNames: Dictionary(sorted.map { ($0.name, $0.upstream.id) }, uniquingKeysWith: { $1 }),
            internalSuffix: suffix, upstreams: upstreams, trustedProxies: trustedProxies,
            certificates: sites.certificates.isEmpty ? nil : sites.certificates, siteIds: sites.siteIds)
    }

    private func upstream(of service: EdgeContribution) -> EdgeUpstream {
        let id = service.upstream.id
        var upstream = Canary.joined(
            service.upstream, by: contributions.values.filter { $0.canaryOf == id }.sorted { $0.name < $1.name })
        // Where another one can take its requests, one that fails them is left out before the next check finds it.
        if upstream.endpoints.count > 1 { upstream.health = EdgeHealth() }
        return upstream
    }
}

extension Array {
    fileprivate func at(_ index: Int) -> Element? { indices.contains(index) ? self[index] : nil }
}
