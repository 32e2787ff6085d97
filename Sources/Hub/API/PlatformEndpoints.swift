import AgentProtocol
import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model
import ResourceKit

/// Endpoints across kinds: search, numbers, audit log, events, logs.
extension HubAPI {
    func platformEndpoints() -> [Endpoint] {
        var result =
            [searchEndpoint(), statsEndpoint(), auditEndpoint(), eventsEndpoint()] + auditEndpoints()
            + logLineEndpoints()
        if hub.kind("node") != nil { result.append(nodeEventsEndpoint()) }
        for name in ["deployment", "service"] { if let kind = hub.kind(name) { result.append(logEndpoint(kind)) } }
        if hub.kind("stack") != nil { result.append(desiredStateEndpoint()) }
        return result
    }

    private func searchEndpoint() -> Endpoint {
        var operation = Operation(
            id: "search", tag: "platform", summary: "Find resources of any kind by a part of their id, name or address."
        )
        operation.parameters =
            [
                Schema.parameter(
                    "q", ["type": "string", "minLength": 1, "maxLength": 255], "Text to find.", required: true)
            ] + Schema.pageParameters
        operation.scope = .init("search", "read", isPlatformOnly: true)
        operation.answers = [(200, Schema.page(of: Schema.reference("search-hit")))]
        let known = operation.queryNames
        return Endpoint(method: .get, path: "\(Self.base)/search", access: .key, operation: operation) { request in
            try hub.admitSearch(as: request.principal)
            let query = request.query
            try query.expectOnly(known)
            let (items, next) = try await hub.search(
                query["q"] ?? "", limit: Int(try query.integer("limit", in: 1...200, default: 50)),
                cursor: query["cursor"], as: request.principal)
            return Answers.json(Self.page(items, next))
        }
    }

    private func statsEndpoint() -> Endpoint {
        var operation = Operation(
            id: "dashboard-stats", tag: "platform", summary: "Count resources per kind and status.")
        operation.scope = .init("dashboard", "read", isPlatformOnly: true)
        operation.answers = [(200, Schema.reference("stats"))]
        return Endpoint(method: .get, path: "\(Self.base)/dashboard/stats", access: .key, operation: operation) {
            Answers.json(try await hub.stats(as: $0.principal))
        }
    }

    private func auditEndpoint() -> Endpoint {
        var operation = Operation(id: "audit-logs", tag: "platform", summary: "Read the audit log, newest first.")
        operation.parameters =
            ["resource", "action", "outcome"].map {
                Schema.parameter($0, ["type": "string"], "Only entries with this \($0).")
            } + [Schema.parameter("actor", ["type": "string"], "Only entries of who has this name or id.")]
            + ["since", "until"].map {
                Schema.parameter($0, ["type": "string", "format": "date-time", "pattern": "Z$"], "Time in UTC.")
            } + Schema.pageParameters
        operation.scope = .init("audit-logs", "read", isPlatformOnly: true)
        operation.answers = [(200, Schema.page(of: Schema.reference("audit-entry")))]
        let known = operation.queryNames
        return Endpoint(method: .get, path: "\(Self.base)/audit-logs", access: .key, operation: operation) { request in
            try hub.admitAudit(as: request.principal)
            let query = request.query
            try query.expectOnly(known)
            let limit = Int(try query.integer("limit", in: 1...200, default: 50))
            let filter = AuditFilter(
                actor: query["actor"], resource: query["resource"], action: query["action"],
                outcome: query["outcome"], since: try query.time("since"), until: try query.time("until"),
                beforeId: try Self.numberCursor(query), limit: limit)
            let entries = try await hub.auditLog(filter, as: request.principal)
            let next = entries.count == limit ? entries.last.map { String($0.id) } : nil
            return Answers.json(Self.page(entries.map(\.json), next))
        }
    }

    /// The cursor of lists that are ordered by number.
    static func numberCursor(_ query: QueryParameters) throws -> Int64? {
        guard let text = query["cursor"] else { return nil }
        guard text.utf8.count <= 18, text.utf8.allSatisfy({ (48...57).contains($0) }), let number = Int64(text) else {
            throw Problem.invalid("cursor", "does not belong to this list; start again without it")
        }
        return number
    }

    private func eventsEndpoint() -> Endpoint {
        var operation = Operation(
            id: "events", tag: "events",
            summary: "Read the event timeline, newest first; with follow=true as a stream, oldest first.")
        operation.parameters =
            ["node", "stack", "service", "deployment"].map {
                Schema.parameter($0, ["type": "string"], "Only events of the \($0) with this id.")
            } + Schema.eventParameters
        operation.answers = [(200, Schema.page(of: Schema.reference("event")))]
        operation.isStream = true
        operation.namesResources = true
        let known = operation.queryNames
        return Endpoint(method: .get, path: "\(Self.base)/events", access: .key, operation: operation) { request in
            try await events(request, known, nodeId: request.query["node"])
        }
    }

