public import HubStore
public import Model
public import ResourceKit

extension Hub {
    /// Decides whether a caller may see the events that a filter asks for.
    /// - Throws: `forbidden`, `not_found`.
    public func admitEvents(_ filter: EventFilter, as principal: Principal) async throws {
        try principal.require("read", "events")
        try await store.read { [self] in try requireVisible(filter, principal, $0) }
    }

    /// The event timeline. Callers of single brands must name a resource of theirs.
    /// - Throws: `forbidden`, `not_found`.
    public func events(_ filter: EventFilter = .init(), as principal: Principal) async throws -> [HubEvent] {
        try principal.require("read", "events")
        return try await store.read { [self] transaction in
            try requireVisible(filter, principal, transaction)
            return try transaction.events(filter)
        }
    }

    private func requireVisible(
        _ filter: EventFilter, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws {
        let named = [("stack", filter.stackId), ("service", filter.serviceId), ("deployment", filter.deploymentId)]
            .compactMap { kind, id in id.map { (kind, $0) } }
        for (name, id) in named {
            guard let kind = kindsByName[name] else { throw Self.unknown(name, id) }
            _ = try visible(kind, id, principal, transaction)
        }
        if let nodeId = filter.nodeId, principal.brands == .all {
            guard let kind = kindsByName["node"] else { throw Self.unknown("node", nodeId) }
            _ = try visible(kind, nodeId, principal, transaction)
        }
        if named.isEmpty { try principal.requirePlatform() }
    }

    /// Text of the logs of a deployment (`build`) or service (`service`), one a server, from the given offsets.
    ///
    /// - Parameters:
    ///   - offsets: node id → where to go on; from the start of what is kept when absent.
    ///   - bytesMax: at most this much text per server.
    /// - Throws: `forbidden`, `not_found`.
    public func logs(
        of kind: ResourceKind, id: String, offsets: [String: Int64] = [:], bytesMax: Int = 262_144,
        as principal: Principal
    ) async throws -> [(nodeId: String, log: LogText)] {
        try requireScope(kind, "read", principal)
        return try await store.read { [self] transaction in
            _ = try visible(kind, id, principal, transaction)
            let source = kind.name == "deployment" ? "build" : kind.name
            return try transaction.logNames(source: source, id: id).map { name in
                (name.nodeId, try transaction.log(name, from: offsets[name.nodeId] ?? 0, bytesMax: bytesMax))
            }
        }
    }
}

extension HubEvent {
    public var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
        return [
            "id": .int(id), "time": .string(time.rfc3339), "kind": .string(kind), "node_id": text(nodeId),
            "stack_id": text(stackId), "service_id": text(serviceId), "deployment_id": text(deploymentId),
            "node": text(nodeId), "service": text(serviceId), "message": .string(message),
        ]
    }
}
