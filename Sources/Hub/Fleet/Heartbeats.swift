public import AgentProtocol
import Host
import HubStore
import Model
import ResourceKit

extension Hub {
    /// Takes a node's snapshot. A late one, older than what is known, changes nothing.
    public func heartbeat(_ beat: Heartbeat, nodeId: String) async throws {
        let exposure = try beat.security.map { JSONValue.array(try $0.exposure.map { try WireCoding.encode($0) }) }
        let services = JSONValue.array(try beat.services.map { try WireCoding.encode($0) })
        let changedStack = try await write { transaction -> String? in
            guard var node = try transaction.get("node", nodeId) else {
                throw Problem(.notFound, "The server is not known.")
            }
            guard beat.sequence > node.state["heartbeat_sequence"]?.intValue ?? 0 else { return nil }
            let wasSilent = node.state["is_silent"]?.boolValue ?? false
            let settled: [JSONValue?] = [
                node.state["services"], node.state["generation"], node.state["is_converged"],
                node.state["security_problem"], node.state["problem"],
            ]
            node.state["heartbeat_sequence"] = .int(beat.sequence)
            node.state["last_heartbeat_at"] = .string(transaction.now.rfc3339)
            node.state["agent_version"] = .string(String(beat.agentVersion.prefix(100)))
            node.state["generation"] = .int(beat.generation)
            node.state["is_converged"] = .bool(beat.converged)
            node.state["is_silent"] = false
            node.state["machine"] = beat.machine
            node.state["services"] = services
            node.state["requests"] = .object(beat.requests.mapValues { .int(Int64($0)) })
            let problem = beat.security?.problem.map { JSONValue.string(String($0.prefix(500))) }
            node.state["security_mode"] = beat.security.map { .string(String($0.mode.prefix(40))) }
            node.state["security_problem"] = problem
            node.state["exposure"] = exposure
            let hindrance = beat.problem.map { JSONValue.string(String($0.prefix(500))) }
            node.state["problem"] = hindrance
            node.status = .active
            node.statusMessage = hindrance?.stringValue
            _ = try transaction.put(node)
            if wasSilent {
                try transaction.emit(
                    HubEvent(
                        time: transaction.now, kind: "health", nodeId: nodeId,
                        stackId: node.spec["stack_id"]?.stringValue,
                        message: "Server \(node.spec["name"]?.stringValue ?? nodeId) is heard of again."))
            }
            let isNews =
                wasSilent || settled != [services, .int(beat.generation), .bool(beat.converged), problem, hindrance]
            return isNews ? node.spec["stack_id"]?.stringValue : nil
        }
        if let changedStack { dirtyStacks.mark(changedStack) }
    }

    /// Marks servers that missed three heartbeats.
    func markSilentNodes() async throws {
        // Nearly always there is none, and then nothing is written.
        guard try await store.read({ try !Self.newlySilent($0).isEmpty }) else { return }
        let stacks = try await write { transaction in
            var stacks: Set<String> = []
            for var node in try Self.newlySilent(transaction) {
                let heard = node.state["last_heartbeat_at"]?.stringValue ?? "it joined"
                node.state["is_silent"] = true
                node.status = .failed
                node.statusMessage = "Silent since \(heard); its applications may well be running."
                _ = try transaction.put(node)
                let stackId = node.spec["stack_id"]?.stringValue
                try transaction.emit(
                    HubEvent(
                        time: transaction.now, kind: "health", nodeId: node.id, stackId: stackId,
                        message: "Server \(node.spec["name"]?.stringValue ?? node.id) is silent."))
                if let stackId { stacks.insert(stackId) }
            }
            return stacks
        }
        for stack in stacks { dirtyStacks.mark(stack) }
    }

    private static func newlySilent(_ transaction: any ResourceTransaction) throws -> [ResourceRecord] {
        let stacks = try transaction.all("stack", parentId: nil)
        let intervals = Dictionary(
            stacks.map { ($0.id, $0.spec["poll_interval"].flatMap { Duration(json: $0) } ?? .seconds(10)) },
            uniquingKeysWith: { $1 })
        return try transaction.all("node", parentId: nil).filter { node in
            guard node.state["is_silent"] != true, let stackId = node.spec["stack_id"]?.stringValue,
                let heard = node.state["last_heartbeat_at"]?.stringValue.flatMap({ Timestamp(rfc3339: $0) })
            else { return false }
            return transaction.now.since(heard) > (intervals[stackId] ?? .seconds(10)) * 3
        }
    }
}
