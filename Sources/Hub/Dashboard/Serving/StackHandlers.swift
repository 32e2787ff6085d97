import AgentProtocol
import HubCore
import HubStore
import Model
import ResourceKit

extension DashboardSite {
    private static let stackTopics = ["stack", "service", "deployment", "node", "heartbeat", "event"]

    /// The first page: every stack with its services and servers.
    func overview(_ visit: Visit) async throws -> PageAnswer {
        let stacks = try await all("stack", visit)
        let services = try await all("service", visit)
        let nodes = try await all("node", visit)
        let recent = try await all("deployment", newestFirst: true, visit)
        let names = names(stacks, services, nodes)
        let byId = Dictionary(services.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
        var model = try await eventModels(EventFilter(limit: 12), names: names, visit)
        model.merge([
            "summary": .string(OverviewPage.summary(stacks: stacks, services: services, nodes: nodes)),
            "stacks": .array(
                stacks.map { stack in
                    let around = surroundings(stack: stack, nodes: nodes, visit)
                    let own = services.filter { $0.text("stack_id") == stack.id }
                    var model = stackModel(stack, own, around, recent, visit)
                    model["id"] = .string(stack.id)
                    model["path"] = .string("/stacks/\(stack.id)")
                    return .object(model)
                }),
            "has_stacks": .bool(!stacks.isEmpty), "can_create_stack": .bool(can("create", "stack", visit)),
            "deployments": .array(
                recent.prefix(8).map {
                    DeploymentPages.row(
                        $0, services: byId, mayRollBack: can("roll back", "deployment", visit),
                        now: visit.now)
                }), "has_deployments": .bool(!recent.isEmpty),
        ]) { $1 }
        return page("overview", title: "Overview", section: "", topics: Self.stackTopics, visit, model)
    }

    /// Whether the reader may change resources of a kind.
    func can(_ what: String, _ name: String, _ visit: Visit) -> Bool {
        guard let kind = hub.kind(name), may("write", kind, visit) else { return false }
        return what != "create" || kind.verbs.contains(.create)
    }

    /// What the overview and the page of a stack both show of it.
    private func stackModel(
        _ stack: JSONValue, _ services: [JSONValue], _ around: ServiceSurroundings, _ recent: [JSONValue],
        _ visit: Visit
    ) -> [String: JSONValue] {
        let deployed = Dictionary(
            recent.compactMap { deployment -> (String, String)? in
                guard deployment.text("status") == "active", let service = deployment.text("service_id"),
                    let end = deployment.text("finished_at")
                else { return nil }
                return (service, end)
            }, uniquingKeysWith: { newest, _ in newest })
        let rows = services.sorted { $0.label < $1.label }.map {
            ServicePages.row($0, around, deployed: deployed[$0.id])
        }
        let nodes = around.nodes.sorted { $0.label < $1.label }.map { NodePages.row($0, now: visit.now) }
        let id = percentEncoded(stack.id)
        return [
            "name": .string(stack.label), "state": PageParts.state(stack.text("status") ?? "pending"),
            "version": .int(stack.int("version") ?? 0), "services": .array(rows), "has_services": .bool(!rows.isEmpty),
            "nodes": .array(nodes), "has_nodes": .bool(!nodes.isEmpty),
            "add_service_path": can("create", "service", visit) ? .string("/services/new?stack_id=\(id)") : .null,
            "add_server_path": can("create", "install-token", visit)
                ? .string("/install-tokens/new?stack_id=\(id)") : .null,
        ]
    }

    func stack(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        let stack = try await hub.read(kind, id: id, as: visit.principal)
        let services = try await all("service", below: id, visit)
        let nodes = try await all("node", visit)
        let recent = try await all("deployment", newestFirst: true, visit)
        let around = surroundings(stack: stack, nodes: nodes, visit)
        var model = stackModel(stack, services, around, recent, visit)
        model.merge(
            try await eventModels(EventFilter(stackId: id, limit: 20), names: names(services, nodes), visit)
        ) { $1 }
        let document = try await document(of: id, visit)
        let hash = stack.text("hash") ?? document.map { sha256Hex($0.canonicalBytes) }
        model.merge([
            "hash": hash.json, "hash_short": .string(String((hash ?? "").prefix(12))),
            "document": document.map { .string(GenericPages.indented($0)) } ?? .null,
            "message": stack.text("status_message").json,
            "edit_path": editPath(kind, id, visit).json, "delete_path": deletePath(kind, id, visit).json,
            "facts": .array(GenericPages.facts(stack, kind.fields, names: [:], now: visit.now)),
        ]) { $1 }
        return page(
            "stack", title: stack.label, section: "stacks",
            crumbs: [
                Crumb(label: "Stacks", path: "/stacks"),
                Crumb(label: stack.label),
            ], topics: Self.stackTopics, visit, model)
    }

    /// What the servers of a stack are told to run, without secrets and for no server in particular.
    private func document(of stackId: String, _ visit: Visit) async throws -> JSONValue? {
        guard let services = hub.kind("service"), maySee(services, visit) else { return nil }
        return try WireCoding.encode(try await hub.desiredStatePreview(stackId: stackId))
    }

    func editPath(_ kind: ResourceKind, _ id: String, _ visit: Visit) -> String? {
        kind.verbs.contains(.update) && may("write", kind, visit) ? "/\(kind.plural)/\(percentEncoded(id))/edit" : nil
    }

    func deletePath(_ kind: ResourceKind, _ id: String, _ visit: Visit) -> String? {
        kind.verbs.contains(.delete) && may("delete", kind, visit)
            ? "/\(kind.plural)/\(percentEncoded(id))/delete" : nil
    }

    func actionPath(_ name: String, _ kind: ResourceKind, _ id: String, _ visit: Visit) -> JSONValue {
        guard may("write", kind, visit), kind.allActions.contains(where: { $0.name == name }) else { return .null }
        return .string("/\(kind.plural)/\(percentEncoded(id))/\(name)")
    }

    func service(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        let service = try await hub.read(kind, id: id, as: visit.principal)
        let stack = try await one("stack", service.text("stack_id"), visit)
        let nodes = try await all("node", visit)
        let deployments = try await all("deployment", below: id, newestFirst: true, limit: 50, visit)
        let around = surroundings(stack: stack, nodes: nodes, visit)
        let names = names([service], nodes)
        let logs = try await logModels("service", id: id, label: service.label, names: names)
        let mayRollBack = can("roll back", "deployment", visit)
        let sites = try await siteLinks(serviceId: id, stackId: stack.id, visit)
        var model = ServicePages.page(service, around, isFailing: deployments.first?.text("status") == "failed")
        model.merge(try await eventModels(EventFilter(serviceId: id, limit: 20), names: names, visit)) { $1 }
        model.merge([
            "deploy_path": service.text("git_url") == nil ? .null : actionPath("deploy", kind, id, visit),
            "upload_path": actionPath("deploy", kind, id, visit) == .null
                ? .null : .string("/api/v1/services/\(id)/upload"),
            "restart_path": actionPath(
                "restart", kind, id,
                visit),
            "rotate_path": actionPath("rotate-webhook-secret", kind, id, visit),
            "edit_path": editPath(kind, id, visit).json, "delete_path": deletePath(kind, id, visit).json,
            "add_server_path": .string("/install-tokens/new?stack_id=\(percentEncoded(stack.id))"),
            "logs": .array(logs), "has_logs": .bool(!logs.isEmpty), "sites": .array(sites),
            "has_sites": .bool(!sites.isEmpty),
            "deployments": .array(
                deployments.map {
                    DeploymentPages.row(
                        $0, servingId: service.text("serving_deployment_id"), mayRollBack: mayRollBack, now: visit.now)
                }), "has_deployments": .bool(!deployments.isEmpty),
            "facts": .array(
                GenericPages.facts(service, kind.fields.filter { $0.name != "env" }, names: [:], now: visit.now)
                    .filter { $0.text("none") == nil }),
        ]) { $1 }
        return page(
            "service", title: service.label, section: "services", crumbs: trail(stack, service),
            topics: Self.stackTopics + ["log"], visit, model)
    }

    private func trail(_ stack: JSONValue, _ service: JSONValue, last: String? = nil) -> [Crumb] {
        [Crumb(label: "Stacks", path: "/stacks"), Crumb(label: stack.label, path: "/stacks/\(stack.id)")]
            + (last.map { [Crumb(label: service.label, path: "/services/\(service.id)"), Crumb(label: $0)] }
                ?? [Crumb(label: service.label)])
    }

    func deployment(_ kind: ResourceKind, _ id: String, _ visit: Visit) async throws -> PageAnswer {
        let deployment = try await hub.read(kind, id: id, as: visit.principal)
        let service = try await one("service", deployment.text("service_id"), visit)
        let stack = try await one("stack", service.text("stack_id"), visit)
        let nodes = try await all("node", visit)
        let names = names([service], nodes)
        let logs = try await logModels("deployment", id: id, label: "Build", names: names)
        var model = DeploymentPages.page(
            deployment, service: service, nodes: nodes, mayRollBack: can("roll back", "deployment", visit),
            now: visit.now)
        model.merge(try await eventModels(EventFilter(deploymentId: id, limit: 30), names: names, visit)) { $1 }
        model["logs"] = .array(logs)
        model["has_logs"] = .bool(!logs.isEmpty)
        let commit = PageParts.short(deployment.text("commit"))
        let label = "Deployment " + (commit.isEmpty ? String(id.prefix(8)) : commit)
        return page(
            "deployment", title: "\(label) of \(service.label)", section: "services",
            crumbs: trail(stack, service, last: label), topics: Self.stackTopics + ["log"], visit, model)
    }
}
