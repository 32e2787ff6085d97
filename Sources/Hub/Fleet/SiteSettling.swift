import AppsResources
import Model
import ResourceKit

/// The status of a site out of what the servers of its stack reported. Level-triggered, as ``Settling`` is.
enum SiteSettling {
    static func settle(
        _ site: ResourceRecord, _ nodes: [Settling.NodeView], _ transaction: any ResourceTransaction
    ) throws {
        if site.status == .deleting { return try leave(site, nodes, transaction) }
        var next = site
        next.state["nodes"] = .object(
            Dictionary(nodes.map { ($0.name, shown($0.sites?[site.id])) }, uniquingKeysWith: { $1 }))
        let ends = nodes.compactMap { $0.sites?[site.id]?["certificate_not_after"]?.stringValue }
        // Times of equal form sort as text.
        next.state["certificate_not_after"] = ends.min().map { .string($0) }
        (next.status, next.statusMessage) = try verdict(site, nodes, transaction)
        guard next != site else { return }
        _ = try transaction.put(next)
        try tell(of: next, before: site.status, nodes.count, transaction)
    }

    private static func shown(_ report: JSONValue?) -> JSONValue {
        guard let report else { return ["state": "provisioning"] }
        let members = ["state", "message", "certificate_not_after"].compactMap { name in
            report[name].flatMap { $0.isNull ? nil : (name, $0) }
        }
        return .object(Dictionary(members, uniquingKeysWith: { $1 }))
    }

    /// Gone once no server that is heard of has it; a silent one drops it when it is back.
    private static func leave(
        _ site: ResourceRecord, _ nodes: [Settling.NodeView], _ transaction: any ResourceTransaction
    ) throws {
        let required = site.state["required_generation"]?.intValue ?? 0
        let holders = nodes.filter { $0.generation < required || $0.sites?[site.id] != nil }
        guard !holders.isEmpty else {
            try transaction.remove("site", site.id)
            return try transaction.emit(
                HubEvent(
                    time: transaction.now, kind: "config", stackId: site.parentId,
                    message: "Site \(title(site)) is gone from every server."))
        }
        var next = site
        let note = site.state["leaving_note"]?.stringValue.map { "\($0) " } ?? ""
        next.statusMessage = "\(note)Waiting for \(names(holders)).\(problem(of: holders))"
        if next != site { _ = try transaction.put(next) }
    }

    private static func verdict(
        _ site: ResourceRecord, _ nodes: [Settling.NodeView], _ transaction: any ResourceTransaction
    ) throws -> (ResourceStatus, String?) {
        if let missing = try missingService(site, transaction) {
            return (
                .failed,
                "The service \(missing) is gone. Give the site another upstream, or remove it: "
                    + "roost site unprovision \(title(site))."
            )
        }
        guard !nodes.isEmpty else {
            let isNew = site.status == .pending
            return (
                isNew ? .pending : .provisioning,
                "No server of the stack is heard of; add one: roost server add."
            )
        }
        let required = site.state["required_generation"]?.intValue ?? 0
        let late = nodes.filter { $0.generation < required }
        let current = nodes.filter { $0.generation >= required }
        if let mute = current.first(where: { $0.sites == nil }) {
            return (.provisioning, "Server \(mute.name) does not say how its sites are; upgrade its agent.")
        }
        if let (node, report) = first(in: current, site, "failed") {
            return (.failed, "On server \(node.name): \(message(report) ?? "it failed.")")
        }
        guard late.isEmpty else { return (.provisioning, "Waiting for \(names(late)).\(problem(of: late))") }
        if let (node, report) = first(in: current, site, "provisioning") {
            return (
                .provisioning, message(report).map { "On server \(node.name): \($0)" } ?? "Waiting for \(node.name)."
            )
        }
        let silent = current.filter { $0.sites?[site.id] == nil }
        guard silent.isEmpty else { return (.provisioning, "Waiting for \(names(silent)).") }
        let note = current.lazy.compactMap { node in
            message(node.sites?[site.id] ?? .null).map { "On server \(node.name): \($0)" }
        }.first
        return (.active, try note ?? usersNote(site, transaction))
    }

    private static func usersNote(_ site: ResourceRecord, _ transaction: any ResourceTransaction) throws -> String? {
        guard site.spec["auth"] == "basic", try transaction.all("site-user", parentId: site.id).isEmpty else {
            return nil
        }
        return "It has no users, so nobody may pass; add one: roost site-user create NAME --site \(title(site))."
    }

    /// A service that the site needs and that is no longer there, as the site calls it.
    private static func missingService(
        _ site: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> String? {
        try Sites.neededServices(site).first { try transaction.get("service", $0.id) == nil }?.name
    }

    private static func first(
        in nodes: [Settling.NodeView], _ site: ResourceRecord, _ state: String
    ) -> (Settling.NodeView, JSONValue)? {
        nodes.lazy.compactMap { node in
            node.sites?[site.id].flatMap { $0["state"]?.stringValue == state ? (node, $0) : nil }
        }.first
    }

    private static func message(_ report: JSONValue) -> String? {
        guard let text = report["message"]?.stringValue, !text.isEmpty else { return nil }
        return text
    }

    private static func names(_ nodes: [Settling.NodeView]) -> String {
        nodes.prefix(5).map(\.name).joined(separator: ", ") + (nodes.count > 5 ? " and \(nodes.count - 5) more" : "")
    }

    private static func problem(of nodes: [Settling.NodeView]) -> String {
        nodes.lazy.compactMap(\.problem).first.map { " \($0)" } ?? ""
    }

    private static func title(_ site: ResourceRecord) -> String { site.spec["domain"]?.stringValue ?? site.id }

    private static func tell(
        of site: ResourceRecord, before: ResourceStatus, _ count: Int, _ transaction: any ResourceTransaction
    ) throws {
        guard site.status != before, site.status == .active || site.status == .failed else { return }
        let isLive = site.status == .active
        let text =
            isLive
            ? "Site \(title(site)) is live on \(count) server\(count == 1 ? "" : "s")."
            : "Site \(title(site)) failed: \(site.statusMessage ?? "")"
        try transaction.emit(
            HubEvent(
                time: transaction.now, kind: isLive ? "config" : "health", stackId: site.parentId,
                serviceId: site.state["service_id"]?.stringValue, message: text))
    }
}
