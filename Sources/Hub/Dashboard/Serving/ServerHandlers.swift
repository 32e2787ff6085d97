import HubCore
import HubStore
import Model
import ResourceKit

extension DashboardSite {
    func nodes(_ visit: Visit) async throws -> PageAnswer {
        guard let kind = hub.kind("node") else { throw Problem(.notFound, "There are no servers.") }
        let query = ListQuery(limit: 100, cursor: visit.query.line("cursor"))
        let (items, next) = try await hub.list(kind, query, as: visit.principal)
        let stacks = try await all("stack", visit)
        let byId = Dictionary(stacks.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var model = pager(path: "/nodes", next: next, visit)
        model.merge([
            "nodes": .array(items.map { NodePages.row($0, stacks: byId, now: visit.now) }),
            "has_nodes": .bool(!items.isEmpty), "can_add": .bool(can("create", "install-token", visit)),
        ]) { $1 }
        return page("nodes", title: "Servers", section: "nodes", topics: ["node", "heartbeat"], visit, model)
    }

    func node(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        let node = try await hub.read(kind, id: id, as: visit.principal)
        // A server of a cluster has nothing to show of a stack.
        guard node.text("stack_id") != nil else { return try await genericShow(kind, id, visit) }
        let stack = try await one("stack", node.text("stack_id"), visit)
        let services = try await all("service", below: stack.isNull ? nil : stack.id, visit)
        var model = NodePages.page(node, stack: stack, now: visit.now)
        model.merge(
            try await eventModels(EventFilter(nodeId: id, limit: 30), names: names(services, [node]), visit)
        ) { $1 }
        model["edit_path"] = editPath(kind, id, visit).json
        model["delete_path"] = deletePath(kind, id, visit).json
        let isLeaving = node.text("status") == "deleting"
        let canRetire = may("write", kind, visit) && !isLeaving && kind.actions.contains { $0.name == "retire" }
        model["retire_path"] = canRetire ? .string("/nodes/\(percentEncoded(id))/retire") : .null
        let runPath = node.text("run_id").map { "/\(Hub.runsPlural)/\(percentEncoded($0))" }
        model["run_path"] = isLeaving && mayReadRuns(visit) ? runPath.json : .null
        model["leaving_message"] = isLeaving ? node.text("status_message").json : .null
        return page(
            "node", title: node.label, section: "nodes",
            crumbs: [
                Crumb(label: "Servers", path: "/nodes"),
                Crumb(label: node.label),
            ], topics: ["node", "heartbeat", "event", "service"], visit, model)
    }

    /// Links to the first and the next page of a list.
    func pager(path: String, next: String?, keeping names: [String] = [], _ visit: Visit) -> [String: JSONValue] {
        let kept = names.compactMap { name in visit.asked(name).map { "\(name)=\(percentEncoded($0))" } }
        let isLater = visit.query.line("cursor") != nil
        let first = kept.isEmpty ? path : "\(path)?\(kept.joined(separator: "&"))"
        let onward = next.map { "\(path)?" + (kept + ["cursor=\(percentEncoded($0))"]).joined(separator: "&") }
        return [
            "has_pager": .bool(isLater || next != nil), "first_path": isLater ? .string(first) : .null,
            "next_path": onward.json,
        ]
    }
}
