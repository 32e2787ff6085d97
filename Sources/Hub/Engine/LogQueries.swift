public import HubStore
public import Model
import ResourceKit

extension Hub {
    /// Decides whether a caller may see lines of what a filter names.
    /// - Throws: `forbidden`; `not_found` for a named resource that there is not, or that the caller may not see.
    public func admitLogs(_ filter: LogFilter, as principal: Principal) async throws {
        try principal.require("read", "logs")
        try await store.read { [self] in try requireVisible(filter, principal, $0) }
    }

    private func requireVisible(
        _ filter: LogFilter, _ principal: Principal, _ transaction: any ResourceTransaction
    ) throws {
        let named = [
            ("service", filter.serviceId), ("tenant", filter.tenantId), ("webroot", filter.webrootId),
            ("cron-job", filter.cronJobId),
        ]
        for (name, id) in named {
            // Of a kind that there is not, nothing was ever written.
            guard let id, let kind = kindsByName[name] else { continue }
            _ = try visible(kind, id, principal, transaction)
        }
    }

    /// Lines of the logs that a caller may see.
    /// - Throws: `forbidden`; `not_found` for a named resource that there is not, or that the caller may not see.
    public func logLines(_ filter: LogFilter, as principal: Principal) async throws -> LogPage {
        try principal.require("read", "logs")
        var filter = filter
        filter.brands = principal.brands
        let asked = filter
        return try await store.read { [self] transaction in
            try requireVisible(asked, principal, transaction)
            return try transaction.logLines(asked)
        }
    }
}

extension LogLine {
    public var json: JSONValue {
        func text(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
        let isBuild = type == "build"
        return [
            "id": .string(place.text), "time": .string(Timestamp(millisecondsSinceEpoch: place.timeMs).rfc3339),
            "level": .string(level.rawValue), "log_type": .string(type), "message": .string(message),
            "node_id": .string(nodeId), "tenant_id": text(tenantId),
            "service_id": text(isBuild ? parentId : type == "service" ? ownerId : nil),
            "deployment_id": text(isBuild ? ownerId : nil),
            "webroot_id": text(type == "webroot" ? ownerId : type == "cron-job" ? parentId : nil),
            "cron_job_id": text(type == "cron-job" ? ownerId : nil),
        ]
    }
}
