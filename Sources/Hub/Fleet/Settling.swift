import AppsResources
import HubStore
import Model
import ResourceKit

/// Statuses of a stack, its services and deployments out of what its servers reported. Level-triggered: it can run at
/// any time and any number of times.
enum Settling {
    /// What one server last reported.
    struct NodeView {
        var name: String
        var generation: Int64
        /// By service id; members of `ServiceReport`, read in place: decoding thousands of them would cost more than
        /// all else here.
        var reports: [String: JSONValue]
        /// By site id; nil from an agent that does not say.
        var sites: [String: JSONValue]?
        /// What keeps it from taking a new version.
        var problem: String?
        /// Why the stack's security mode is not in force there.
        var securityProblem: String?
    }

    private struct Progress {
        var node: String
        /// nil when the server reports of another deployment.
        var report: JSONValue?
        var phase: String { report?["phase"]?.stringValue ?? "queued" }
    }

    static func settle(stackId: String, _ transaction: any ResourceTransaction) throws {
        guard let stack = try transaction.get("stack", stackId) else { return }
        let nodes = try views(of: stackId, transaction)
        for service in try transaction.all("service", parentId: stackId) {
            try settle(service, nodes, transaction)
            if service.state["preview_id"] != nil, let settled = try transaction.get("service", service.id) {
                try Previews.follow(settled, transaction)
            }
        }
        for site in try transaction.all("site", parentId: stackId) { try SiteSettling.settle(site, nodes, transaction) }
        // After all services: a canary goes once the service that it was tried for serves its commit.
        for service in try transaction.all("service", parentId: stackId) where service.state["canary_id"] != nil {
            try Canaries.follow(service, transaction)
        }
        let version = stack.state["version"]?.intValue ?? 0
        try put(stack, transaction) { stack in
            let late = nodes.filter { $0.generation < version }
            let waiting = late.map(\.name)
            let why = late.lazy.compactMap(\.problem).first.map { " \($0)" } ?? ""
            stack.status = waiting.isEmpty ? .active : .provisioning
            stack.statusMessage =
                waiting.isEmpty
                ? unenforced(stack, nodes) : "Waiting for \(waiting.prefix(5).joined(separator: ", ")).\(why)"
        }
    }

    /// What of the stack's security mode does not hold, and where.
    private static func unenforced(_ stack: ResourceRecord, _ nodes: [NodeView]) -> String? {
        let bad = nodes.filter { $0.securityProblem != nil }
        guard let first = bad.first, let why = first.securityProblem else { return nil }
        let mode = stack.spec["security_mode"]?.stringValue ?? "open"
        let others = bad.count > 1 ? " and \(bad.count - 1) more" : ""
        return "Security mode \(mode) is not enforced on \(first.name)\(others): \(why)\(why.hasSuffix(".") ? "" : ".")"
    }

    /// Servers that are heard of; a silent one holds nobody up, nor does one that is being retired.
    private static func views(of stackId: String, _ transaction: any ResourceTransaction) throws -> [NodeView] {
        try transaction.all("node", referringTo: stackId, in: "stack_id")
            .filter { $0.state["is_silent"] != true && $0.status != .deleting }
            .map { node in
                let reports = (node.state["services"]?.arrayValue ?? []).compactMap { report in
                    report["service_id"]?.stringValue.map { ($0, report) }
                }
                return NodeView(
                    name: node.spec["name"]?.stringValue ?? node.id,
                    generation: node.state["generation"]?.intValue ?? 0,
                    reports: Dictionary(reports, uniquingKeysWith: { $1 }),
                    sites: node.state["sites"]?.arrayValue.map { sites in
                        let pairs = sites.compactMap { report in report["site_id"]?.stringValue.map { ($0, report) } }
                        return Dictionary(pairs, uniquingKeysWith: { $1 })
                    },
                    problem: node.state["problem"]?.stringValue,
                    securityProblem: node.state["security_problem"]?.stringValue)
            }
    }

    private static func put(
        _ record: ResourceRecord, _ transaction: any ResourceTransaction, _ change: (inout ResourceRecord) -> Void
    ) throws {
        var next = record
        change(&next)
        if next != record { _ = try transaction.put(next) }
    }

    private static func settle(
        _ service: ResourceRecord, _ nodes: [NodeView], _ transaction: any ResourceTransaction
    ) throws {
        guard let id = service.state["deployment_id"]?.stringValue,
            let deployment = try transaction.get("deployment", id)
        else { return }
        if deployment.status == .provisioning { try settle(deployment, of: service, nodes, transaction) }
        guard let current = try transaction.get("service", service.id) else { return }
        try settleHealth(current, nodes, transaction)
    }

