import Model

/// What pages about services need to know beside the service.
struct ServiceSurroundings: Sendable {
    var now: Timestamp
    /// Where visitors reach the front door of the local agent, when it was told; `host:port`.
    var edgeAddress: String?
    /// Address under which the hub itself is reached, e.g. `http://127.0.0.1:7600`.
    var hubURL: String
    var nodes: [JSONValue] = []
    var stack: JSONValue = .null
}

/// Models of rows and pages about services.
enum ServicePages {
    /// State of a service over all servers: the worst observed, or the status while nothing was observed.
    static func state(of service: JSONValue, nodes: [JSONValue]) -> String {
        let status = service.text("status") ?? "pending"
        guard status != "deleting", status != "deleted" else { return status }
        let reports = reports(of: service.id, nodes: nodes.filter { !$0.flag("is_silent") })
        let states = reports.map { $0.report.text("state") ?? "pending" }
        for bad in ["crash_loop", "failed", "unhealthy", "backoff"] where states.contains(bad) { return bad }
        if status == "failed" { return "failed" }
        if status == "provisioning" || status == "pending" { return states.contains("running") ? "deploying" : status }
        for busy in ["building", "starting"] where states.contains(busy) { return busy }
        if !states.isEmpty, states.allSatisfy({ $0 == "running" }) { return "running" }
        if states.isEmpty {
            return nodes.contains { $0.flag("is_silent") && $0.text("stack_id") == service.text("stack_id") }
                ? "silent" : status
        }
        return states.contains("running") ? "partly" : states[0]
    }

    static func reports(of serviceId: String, nodes: [JSONValue]) -> [(node: JSONValue, report: JSONValue)] {
        nodes.flatMap { node in
            node.list("services").filter { $0.text("service_id") == serviceId }.map { (node, $0) }
        }
    }

    /// Public addresses of a service.
    static func urls(of service: JSONValue, _ around: ServiceSurroundings) -> [String] {
        let path = service.text("path")
        let names = service.list("hostnames").compactMap(\.stringValue).filter { !$0.hasPrefix("*") }
        guard path != nil || !names.isEmpty else { return [] }
        let port =
            around.edgeAddress.map { $0.split(separator: ":").last.map(String.init) ?? "80" }
            ?? String(around.stack["proxy"]?.int("port") ?? 80)
        let suffix = port == "80" ? "" : ":\(port)"
        if !names.isEmpty { return names.prefix(5).map { "http://\($0)\(suffix)\(path ?? "/")" } }
        if let edge = around.edgeAddress { return ["http://\(edge)\(path ?? "/")"] }
        let addresses = around.nodes.filter { $0.text("stack_id") == around.stack.id }.compactMap { $0.text("address") }
        return addresses.sorted().prefix(5).map { address in
            let host = address.contains(":") && !address.hasPrefix("[") ? "[\(address)]" : address
            return "http://\(host)\(suffix)\(path ?? "/")"
        }
    }

    /// A row of a table of services.
    static func row(_ service: JSONValue, _ around: ServiceSurroundings, deployed: String?) -> JSONValue {
        let state = state(of: service, nodes: around.nodes)
        let urls = urls(of: service, around)
        let note =
            ["failed", "provisioning", "pending"].contains(service.text("status") ?? "")
                || service.text("status_message") != nil ? PageParts.excerpt(service.text("status_message"), 90) : ""
        return [
            "id": .string(service.id), "name": .string(service.label), "path": .string("/services/\(service.id)"),
            "kind": service.text("kind").json, "state": PageParts.state(state),
            "tone": .string(PageParts.tone(state)), "glyph": .string(PageParts.glyph(PageParts.tone(state))),
            "state_label": .string(state), "note": .string(note), "traffic": traffic(of: service).json,
            "commit_short": .string(PageParts.short(service.text("commit"))),
            "urls": .array(urls.map { .string($0) }), "has_urls": .bool(!urls.isEmpty),
            "deployed": PageParts.time(deployed, now: around.now),
        ]
    }

