import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model

/// Lines of all logs: as pages, newest first, and as a stream.
extension HubAPI {
    func logLineEndpoints() -> [Endpoint] {
        var all = Operation(
            id: "logs", tag: "logs",
            summary: "Read lines of all logs, newest first; with follow=true as a stream, oldest first.")
        all.parameters = [Self.logParameter("tenant", "tenant")] + Self.logParameters
        var result = [logLines(all, "\(Self.base)/logs") { $0.query["tenant"] }]
        if hub.kind("tenant") != nil {
            var below = Operation(
                id: "tenant-logs", tag: "tenants",
                summary: "Read lines of the logs of a tenant, newest first; with follow=true as a stream.")
            below.parameters = [Schema.idParameter] + Self.logParameters
            result.append(logLines(below, "\(Self.base)/tenants/{id}/logs") { $0.id })
        }
        return result
    }

    private static func logParameter(_ name: String, _ what: String) -> JSONValue {
        Schema.parameter(name, ["type": "string"], "Only lines of the \(what) with this id.")
    }

    private static let logParameters: [JSONValue] =
        [
            logParameter("service", "service"), logParameter("webroot", "webroot"),
            logParameter("cron_job_id", "cron job"), logParameter("node", "server"),
            Schema.parameter(
                "log_type", ["type": "string"],
                "Only lines of this type: service is what services print, build what their builds do."),
            Schema.parameter(
                "level", ["type": "string", "enum": .array(LogLevel.allCases.map { .string($0.rawValue) })],
                "Only lines of this level, which is told from the line."),
            Schema.parameter(
                "text", ["type": "string", "maxLength": 255], "Only lines with this in them, in whatever case."),
        ]
        + ["since", "until"].map {
            Schema.parameter($0, ["type": "string", "format": "date-time", "pattern": "Z$"], "Time in UTC.")
        } + Schema.pageParameters + [Schema.followParameter]

    private func logLines(
        _ operation: Operation, _ path: String, tenant: @escaping @Sendable (APIRequest) -> String?
    ) -> Endpoint {
        var operation = operation
        operation.scope = .init("logs", "read")
        operation.answers = [(200, Schema.page(of: Schema.reference("log-line")))]
        operation.isStream = true
        operation.namesResources = true
        let known = operation.queryNames
        return Endpoint(method: .get, path: path, access: .key, operation: operation) { request in
            var named = LogFilter(limit: 1)
            named.tenantId = tenant(request)
            try await hub.admitLogs(named, as: request.principal)
            try request.query.expectOnly(known)
            var filter = try Self.filter(request.query)
            filter.tenantId = named.tenantId
            let page = try await hub.logLines(filter, as: request.principal)
            guard try request.query.flag("follow") else {
                return Answers.json(Self.page(page.lines.map(\.json), page.hasMore ? page.end?.text : nil))
            }
            filter.before = nil
            filter.limit = 200
            filter.after = try Self.start(request, page)
            return try logLineStream(request, filter)
        }
    }

    private static func filter(_ query: QueryParameters) throws -> LogFilter {
        var filter = LogFilter(limit: Int(try query.integer("limit", in: 1...200, default: 50)))
        filter.serviceId = try query.text("service")
        filter.webrootId = try query.text("webroot")
        filter.cronJobId = try query.text("cron_job_id")
        filter.nodeId = try query.text("node")
        filter.type = try query.text("log_type")
        filter.level = try query.choice("level", LogLevel.allCases.map(\.rawValue)).flatMap(LogLevel.init)
        filter.text = try query.text("text")
        (filter.since, filter.until) = (try query.time("since"), try query.time("until"))
        filter.tenantId = try query.text("tenant")
        if let cursor = query["cursor"] { filter.before = try place(cursor) }
        return filter
    }

    private static func place(_ text: String) throws -> LogPlace {
        guard let place = LogPlace(text) else {
            throw Problem.invalid("cursor", "does not belong to this list; start again without it")
        }
        return place
    }

    /// Where a stream begins: behind what the client has, or with the newest page.
    private static func start(_ request: APIRequest, _ newest: LogPage) throws -> LogPlace {
        if let known = request.request.headers[.init("Last-Event-ID")!].flatMap({ LogPlace($0) }) { return known }
        let first = newest.lines.min { ($0.place.piece, $0.place.line) < ($1.place.piece, $1.place.line) }?.place
        return LogPlace(timeMs: 0, piece: first?.piece ?? 0, line: (first?.line ?? 0) - 1)
    }
}
