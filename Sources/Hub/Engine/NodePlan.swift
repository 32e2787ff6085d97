import AgentProtocol
import AppsResources
import HubStore
import Model
import ResourceKit

/// What a planned change means for each server: the documents before and after, compared.
struct NodePlan {
    private static let nodesMax = 200

    let images: [RecordingTransaction.Image]
    /// In the state after the change, which is rolled back later.
    let transaction: any StoreTransaction

    /// One entry per server that has something to do.
    func entries() throws -> [JSONValue] {
        var entries: [JSONValue] = []
        for stackId in try stackIds() {
            let steps = DesiredChanges.steps(from: try document(stackId, .before), to: try document(stackId, .after))
            for node in try nodes(ofStack: stackId) {
                guard entries.count < Self.nodesMax else { return entries }
                let isLeaving = try record("node", node.id, .after).map { $0.status == .deleting } ?? true
                let own =
                    isLeaving ? DesiredChanges.steps(from: try document(stackId, .before), to: nil) : steps
                guard !own.isEmpty else { continue }
                entries.append([
                    "id": .string(node.id), "name": node.spec["name"] ?? .null,
                    "steps": .array(own.map { .string($0) }),
                ])
            }
        }
        return entries
    }

    private enum Moment { case before, after }

    /// Stacks whose documents may change, in the order in which the change touched them.
    private func stackIds() throws -> [String] {
        var ids: [String] = []
        for image in images {
            guard let record = image.after ?? image.before else { continue }
            let id: String? =
                switch image.kind {
                case "stack": record.id
                case "service", "site": record.parentId
                case "site-user": try stackId(ofSite: record.parentId)
                case "deployment": record.state["stack_id"]?.stringValue
                case "node": record.spec["stack_id"]?.stringValue
                default: nil
                }
            if let id, !ids.contains(id) { ids.append(id) }
        }
        return ids
    }

    private func stackId(ofSite id: String?) throws -> String? {
        guard let id else { return nil }
        return try (record("site", id, .after) ?? record("site", id, .before))?.parentId
    }

    private func record(_ kind: String, _ id: String, _ moment: Moment) throws -> ResourceRecord? {
        if moment == .before, let image = images.first(where: { $0.kind == kind && $0.id == id }) {
            return image.before
        }
        return try transaction.get(kind, id)
    }

    private func all(_ kind: String, _ moment: Moment, parentId: String) throws -> [ResourceRecord] {
        let now = try transaction.all(kind, parentId: parentId)
        return moment == .after ? now : before(kind, now) { $0.parentId == parentId }
    }

    /// Servers that run the stack before the change.
    private func nodes(ofStack stackId: String) throws -> [ResourceRecord] {
        before("node", try transaction.all("node", referringTo: stackId, in: "stack_id")) {
            $0.spec["stack_id"]?.stringValue == stackId
        }
    }

    /// What there was of a kind before the change, out of what there is after it.
    private func before(
        _ kind: String, _ now: [ResourceRecord], where belongs: (ResourceRecord) -> Bool
    ) -> [ResourceRecord] {
        let touched = images.filter { $0.kind == kind }
        let same = now.filter { record in !touched.contains { $0.id == record.id } }
        return same + touched.compactMap(\.before).filter(belongs)
    }

    private func document(_ stackId: String, _ moment: Moment) throws -> DesiredState? {
        guard let stack = try record("stack", stackId, moment) else { return nil }
        var services = try all("service", moment, parentId: stackId)
        var deployments: [String: ResourceRecord] = [:]
        for index in services.indices {
            // One that has no commit yet is shown as what it will be.
            let pending = moment == .after ? pendingDeployment(of: services[index].id) : nil
            if let pending { services[index].state["deployment_id"] = .string(pending.id) }
            guard let id = services[index].state["deployment_id"]?.stringValue else { continue }
            deployments[id] = try pending ?? record("deployment", id, moment)
        }
        // Secrets stay sealed: they are compared, and never shown.
        return try StackCompilation.compile(
            stack: stack, services: services, deployments: deployments,
            sites: try all("site", moment, parentId: stackId).map { site in
                SiteRecords(site: site, users: try all("site-user", moment, parentId: site.id))
            }, nodeId: "", open: { $0 })
    }

    private func pendingDeployment(of serviceId: String) -> ResourceRecord? {
        let started = images.compactMap(\.after).last { record in
            record.kind == "deployment" && record.parentId == serviceId && record.status == .pending
        }
        guard var deployment = started else { return nil }
        let ref = deployment.state["git_ref"]?.stringValue
        deployment.state["commit"] = .string("the commit of \(ref ?? "the default branch")")
        return deployment
    }
}
