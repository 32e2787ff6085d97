import AgentProtocol
import Host
import Model

/// What one service wants of the edge.
struct EdgeContribution: Sendable, Equatable {
    var name: String
    var upstream: EdgeUpstream
    var routes: [EdgeRoute]
}

/// Owns the edge's table: puts the wishes of all services together and applies the whole.
actor EdgeDirector {
    private let host: Host
    /// The edge's own unit, and its log.
    private var unit = "edge"
    private var logFolder: String
    private let gate = SerialGate()
    private var contributions: [String: EdgeContribution] = [:]
    private var suffix: String
    private var applied: EdgeTable?
    private var appliedHash = ""
    /// Requests answered per service, as the edge last said.
    private(set) var requests: [String: Int] = [:]

    init(host: Host, suffix: String, logFolder: String) {
        self.host = host
        self.logFolder = logFolder
        self.suffix = suffix
    }

    func setUnit(_ unit: String, logFolder: String) {
        self.unit = unit
        self.logFolder = logFolder
    }

    func setSuffix(_ suffix: String) { self.suffix = suffix }

    /// Notes a wish without applying it; for the start, when one table must hold all services at once.
    func note(_ contribution: EdgeContribution, for service: String) { contributions[service] = contribution }

    /// Notes a wish and returns when the edge serves by it.
    func set(_ contribution: EdgeContribution?, for service: String) async throws {
        contributions[service] = contribution
        try await apply()
    }

    /// Brings the edge to the current table; does nothing when it is in force.
    func apply() async throws {
        try await gate.run { try await self.applyOnce() }
    }

    /// Asks the edge which table it serves, and sends ours again when it is another: whatever happened to it, it heals.
    func heal() async throws {
        guard applied != nil else { return }
        let status = try await host.edge.status()
        requests = status.requestsTotal
        guard status.tableHash != appliedHash else { return }
        applied = nil
        try await apply()
    }

    private func applyOnce() async throws {
        let table = self.table
        guard table != applied else { return }
        let host = host
        let hash = sha256Hex(try WireCoding.encode(table).canonicalBytes)
        do {
            try await host.effect("edge.apply") { try await host.edge.apply(table) }
        } catch let problem as Problem where problem.code == .unavailable {
            guard let reason = await endReason() else { throw problem }
            throw Problem(.unavailable, "\(problem.message) \(reason)", hint: problem.hint, context: problem.context)
        }
        applied = table
        appliedHash = hash
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

    var table: EdgeTable {
        let sorted = contributions.sorted { $0.value.name < $1.value.name }.map(\.value)
        return EdgeTable(
            routes: sorted.flatMap(\.routes),
            internalNames: Dictionary(sorted.map { ($0.name, $0.upstream.id) }, uniquingKeysWith: { $1 }),
            internalSuffix: suffix, upstreams: sorted.map(\.upstream))
    }
}
