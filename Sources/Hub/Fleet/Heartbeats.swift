public import AgentProtocol
import Host
import HubStore
import Model
import ResourceKit

extension Hub {
    /// Takes a node's snapshot. A late one, older than what is known, changes nothing.
    /// - Parameter parts: the message as it was sent, so that one like it need not be read.
    public func heartbeat(_ beat: Heartbeat, _ parts: HeartbeatParts? = nil, nodeId: String) async throws {
        let (services, memory) = beat.services.withoutMemory
        let report = NodeContacts.Report(
            services: .array(try services.map { try WireCoding.encode($0) }),
            sites: try beat.sites.map { try Self.stored($0) }, generation: beat.generation,
            isConverged: beat.converged, agentVersion: String(beat.agentVersion.prefix(100)),
            securityMode: beat.security.map { .string(String($0.mode.prefix(40))) },
            securityProblem: beat.security?.problem.map { .string(String($0.prefix(500))) },
            exposure: try beat.security.map { .array(try $0.exposure.map { try WireCoding.encode($0) }) },
            problem: beat.problem.map { .string(String($0.prefix(500))) })
        let sighting = NodeContacts.Sighting(
            sequence: beat.sequence, time: world.clock.now(), machine: beat.machine,
            requests: .object(beat.requests.mapValues { .int(Int64($0)) }), traffic: beat.traffic ?? [:],
            memoryBytes: memory.merging(beat.memoryBytes ?? [:]) { $1 })
        switch contacts.take(sighting, report, parts?.lasting, nodeId: nodeId, at: world.clock.monotonic()) {
        case .late: return
        case .known: changes.publish([HubChange(kind: "heartbeat", id: nodeId)])
        case .due, .news: try await store(report, sighting, parts?.lasting, nodeId: nodeId)
        }
    }

    private static func stored(_ sites: [SiteReport]) throws -> JSONValue {
        .array(
            try sites.map { site in
                var site = site
                site.message = site.message.map { String($0.prefix(500)) }
                return try WireCoding.encode(site)
            })
    }

    /// What came of writing a heartbeat.
    struct Stored: Sendable {
        var stackId: String
        /// The store's number when it has a later heartbeat than this.
        var laterSequence: Int64?
        /// Whether statuses may follow from it.
        var isNews = false
    }

    private func store(
        _ report: NodeContacts.Report, _ sighting: NodeContacts.Sighting, _ digest: HeartbeatParts.Digest?,
        nodeId: String
    ) async throws {
        let stored: Stored
        do {
            stored = try await write { try Self.put(report, sighting, nodeId: nodeId, $0) }
        } catch let problem as Problem where problem.code == .notFound {
            contacts.forget(nodeId)
            throw problem
        }
        if let later = stored.laterSequence {
            return contacts.raise(later, nodeId: nodeId, stackId: stored.stackId, at: world.clock.monotonic())
        }
        contacts.stored(
            report, digest, sighting.sequence, nodeId: nodeId, stackId: stored.stackId, at: world.clock.monotonic())
        changes.publish([HubChange(kind: "heartbeat", id: nodeId)])
        if stored.isNews { dirtyStacks.mark(stored.stackId) }
    }

    static func put(
        _ report: NodeContacts.Report, _ sighting: NodeContacts.Sighting, nodeId: String,
        _ transaction: any StoreTransaction
    ) throws -> Stored {
        guard var node = try transaction.get("node", nodeId) else {
            throw Problem(.notFound, "The server is not known.")
        }
        var stored = Stored(stackId: node.spec["stack_id"]?.stringValue ?? "")
        let known = node.state["heartbeat_sequence"]?.intValue ?? 0
        guard sighting.sequence > known else {
            stored.laterSequence = known
            return stored
        }
        let wasSilent = node.state["is_silent"]?.boolValue ?? false
        let before: [JSONValue?] = [
            node.state["services"].map { Self.services($0, memoryBytes: [:]) }, node.state["generation"],
            node.state["is_converged"],
            node.state["security_problem"], node.state["problem"], node.state["sites"],
        ]
        node.state["agent_version"] = .string(report.agentVersion)
        node.state["generation"] = .int(report.generation)
        node.state["is_converged"] = .bool(report.isConverged)
        node.state["is_silent"] = false
        node.state["services"] = report.services
        node.state["sites"] = report.sites
        node.state["security_mode"] = report.securityMode
        node.state["security_problem"] = report.securityProblem
        node.state["exposure"] = report.exposure
        node.state["problem"] = report.problem
        note(sighting, in: &node)
        // A server that is being retired reports until it has stopped everything.
        if node.status != .deleting {
            node.status = .active
            node.statusMessage = report.problem?.stringValue
        }
        _ = try transaction.put(node)
        if wasSilent {
            try transaction.emit(
                HubEvent(
                    time: transaction.now, kind: "health", nodeId: nodeId,
                    stackId: node.spec["stack_id"]?.stringValue,
                    message: "Server \(node.spec["name"]?.stringValue ?? nodeId) is heard of again."))
        }
        let after: [JSONValue?] = [
            report.services, .int(report.generation), .bool(report.isConverged), report.securityProblem,
            report.problem, report.sites,
        ]
        stored.isNews = wasSilent || before != after
        return stored
    }

