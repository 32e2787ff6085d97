import HubCore
import HubStore
import Model
import ResourceKit

extension DashboardSite {
    private static let entriesMax = 60

    func events(_ visit: Visit) async throws -> PageAnswer {
        let services = try await all("service", visit)
        let nodes = try await all("node", visit)
        let before = visit.asked("cursor").flatMap { Int64($0) }
        let filter = EventFilter(
            nodeId: visit.asked("node"), serviceId: visit.asked("service"), kind: visit.asked("kind"), beforeId: before,
            limit: Self.entriesMax)
        let events = try await hub.events(filter, as: visit.principal)
        let names = names(services, nodes)
        let next = events.count == Self.entriesMax ? events.last.map { String($0.id) } : nil
        var model = pager(path: "/events", next: next, keeping: ["kind", "service", "node"], visit)
        model.merge([
            "events": .array(events.map { TimelinePages.row($0, names: names, now: visit.now) }),
            "has_events": .bool(!events.isEmpty), "is_live": .bool(before == nil),
            "kinds": TimelinePages.options(
                "All kinds", TimelinePages.eventKinds.map { ($0, $0) }, selected: visit.asked("kind")),
            "services": TimelinePages.options(
                "All services", services.map { ($0.id, $0.label) }, selected: visit.asked("service")),
            "nodes": TimelinePages.options(
                "All servers", nodes.map { ($0.id, $0.label) },
                selected: visit.asked("node")),
        ]) { $1 }
        return page("events-page", title: "Events", section: "events", topics: ["event"], visit, model)
    }

    func logLines(_ visit: Visit) async throws -> PageAnswer {
        let (services, nodes) = (try await all("service", visit), try await all("node", visit))
        var filter = LogFilter(limit: Self.entriesMax)
        (filter.serviceId, filter.nodeId, filter.type) = (
            visit.asked("service"), visit.asked("node"), visit.asked("log_type")
        )
        filter.level = visit.asked("level").flatMap(LogLevel.init)
        filter.text = visit.asked("text")
        filter.before = visit.asked("cursor").flatMap { LogPlace($0) }
        let found = try await hub.logLines(filter, as: visit.principal)
        let names = names(services, nodes)
        let next = found.hasMore ? found.end?.text : nil
        var model = pager(path: "/logs", next: next, keeping: ["service", "node", "log_type", "level", "text"], visit)
        model.merge([
            "events": .array(found.lines.map { TimelinePages.logRow($0, names: names, now: visit.now) }),
            "has_events": .bool(!found.lines.isEmpty), "is_live": .bool(filter.before == nil),
            "text": visit.asked("text").json,
            "levels": TimelinePages.options(
                "All levels", LogLevel.allCases.map { ($0.rawValue, $0.rawValue) }, selected: visit.asked("level")),
            "types": TimelinePages.options(
                "Services and builds", [("service", "Services"), ("build", "Builds")],
                selected: visit.asked("log_type")),
            "services": TimelinePages.options(
                "All services", services.map { ($0.id, $0.label) }, selected: visit.asked("service")),
            "nodes": TimelinePages.options(
                "All servers", nodes.map { ($0.id, $0.label) }, selected: visit.asked("node")),
        ]) { $1 }
        return page("logs-page", title: "Logs", section: "logs", topics: ["log"], visit, model)
    }

    func audit(_ visit: Visit) async throws -> PageAnswer {
        let before = visit.asked("cursor").flatMap { Int64($0) }
        let filter = AuditFilter(
            actor: visit.asked("actor"), resource: visit.asked("resource"), action: visit.asked("action"),
            outcome: visit.asked("outcome"), beforeId: before, limit: Self.entriesMax)
        let entries = try await hub.auditLog(filter, as: visit.principal)
        let paths = Dictionary(hub.kinds.map { ($0.name, $0.plural) }, uniquingKeysWith: { $1 })
        let next = entries.count == Self.entriesMax ? entries.last.map { String($0.id) } : nil
        let filters = ["actor", "resource", "action", "outcome"]
        var model = pager(path: "/audit-logs", next: next, keeping: filters, visit)
        model.merge([
            "rows": .array(entries.map { TimelinePages.auditRow($0, paths: paths, now: visit.now) }),
            "has_rows": .bool(!entries.isEmpty), "is_live": .bool(before == nil),
        ]) { $1 }
        for name in filters { model[name] = visit.asked(name).json }
        let topics = hub.kinds.map(\.name)
        return page("audit", title: "Audit log", section: "audit-logs", topics: topics, visit, model)
    }

    func search(_ visit: Visit) async throws -> PageAnswer {
        let text = visit.asked("q") ?? ""
        let found = text.isEmpty ? [] : try await hub.search(text, as: visit.principal).items
        let results = found.compactMap { result -> JSONValue? in
            guard let kind = result.text("kind").flatMap({ hub.kind($0) }) else { return nil }
            return [
                "path": .string("/\(kind.plural)/\(percentEncoded(result.id))"), "label": .string(result.label),
                "id": .string(result.id), "kind": .string(GenericPages.title(kind)),
                "state": PageParts.state(result.text("status") ?? "active"),
            ]
        }
        let model: [String: JSONValue] = [
            "summary": .string(text.isEmpty ? "" : "\(OverviewPage.count(results.count, "result")) for “\(text)”."),
            "results": .array(results), "has_results": .bool(!results.isEmpty),
            "empty_heading": .string(text.isEmpty ? "Enter something to search for" : "Nothing has that in it"),
        ]
        return page("search", title: "Search", section: "search", visit, model)
    }
}