    private static func settle(
        _ deployment: ResourceRecord, of service: ResourceRecord, _ nodes: [NodeView],
        _ transaction: any ResourceTransaction
    ) throws {
        let reports = nodes.map { node -> Progress in
            let report = node.reports[service.id]?["deployment"]
            return Progress(
                node: node.name, report: report?["deployment_id"]?.stringValue == deployment.id ? report : nil)
        }
        var next = deployment
        next.state["nodes"] = .object(
            Dictionary(reports.map { ($0.node, .string($0.phase)) }, uniquingKeysWith: { $1 }))
        next.state["durations_ms"] = durations(reports)
        for name in ["files", "bytes"] {
            let most = reports.compactMap { $0.report?[name]?.intValue }.max()
            if let most { next.state[name] = .int(most) }
        }
        if let failed = reports.first(where: { $0.phase == "failed" }) {
            let message = failed.report?["message"]?.stringValue ?? "it failed."
            return try Deployments.fail(next, "On server \(failed.node): \(message)", transaction)
        }
        guard !nodes.isEmpty, reports.allSatisfy({ $0.phase == "active" }) else {
            let hindrance = nodes.lazy.compactMap { node in
                (node.problem ?? node.reports[service.id]?["last_error"]?.stringValue)
                    .map { " On server \(node.name): \($0)" }
            }.first
            next.statusMessage = progress(reports.map(\.phase)) + (hindrance ?? "")
            if next != deployment { _ = try transaction.put(next) }
            return
        }
        next.status = .active
        next.statusMessage = nil
        next.state["finished_at"] = .string(transaction.now.rfc3339)
        _ = try transaction.put(next)
        try put(service, transaction) { service in
            service.status = .active
            service.statusMessage = nil
            service.state["serving_deployment_id"] = .string(deployment.id)
            service.state["commit"] = deployment.state["commit"]
            service.state["upload"] = deployment.state["upload"]
        }
        try transaction.emit(
            HubEvent(
                time: transaction.now, kind: "config", stackId: service.parentId, serviceId: service.id,
                deploymentId: deployment.id,
                message: "\(service.spec["name"]?.stringValue ?? service.id): "
                    + "\(DeploymentSource(of: deployment)?.title ?? "") is live on \(nodes.count) server"
                    + "\(nodes.count == 1 ? "" : "s")."))
    }

    private static func durations(_ reports: [Progress]) -> JSONValue {
        var longest: [String: Int64] = [:]
        for report in reports {
            for (phase, value) in report.report?["durations_ms"]?.objectValue ?? [:] {
                longest[phase] = max(longest[phase] ?? 0, value.intValue ?? 0)
            }
        }
        return .object(longest.mapValues { .int($0) })
    }

    private static func progress(_ phases: [String]) -> String {
        guard !phases.isEmpty else { return "No server of the stack is heard of; add one: roost server add." }
        let counts = Dictionary(phases.map { ($0, 1) }, uniquingKeysWith: +)
        let parts = counts.sorted { $0.key < $1.key }.map { "\($0.key) on \($0.value)" }
        return "Of \(phases.count) server\(phases.count == 1 ? "" : "s"): \(parts.joined(separator: ", "))."
    }

    /// An active service that is observed not to work is not active.
    private static func settleHealth(
        _ service: ResourceRecord, _ nodes: [NodeView], _ transaction: any ResourceTransaction
    ) throws {
        guard service.state["serving_deployment_id"]?.stringValue != nil,
            let id = service.state["deployment_id"]?.stringValue,
            let deployment = try transaction.get("deployment", id), deployment.status != .provisioning,
            deployment.status != .pending
        else { return }
        let required = service.state["required_generation"]?.intValue ?? 0
        let bad = nodes.first { node in
            ["crash_loop", "unhealthy", "backoff"].contains(node.reports[service.id]?["state"]?.stringValue ?? "")
        }
        try put(service, transaction) { service in
            if let bad, let report = bad.reports[service.id], let state = report["state"]?.stringValue {
                service.status = .failed
                let words = state == "crash_loop" ? "in a crash loop" : state
                let why = report["last_error"]?.stringValue.map { ": \($0)" } ?? ""
                service.statusMessage = "It is \(words) on server \(bad.name)\(why)."
            } else if nodes.allSatisfy({ $0.generation >= required && $0.reports[service.id] != nil }) {
                service.status = .active
                service.statusMessage = activeNote(service, nodes, deployment)
            }
        }
    }

    /// What there is to say of a service that works; nil for nothing.
    private static func activeNote(
        _ service: ResourceRecord, _ nodes: [NodeView], _ deployment: ResourceRecord
    ) -> String? {
        if deployment.status == .failed {
            return "The latest deployment failed: \(deployment.statusMessage ?? "")"
                + " The release before it goes on serving."
        }
        let isAsleep = !nodes.isEmpty && nodes.allSatisfy { $0.reports[service.id]?["state"] == "asleep" }
        return isAsleep ? "Asleep, as nobody asked for it; the next request starts it." : nil
    }
}
