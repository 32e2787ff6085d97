import AgentProtocol
public import Host
import Logging
public import Model

/// What an agent still has to do: its document and its memory, compared with what is there.
public struct AgentPlan: Codable, Sendable, Equatable {
    /// What is left of one service, or of the machine itself.
    public struct Part: Codable, Sendable, Equatable {
        /// A service's name, a site's domain, `edge` or `firewall`.
        public var name: String
        public var steps: [String]
    }

    public var server: String
    /// Nil before the first document.
    public var stack: String?
    public var generation: Int64
    /// Only parts that have something to do.
    public var parts: [Part]

    /// The plan as JSON.
    public func json() throws -> JSONValue { try WireCoding.encode(self) }
}

/// Refuses every change, so that looking is all that happens.
public struct LookOnlyGate: EffectGate {
    public init() {}
    public func before(_ label: EffectLabel) async throws {
        throw Problem(.internalError, "A plan must not change anything, and \(label) would.")
    }
    public func after(_ label: EffectLabel) async throws {}
}

extension Agent {
    /// Reads what the agent keeps and looks at the machine. Works beside an agent that runs: it changes nothing, and
    /// asks each instance once whether it is well.
    ///
    /// - Throws: `untrusted` when the kept document is not the hub's; whatever cannot be read.
    public func plan() async throws -> AgentPlan {
        try await keeper.load()
        let document = await keeper.current
        if let document { await edge.note(document) }
        var plan = AgentPlan(
            server: identity.nodeName, stack: document?.stackName, generation: document?.generation ?? 0, parts: [])
        var memories = try await loadMemories()
        for service in document?.services ?? [] where !memories.contains(where: { $0.name == service.name }) {
            memories.append(ServiceMemory(serviceId: service.id, name: service.name))
        }
        for memory in memories.sorted(by: { $0.name < $1.name }) {
            let steps = try await steps(of: memory, document)
            if !steps.isEmpty { plan.parts.append(.init(name: memory.name, steps: steps)) }
        }
        if let document {
            try await sites.note(document, tlsAddress: edgeListeners(document).tlsAddress)
            plan.parts += await sites.steps(document).map { .init(name: $0.domain, steps: $0.steps) }
        }
        let edgeSteps = try await edgeSteps(document)
        if !edgeSteps.isEmpty { plan.parts.append(.init(name: "edge", steps: edgeSteps)) }
        if let document {
            let steps = await firewallSteps(document)
            if !steps.isEmpty { plan.parts.append(.init(name: "firewall", steps: steps)) }
        }
        return plan
    }

    private func steps(of memory: ServiceMemory, _ document: DesiredState?) async throws -> [String] {
        let desired = document?.services.first { $0.name == memory.name && $0.id == memory.serviceId }
        var run = WorkerRun(
            worker: ServiceWorker(name: memory.name, serviceId: memory.serviceId, parts: parts), memory: memory)
        let observed = try await run.observe(desired)
        let wish = WorkerRun.contribution(memory, desired: desired, health: observed.health, paths: run.paths)
        if let wish { await edge.note(wish, for: memory.serviceId) }
        // Without a document, what served goes on as it was.
        let target = document == nil ? memory.serving?.service : desired
        guard document != nil || target != nil else { return [] }
        return ServicePlan.steps(desired: target, memory: memory, observed: observed).map(\.description)
    }

    private func edgeSteps(_ document: DesiredState?) async throws -> [String] {
        guard document != nil || options.edgeAddress != nil else { return [] }
        var steps: [String] = []
        let before = try await JSONFile.read(EdgeListeners.self, paths.edgeConfiguration, host.files)
        let listeners = edgeListeners(document, after: before)
        if before != listeners { steps.append("listen on \(listeners.addresses.joined(separator: " and "))") }
        let unit = EdgeUnit(generation: listeners.generation ?? 1)
        guard try await parts.units.all()[unit.id] != nil else { return steps + ["start"] }
        let table = await edge.table
        do {
            let hash = sha256Hex(try WireCoding.encode(table).canonicalBytes)
            if try await host.edge.status().tableHash == hash { return steps }
        } catch let problem as Problem where problem.code == .unavailable || problem.code == .timeout {
            return steps + ["wait until it answers: \(problem.message)"]
        }
        let inForce = try await JSONFile.read(EdgeTable.self, paths.edgeTable, host.files) ?? EdgeTable()
        let (old, new) = (Self.routes(inForce), Self.routes(table))
        let changes =
            new.filter { !old.contains($0) }.map { "route \($0)" }
            + old.filter { !new.contains($0) }.map { "no longer route \($0)" }
        return steps + (changes.isEmpty ? ["take the table of \(table.upstreams.count) services"] : changes)
    }

    private static func routes(_ table: EdgeTable) -> [String] {
        let upstreams = Dictionary(table.upstreams.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        return table.routes.flatMap { route -> [String] in
            guard let upstream = upstreams[route.upstreamId] else { return [] }
            let ends = upstream.endpoints.map { "\($0.host):\($0.port)" }.joined(separator: ", ")
            let place = upstream.staticFolder ?? (ends.isEmpty ? upstream.mode.rawValue : ends)
            let hosts = route.hosts.isEmpty ? [""] : route.hosts
            return hosts.map { "\($0)\(route.pathPrefix) → \(upstream.name) (\(place))" }
        }
    }

    private func firewallSteps(_ document: DesiredState) async -> [String] {
        do {
            let wish = try await firewallRules(document)
            return try await firewall.steps(to: wish)
        } catch {
            return ["not to be had: \(Problem(wrapping: error, doing: "Reading the firewall").message)"]
        }
    }
}