    /// What the edges did for it in the last minute, in words; nil while it was not asked for.
    static func traffic(of service: JSONValue) -> String? {
        guard let traffic = service["traffic"], let rate = traffic["requests_per_second"]?.doubleValue else {
            return nil
        }
        let errors = traffic["errors_per_second"]?.doubleValue ?? 0
        let times = [("half", "p50_ms"), ("95 %", "p95_ms"), ("99 %", "p99_ms")].compactMap { word, field in
            traffic[field]?.doubleValue.map { "\(word) within \(number($0)) ms" }
        }
        guard !times.isEmpty else { return nil }
        return (["\(number(rate)) requests/s", "\(number(errors)) errors/s"] + times).joined(separator: " · ")
    }

    /// With one digit after the point where that says something.
    private static func number(_ value: Double) -> String {
        let tenths = (value * 10).rounded() / 10
        return tenths == tenths.rounded() ? String(Int64(tenths)) : String(tenths)
    }

    /// State on each server.
    static func reportRows(_ serviceId: String, _ around: ServiceSurroundings) -> [JSONValue] {
        reports(of: serviceId, nodes: around.nodes).map { node, report in
            let isSilent = node.flag("is_silent")
            let phase = report["deployment"]?.text("phase")
            return [
                "node_name": .string(node.label), "path": .string("/nodes/\(node.id)"), "is_silent": .bool(isSilent),
                "node_state": PageParts.state("silent", label: "server silent"),
                "state": PageParts.state(report.text("state") ?? "pending"),
                "phase": phase == "active" || phase == nil ? .null : phase.json,
                "last_error": report.text("last_error").json,
                "commit_short": .string(PageParts.short(report.text("commit"))),
                "ports": .string(report.list("ports").compactMap(\.intValue).map(String.init).joined(separator: ", ")),
                "restarts": .int(report.int("restarts") ?? 0),
                "memory": report.int("memory_bytes").map { .string(ByteCount.text($0)) } ?? "–",
            ]
        }
    }

    /// The page of one service, without what every page has.
    ///
    /// - Parameter isFailing: whether the newest deployment failed, though an older one may serve.
    static func page(_ service: JSONValue, _ around: ServiceSurroundings, isFailing: Bool) -> [String: JSONValue] {
        let state = state(of: service, nodes: around.nodes)
        let urls = urls(of: service, around)
        let reports = reportRows(service.id, around)
        let suffix = around.stack["dns"]?.text("suffix") ?? "svc.internal"
        let message = service.text("status_message")
        let env = (service["env"]?.objectValue ?? [:]).sorted { $0.key < $1.key }.map { key, value -> JSONValue in
            let isSecret = value["secret"] == true
            return [
                "key": .string(key), "is_secret": .bool(isSecret),
                "value": isSecret ? .null : (value.stringValue ?? value.text("value")).json,
            ]
        }
        return [
            "name": .string(service.label), "kind": service.text("kind").json, "state": PageParts.state(state),
            "commit": service.text("commit").json, "commit_short": .string(PageParts.short(service.text("commit"))),
            "urls": .array(urls.map { .string($0) }), "internal_url": .string("http://\(service.label).\(suffix)"),
            "message": message.json, "traffic": traffic(of: service).json,
            "message_tone": .string(isFailing ? "bad" : PageParts.tone(service.text("status") ?? "")),
            "message_link": service.text("deployment_id").map { .string("/deployments/\($0)") } ?? .null,
            "reports": .array(reports), "has_reports": .bool(!reports.isEmpty),
            "deploy_key": service.text("deploy_key").json,
            "webhook_url": .string(around.hubURL + (service.text("webhook_path") ?? "/api/v1/hooks/\(service.id)")),
            "env": .array(env), "has_env": .bool(!env.isEmpty),
        ]
    }
}
