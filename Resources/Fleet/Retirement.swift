import Model
import ResourceKit
import Workflow

/// Takes a server out of service in order: its services are stopped first, and only when it has said that nothing runs
/// there any more, it is forgotten. What goes wrong, or is cancelled, puts it back to work.
enum Retirement {
    static let workflow = "retire-server"
    static let action = ResourceAction(
        "retire", "Stop all that the server runs, then remove it; cancelling the run puts it back to work.",
        fields: [
            Field(
                "stop_timeout", .duration(.seconds(10)...(.seconds(86_400))), "How long its services may take to stop.",
                default: "10m")
        ], isDestructive: true)

    /// How often is looked whether it still runs something.
    private static let lookPause: Duration = .seconds(2)

    /// What a run is about.
    struct Input: Codable, WorkflowValue, Equatable {
        var nodeId: String
        var name: String
        var timeoutMs: Int64

        enum CodingKeys: String, CodingKey {
            case nodeId = "node_id"
            case name
            case timeoutMs = "timeout_ms"
        }
    }

    /// Marks the server and starts the run, both or neither.
    /// - Throws: `conflict` for a server that is not heard of, which could not say that it has stopped anything.
    static func begin(
        _ node: ResourceRecord, _ arguments: [String: JSONValue], _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard node.status != .deleting else { return node }
        guard node.state["is_silent"] != true, node.state["last_heartbeat_at"]?.stringValue != nil else {
            throw Problem(
                .conflict, "The server is not heard of, so it cannot stop anything.", hint: "Delete it instead.")
        }
        let timeout = arguments["stop_timeout"].flatMap { Duration(json: $0) } ?? .seconds(600)
        let input = Input(
            nodeId: node.id, name: node.spec["name"]?.stringValue ?? node.id, timeoutMs: timeout.milliseconds)
        var node = node
        node.state["run_id"] = .string(try transaction.startRun(of: workflow, input: try input.journaled()))
        return try mark(node, transaction)
    }

    static let declaration = KindWorkflow(workflow) { desk in
        [
            WorkflowDefinition(workflow) { (context: WorkflowContext, input: Input) in
                let generation = try await context.step(
                    "take its services off it",
                    undo: { _, attempt in try await desk.write { try restore(input, attempt.runId, $0) } },
                    { attempt in try await desk.write { try takeOff(input, attempt.runId, $0) } })
                let attempts = max(2, Int(input.timeoutMs / lookPause.milliseconds))
                try await context.step(
                    "wait until it runs nothing",
                    retry: RetryPolicy(attemptsMax: attempts, delay: lookPause, factor: 1, finalCodes: []),
                    timeout: .seconds(30)
                ) { _ in try await desk.read { try requireIdle(input, generation, $0) } }
                try await context.step("remove it") { _ in
                    try await desk.write { transaction in
                        guard let node = try transaction.get("node", input.nodeId) else { return }
                        try emitRemoval(node, transaction)
                        try desk.finishDeletion("node", input.nodeId, transaction)
                    }
                }
                return Nothing()
            }
        ]
    }

    // MARK: steps

    private static func mark(
        _ node: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var node = node
        node.status = .deleting
        node.statusMessage = "Its services are being stopped; then it is removed."
        return try transaction.put(node)
    }

    /// Gives the server a document without services.
    /// - Returns: the version of the stack that it must have taken.
    private static func takeOff(
        _ input: Input, _ runId: String, _ transaction: any ResourceTransaction
    ) throws -> Int64 {
        // Removed meanwhile by somebody else: there is nothing left to wait for.
        guard var node = try transaction.get("node", input.nodeId) else { return 0 }
        node.state["run_id"] = .string(runId)
        node.state["is_retiring"] = true
        let marked = try mark(node, transaction)
        try transaction.emit(
            event(marked, "Server \(input.name) is being retired: its services are stopped.", transaction))
        return try raiseVersion(of: marked, transaction)
    }

    /// Gives it its services back, unless another run has taken it over.
    private static func restore(_ input: Input, _ runId: String, _ transaction: any ResourceTransaction) throws {
        guard var node = try transaction.get("node", input.nodeId), node.state["is_retiring"] == true,
            node.state["run_id"] == .string(runId)
        else { return }
        node.state["is_retiring"] = nil
        let isSilent = node.state["is_silent"] == true
        node.status = isSilent ? .failed : .active
        node.statusMessage = isSilent ? "Not heard of; it was to be retired." : nil
        let restored = try transaction.put(node)
        _ = try raiseVersion(of: restored, transaction)
        try transaction.emit(
            event(restored, "Server \(input.name) was not retired; it gets its services back.", transaction))
    }

    /// - Throws: `unavailable` with what is still there.
    private static func requireIdle(
        _ input: Input, _ generation: Int64, _ transaction: any ResourceTransaction
    ) throws {
        guard let node = try transaction.get("node", input.nodeId) else { return }
        guard node.state["generation"]?.intValue ?? 0 >= generation else {
            throw Problem(.unavailable, "Server \(input.name) has not heard yet that it shall stop its services.")
        }
        let names = (node.state["services"]?.arrayValue ?? []).compactMap { report -> String? in
            guard let id = report["service_id"]?.stringValue else { return nil }
            return report["name"]?.stringValue ?? id
        }
        guard names.isEmpty, node.state["is_converged"] == true else {
            let what = names.isEmpty ? "is not done yet" : "still runs \(names.prefix(5).joined(separator: ", "))"
            throw Problem(.unavailable, "Server \(input.name) \(what).")
        }
    }

    /// Its agent gets a document only with another version; see ``StackCompilation``.
    private static func raiseVersion(of node: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Int64 {
        guard let stackId = node.spec["stack_id"]?.stringValue, var stack = try transaction.get("stack", stackId)
        else { return 0 }
        let version = (stack.state["version"]?.intValue ?? 0) + 1
        stack.state["version"] = .int(version)
        stack.status = .provisioning
        _ = try transaction.put(stack)
        return version
    }

    /// Tells of the end of a server, and of its credentials with it. The stack is touched: what waited for the server
    /// waits no more.
    static func emitRemoval(_ node: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        let mode = node.state["security_mode"]?.stringValue ?? "open"
        let firewall =
            mode == "open" ? "" : " Its firewall stays \(mode) until `roost agent leave` is run on it."
        let name = node.spec["name"]?.stringValue ?? node.id
        try transaction.emit(
            event(node, "Server \(name) was removed; its credentials are void." + firewall, transaction))
        if let stackId = node.spec["stack_id"]?.stringValue, let stack = try transaction.get("stack", stackId) {
            _ = try transaction.put(stack)
        }
    }

    private static func event(
        _ node: ResourceRecord, _ message: String, _ transaction: any ResourceTransaction
    ) -> HubEvent {
        HubEvent(
            time: transaction.now, kind: "security", nodeId: node.id, stackId: node.spec["stack_id"]?.stringValue,
            message: message)
    }
}