    private static func note(_ sighting: NodeContacts.Sighting, in node: inout ResourceRecord) {
        node.state["heartbeat_sequence"] = .int(sighting.sequence)
        node.state["last_heartbeat_at"] = .string(sighting.time.rfc3339)
        node.state["facts"] = sighting.machine
        node.state["requests"] = sighting.requests
        node.state["services"] = node.state["services"].map { services($0, memoryBytes: sighting.memoryBytes) }
    }

    /// Reports of services with this memory, and no other.
    private static func services(_ reports: JSONValue, memoryBytes: [String: Int64]) -> JSONValue {
        .array(
            (reports.arrayValue ?? []).map { report in
                var report = report
                report["memory_bytes"] = report["service_id"]?.stringValue.flatMap { memoryBytes[$0] }.map { .int($0) }
                return report
            })
    }

    /// A record with what is known better in memory: when a server was heard of, and how its machine did then.
    func current(_ record: ResourceRecord) -> ResourceRecord {
        if record.kind == "service" || record.kind == "site" { return withTraffic(record) }
        guard record.kind == "node", let sighting = contacts.sighting(record.id) else { return record }
        var record = record
        guard sighting.sequence > record.state["heartbeat_sequence"]?.intValue ?? 0 else { return record }
        Self.note(sighting, in: &record)
        return record
    }

    private func withTraffic(_ record: ResourceRecord) -> ResourceRecord {
        guard let traffic = traffic(record.id) else { return record }
        var record = record
        record.state["traffic"] = .object(
            [
                "requests_per_second": traffic.requestsPerSecond, "errors_per_second": traffic.errorsPerSecond,
                "p50_ms": traffic.p50Ms, "p95_ms": traffic.p95Ms, "p99_ms": traffic.p99Ms,
            ].compactMapValues { $0.map { .double($0) } })
        return record
    }

    /// What the edges of all servers did for a service or site in the last minute; nil when none of them says.
    public func traffic(_ id: String) -> TrafficReport? { contacts.traffic(id) }

    /// Marks servers that missed three heartbeats. Those that other hubs hear of, and all when this one starts, get a
    /// minute more, since that is how late the store may know of a heartbeat.
    package func markSilentNodes() async throws {
        if contacts.isListDue(isShared: store.isShared, at: world.clock.monotonic()) { try await expectAllNodes() }
        let intervals = try await store.read { transaction in
            Dictionary(
                try transaction.all("stack", parentId: nil).map { stack in
                    (stack.id, stack.spec["poll_interval"].flatMap { Duration(json: $0) } ?? .seconds(10))
                }, uniquingKeysWith: { $1 })
        }
        let limit = { @Sendable (stackId: String) -> Duration in (intervals[stackId] ?? .seconds(10)) * 3 }
        let shortest = min(.seconds(10), intervals.values.min() ?? .seconds(10)) * 3
        let overdue = contacts.overdue(limit, shortest: shortest, at: world.clock.monotonic())
        // Nearly always there is none, and then nothing is written.
        guard !overdue.isEmpty else { return }
        let stacks: Set<String>
        do {
            stacks = try await write { [self] transaction in
                var stacks: Set<String> = []
                for id in overdue {
                    if let stack = try markSilent(id, limit, transaction) { stacks.insert(stack) }
                }
                return stacks
            }
        } catch {
            for id in overdue { contacts.unmarkSilent(id) }
            throw error
        }
        for stack in stacks { dirtyStacks.mark(stack) }
    }

    /// - Returns: the stack of a server that is silent as of now.
    private func markSilent(
        _ id: String, _ limit: (String) -> Duration, _ transaction: any StoreTransaction
    ) throws -> String? {
        guard var node = try transaction.get("node", id) else {
            contacts.forget(id)
            return nil
        }
        let stackId = node.spec["stack_id"]?.stringValue ?? ""
        // It may have been heard of since, and then goes on as it is.
        let sequence = node.state["heartbeat_sequence"]?.intValue ?? 0
        guard contacts.markSilent(id, sequence: sequence, after: limit(stackId), at: world.clock.monotonic()),
            node.state["is_silent"] != true
        else { return nil }
        node = current(node)
        let heard = node.state["last_heartbeat_at"]?.stringValue ?? "it joined"
        node.state["is_silent"] = true
        if node.status != .deleting {
            node.status = .failed
            node.statusMessage = "Silent since \(heard); its applications may well be running."
        }
        _ = try transaction.put(node)
        try transaction.emit(
            HubEvent(
                time: transaction.now, kind: "health", nodeId: node.id, stackId: stackId,
                message: "Server \(node.spec["name"]?.stringValue ?? node.id) is silent."))
        return stackId
    }

    /// Waits for all servers that the store knows: at the start of the hub, none was heard of yet.
    private func expectAllNodes() async throws {
        let nodes: [ResourceRecord]
        do {
            nodes = try await store.read { try $0.all("node", parentId: nil) }
        } catch {
            contacts.listAgain()
            throw error
        }
        let now = world.clock.monotonic()
        for node in nodes {
            contacts.expect(
                node.id, stackId: node.spec["stack_id"]?.stringValue ?? "",
                sequence: node.state["heartbeat_sequence"]?.intValue ?? 0,
                isSilent: node.state["is_silent"]?.boolValue ?? false, at: now)
        }
    }
}
