import HubCore
import Model
import ResourceKit

extension DashboardSite {
    private static let siteTopics = ["site", "site-user", "node", "heartbeat"]

    func site(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        let site = try await hub.read(kind, id: id, as: visit.principal)
        let stack = try await one("stack", site.text("stack_id"), visit)
        let nodes = try await all("node", visit)
        let others = try await all("site", below: site.text("stack_id"), visit)
        let rows = SitePages.rows(of: site, nodes: nodes, now: visit.now)
        let state = site.text("status") ?? "pending"
        let shared = SitePages.sharing(site, others)
        var model = try await userModels(site, visit)
        model.merge([
            "name": .string(site.label), "state": PageParts.state(state), "message": site.text("status_message").json,
            "message_tone": .string(PageParts.tone(state)), "url": SitePages.url(of: site, stack: stack).json,
            "upstream": SitePages.upstream(of: site),
            "certificate": .string(SitePages.certificate(of: site)),
            "certificate_ends": PageParts.time(site.text("certificate_not_after"), now: visit.now),
            "servers": .array(rows), "has_servers": .bool(!rows.isEmpty),
            "shared": .array(shared), "has_shared": .bool(!shared.isEmpty),
            "add_server_path": .string("/install-tokens/new?stack_id=\(percentEncoded(stack.id))"),
            "retry_path": state == "failed" ? actionPath("retry", kind, id, visit) : .null,
            "edit_path": editPath(kind, id, visit).json, "delete_path": deletePath(kind, id, visit).json,
            "facts": .array(
                GenericPages.facts(site, kind.fields, names: [:], now: visit.now).filter { $0.text("none") == nil }),
        ]) { $1 }
        return page(
            "site", title: site.label, section: "sites",
            crumbs: [Crumb(label: GenericPages.pluralTitle(kind), path: "/sites"), Crumb(label: site.label)],
            topics: Self.siteTopics, visit, model)
    }

    private func userModels(_ site: JSONValue, _ visit: Visit) async throws -> [String: JSONValue] {
        guard let kind = hub.kind("site-user"), maySee(kind, visit) else { return ["shows_users": false] }
        let users = try await all("site-user", below: site.id, visit)
        let rows = users.map { user -> JSONValue in
            [
                "path": .string("/site-users/\(percentEncoded(user.id))"), "name": .string(user.label),
                "changed": PageParts.time(user.text("updated_at"), now: visit.now),
            ]
        }
        return [
            "shows_users": .bool(site.text("auth") == "basic" || !users.isEmpty), "users": .array(rows),
            "has_users": .bool(!users.isEmpty), "users_count": .int(Int64(users.count)),
            "add_user_path": may("write", kind, visit)
                ? .string("/site-users/new?site_id=\(percentEncoded(site.id))") : .null,
        ]
    }

    /// Sites in front of a service.
    func siteLinks(serviceId: String, stackId: String, _ visit: Visit) async throws -> [JSONValue] {
        try await all("site", below: stackId, visit).filter { $0.text("service_id") == serviceId }.map(SitePages.link)
    }
}
