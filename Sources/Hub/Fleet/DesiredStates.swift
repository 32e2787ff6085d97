public import AgentProtocol
import AppsResources
import Crypto
import Host
import HubStore
import Model
import ResourceKit
import Synchronization

/// Signed documents by node, for as long as the version of their stack stays.
final class DocumentCache: Sendable {
    private struct Entry {
        var version: Int64
        var envelope: DesiredStateEnvelope
    }
    private let entries = Mutex<[String: Entry]>([:])
    private static let countMax = 20_000

    func envelope(_ nodeId: String, version: Int64) -> DesiredStateEnvelope? {
        entries.withLock { entries in entries[nodeId].flatMap { $0.version == version ? $0.envelope : nil } }
    }

    /// The stack of a node whose document is known, of whatever version.
    func stackId(_ nodeId: String) -> String? {
        entries.withLock { $0[nodeId]?.envelope.document["stack_id"]?.stringValue }
    }

    func keep(_ envelope: DesiredStateEnvelope, _ nodeId: String, version: Int64) {
        entries.withLock { entries in
            if entries.count >= Self.countMax { entries.removeAll() }
            entries[nodeId] = Entry(version: version, envelope: envelope)
        }
    }
}

extension Hub {
    /// The signed document of a node.
    /// - Throws: `not_found` when the node or its stack is gone.
    public func desiredState(nodeId: String) async throws -> DesiredStateEnvelope {
        let (envelope, version) = try await store.read { [self] transaction -> (DesiredStateEnvelope, Int64) in
            guard let node = try transaction.get("node", nodeId) else { throw Self.unknownServer }
            guard let stackId = node.spec["stack_id"]?.stringValue else {
                return (try signed(Self.withoutStack(nodeId), transaction), 0)
            }
            guard let stack = try transaction.get("stack", stackId) else { throw Self.unknownServer }
            let version = stack.state["version"]?.intValue ?? 0
            if let known = documents.envelope(nodeId, version: version) { return (known, version) }
            return (try compile(stack, nodeId: nodeId, transaction), version)
        }
        documents.keep(envelope, nodeId, version: version)
        return envelope
    }

    private static let unknownServer = Problem(.notFound, "The server is not known, or its stack is gone.")

    /// The document of a server of a cluster, which runs no stack. Its front door is on loopback and away from the port
    /// of a web server, since nothing of ours is behind it.
    private static func withoutStack(_ nodeId: String) -> DesiredState {
        DesiredState(
            nodeId: nodeId, stackId: "", stackName: "", generation: 0, pollIntervalMs: 10_000,
            proxy: DesiredProxy(bind: "127.0.0.1", port: 8079), dns: DesiredDNS(suffix: "svc.internal"),
            securityMode: "open", peers: [], services: [])
    }

    /// The document of a stack as it would be for some node: for showing. Secrets are left out.
    public func desiredStatePreview(stackId: String) async throws -> DesiredState {
        try await store.read { [self] transaction in
            guard let stack = try transaction.get("stack", stackId) else {
                throw Problem(.notFound, "There is no stack \(stackId).")
            }
            return try shownDocument(of: stack, transaction)
        }
    }

    private func shownDocument(of stack: ResourceRecord, _ transaction: any StoreTransaction) throws -> DesiredState {
        try document(of: stack, nodeId: "", transaction) { $0.hasPrefix("sealed:") ? "[secret]" : $0 }
    }

    /// Keeps the hash of what the stack should run beside its version. It is that of the document which is shown.
    func noteHash(ofStack id: String, _ transaction: any StoreTransaction) throws {
        guard var stack = try transaction.get("stack", id), stack.state["hash_version"] != stack.state["version"] else {
            return
        }
        let document = try WireCoding.encode(try shownDocument(of: stack, transaction))
        stack.state["hash"] = .string(sha256Hex(document.canonicalBytes))
        stack.state["hash_version"] = stack.state["version"]
        _ = try transaction.put(stack)
    }

    private func compile(
        _ stack: ResourceRecord, nodeId: String, _ transaction: any StoreTransaction
    ) throws -> DesiredStateEnvelope {
        try signed(
            try document(of: stack, nodeId: nodeId, transaction) { [self] in try world.secrets.open($0) }, transaction)
    }

    private func signed(
        _ state: DesiredState, _ transaction: any StoreTransaction
    ) throws -> DesiredStateEnvelope {
        guard let key = try signingKey(transaction) else {
            throw Problem(.unavailable, "The hub has no signing key yet.")
        }
        let json = try WireCoding.encode(state)
        let hash = sha256Hex(json.canonicalBytes)
        let message = DocumentSignature.message(hash: hash, nodeId: state.nodeId, generation: state.generation)
        return DesiredStateEnvelope(
            document: json, hash: hash, signature: Base64.encode(Array(try key.signature(for: message))))
    }

    private func document(
        of stack: ResourceRecord, nodeId: String, _ transaction: any StoreTransaction,
        open: (String) throws -> String
    ) throws -> DesiredState {
        let isRetiring = try transaction.get("node", nodeId)?.state["is_retiring"] == true
        let services = isRetiring ? [] : try transaction.all("service", parentId: stack.id)
        var deployments: [String: ResourceRecord] = [:]
        for service in services {
            guard let id = service.state["deployment_id"]?.stringValue else { continue }
            deployments[id] = try transaction.get("deployment", id)
        }
        return try StackCompilation.compile(
            stack: stack, services: services, deployments: deployments,
            sites: isRetiring ? [] : try SiteRecords.all(of: stack.id, transaction), nodeId: nodeId, open: open)
    }

    /// The stack of a node, which stays the same for its life.
    private func stackId(of nodeId: String) async throws -> String {
        if let known = documents.stackId(nodeId) { return known }
        return try await desiredState(nodeId: nodeId).document["stack_id"]?.stringValue ?? ""
    }

    /// Waits until the node's document is another than the one with this hash.
    ///
    /// - Returns: nil when nothing changed within `wait`.
    public func waitForChange(nodeId: String, hash: String, wait: Duration) async throws -> DesiredStateEnvelope? {
        // Only what is its own can change its document: with every waiting node looking at every heartbeat, the cost
        // would grow with the square of their number.
        let stackId = try await stackId(of: nodeId)
        let feed = changes.subscribe(
            to: .changes([HubChange(kind: "node", id: nodeId), HubChange(kind: "stack", id: stackId)]))
        let now = try await desiredState(nodeId: nodeId)
        if now.hash != hash { return now }
        guard wait > .zero else { return nil }
        return try await withThrowingTaskGroup(of: DesiredStateEnvelope?.self) { group in
            group.addTask {
                for await _ in feed {
                    let next = try await self.desiredState(nodeId: nodeId)
                    if next.hash != hash { return next }
                }
                return nil
            }
            group.addTask {
                // A cancelled sleep means that a change came first.
                try? await self.world.clock.sleep(for: wait)
                return nil
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