    private func nodeEventsEndpoint() -> Endpoint {
        var operation = Operation(
            id: "node-events", tag: "events", summary: "Read the events of a server; with follow=true as a stream.")
        operation.parameters = [Schema.idParameter] + Schema.eventParameters
        operation.answers = [(200, Schema.page(of: Schema.reference("event")))]
        operation.isStream = true
        let known = operation.queryNames
        return Endpoint(method: .get, path: "\(Self.base)/nodes/{id}/events", access: .key, operation: operation) {
            try await events($0, known, nodeId: $0.id)
        }
    }

    private func events(_ request: APIRequest, _ known: Set<String>, nodeId: String?) async throws -> Response {
        let query = request.query
        var filter = EventFilter(
            nodeId: nodeId, stackId: query["stack"], serviceId: query["service"], deploymentId: query["deployment"],
            kind: query["kind"])
        try await hub.admitEvents(filter, as: request.principal)
        try query.expectOnly(known)
        let limit = Int(try query.integer("limit", in: 1...200, default: 50))
        filter.limit = limit
        filter.beforeId = try Self.numberCursor(query)
        let found = try await hub.events(filter, as: request.principal)
        guard try query.flag("follow") else {
            let next = found.count == limit ? found.last.map { String($0.id) } : nil
            return Answers.json(Self.page(found.map(\.json), next))
        }
        filter.beforeId = nil
        filter.limit = 200
        let last = request.request.headers[.init("Last-Event-ID")!].flatMap(Int64.init)
        filter.afterId = last ?? (found.last?.id ?? 1) - 1
        return try eventStream(request, filter)
    }

    private func logEndpoint(_ kind: ResourceKind) -> Endpoint {
        var operation = Operation(
            id: "\(kind.name)-logs", tag: kind.plural,
            summary: "Read the output of a \(kind.name), per server; with follow=true as a stream.")
        operation.parameters = [
            Schema.idParameter, Schema.parameter("node", ["type": "string"], "Only the output on this server."),
            Schema.parameter("offset", ["type": "integer", "minimum": 0], "Where to begin, in bytes of the stream."),
            Schema.followParameter,
        ]
        operation.answers = [(200, Schema.items(Schema.reference("log")))]
        operation.isStream = true
        let path = "\(Self.base)/\(kind.plural)/{id}/logs"
        return Endpoint(method: .get, path: path, access: .key, operation: operation) { request in
            try await hub.admit(kind, "read", id: request.id, as: request.principal)
            let offset = try request.query.integer("offset", in: 0...Int64.max, default: 0)
            let follow = try request.query.flag("follow")
            let cursor = LogCursor(
                node: request.query["node"], offset: offset,
                resuming: follow ? request.request.headers[.init("Last-Event-ID")!] : nil)
            if follow { return try logStream(request, kind, cursor) }
            let logs = try await readLogs(request, kind, cursor)
            return Answers.json(["items": .array(logs.map { Self.logJSON($0.nodeId, $0.log) })])
        }
    }

    static func logJSON(_ nodeId: String, _ log: LogText) -> JSONValue {
        [
            "node_id": .string(nodeId), "offset": .int(log.offset), "text": .string(log.text), "end": .int(log.end),
        ]
    }

    private func desiredStateEndpoint() -> Endpoint {
        var operation = Operation(
            id: "stack-desired-state", tag: "stacks",
            summary: "Read what the servers of a stack should run, its version and SHA-256. Secrets are left out.")
        operation.parameters = [Schema.idParameter]
        operation.answers = [(200, ["type": "object"])]
        let path = "\(Self.base)/stacks/{id}/desired-state"
        return Endpoint(method: .get, path: path, access: .key, operation: operation) { request in
            guard let kind = hub.kind("stack") else { throw Problem(.notFound, "There are no stacks.") }
            try await hub.admit(kind, "read", id: request.id, as: request.principal)
            let state = try await hub.desiredStatePreview(stackId: request.id)
            var answer = try WireCoding.encode(state)
            let hash = sha256Hex(answer.canonicalBytes)
            (answer["version"], answer["hash"]) = (.int(state.generation), .string(hash))
            return Answers.json(answer, headers: [.eTag: "\"\(hash)\""])
        }
    }
}
