import Model

/// Models of rows and pages about servers.
enum NodePages {
    static func state(of node: JSONValue) -> JSONValue {
        if node.flag("is_silent") { return PageParts.state("silent") }
        if node.text("status") == "active" || node.text("status") == "provisioning" {
            if node.text("last_heartbeat_at") == nil { return PageParts.state("pending", label: "not heard of yet") }
            return node.flag("is_converged")
                ? PageParts.state("online") : PageParts.state("provisioning", label: "catching up")
        }
        return PageParts.state(node.text("status") ?? "pending")
    }

    /// Load, memory and disk, as far as they were reported.
    static func gauges(of node: JSONValue) -> [JSONValue] {
        guard let machine = node["facts"] else { return [] }
        var gauges: [JSONValue] = []
        if let load = machine["load1"]?.doubleValue, let cpus = machine.int("cpus"), cpus > 0 {
            gauges.append(
                PageParts.gauge("Load", share: load / Double(cpus), text: "\(decimal(load)) on \(cpus) CPUs"))
        }
        if let total = machine.int("memory_total_bytes"), let free = machine.int("memory_available_bytes"), total > 0 {
            gauges.append(share("Memory", used: total - free, total: total))
        }
        if let total = machine.int("disk_total_bytes"), let free = machine.int("disk_free_bytes"), total > 0 {
            gauges.append(share("Disk", used: total - free, total: total))
        }
        return gauges
    }

    private static func share(_ label: String, used: Int64, total: Int64) -> JSONValue {
        PageParts.gauge(
            label, share: Double(used) / Double(total), text: "\(ByteCount.text(used)) of \(ByteCount.text(total))")
    }

    static func decimal(_ value: Double) -> String {
        let hundredths = Int64((min(max(value, 0), 1e9) * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    /// A card or a row.
    static func row(_ node: JSONValue, stacks: [String: JSONValue] = [:], now: Timestamp) -> JSONValue {
        let gauges = gauges(of: node)
        func figure(_ label: String) -> JSONValue {
            gauges.first { $0.text("label") == label }.map { .string("\($0.int("percent") ?? 0) %") } ?? "–"
        }
        let load = node["facts"]?["load1"]?.doubleValue
        return [
            "id": .string(node.id), "name": .string(node.label), "path": .string("/nodes/\(node.id)"),
            "state": state(of: node), "is_silent": .bool(node.flag("is_silent")),
            "heartbeat": PageParts.time(node.text("last_heartbeat_at"), now: now),
            "hostname": node.text("hostname") == node.label ? .null : node.text("hostname").json,
            "address": node.text("address").json, "agent_version": node.text("agent_version").json,
            "stack_name": (stacks[node.text("stack_id") ?? ""]?.label).json,
            "gauges": .array(gauges), "has_gauges": .bool(!gauges.isEmpty),
            "load_text": load.map { .string(decimal($0)) } ?? "–", "memory_text": figure("Memory"),
            "disk_text": figure("Disk"),
        ]
    }

    /// The page of one server, without what every page has.
    static func page(_ node: JSONValue, stack: JSONValue, now: Timestamp) -> [String: JSONValue] {
        let reports = node.list("services").sorted { $0.label < $1.label }.map { report -> JSONValue in
            [
                "name": .string(report.label), "service_path": .string("/services/\(report.text("service_id") ?? "")"),
                "state": PageParts.state(report.text("state") ?? "pending"),
                "last_error": report.text("last_error").json, "restarts": .int(report.int("restarts") ?? 0),
                "memory": report.int("memory_bytes").map { .string(ByteCount.text($0)) } ?? "–",
            ]
        }
        var model = row(node, now: now).objectValue ?? [:]
        model.merge([
            "reports": .array(reports), "has_reports": .bool(!reports.isEmpty),
            "generation": node.int("generation").map { .int($0) } ?? .null,
            "stack_version": stack.int("version").map { .int($0) } ?? .null,
            "stack_name": stack.isNull ? .null : .string(stack.label), "stack_path": .string("/stacks/\(stack.id)"),
            "facts": .array(facts(of: node)),
        ]) { $1 }
        return model
    }

    private static func facts(of node: JSONValue) -> [JSONValue] {
        let machine = node["facts"] ?? .null
        let uptime = machine.int("uptime_seconds").map { PageParts.span(milliseconds: $0 * 1000) }
        let pairs: [(String, String?)] = [
            ("Host name", node.text("hostname")), ("Address", node.text("address")),
            ("Agent version", node.text("agent_version")), ("Operating system", machine.text("os")),
            ("Kernel", machine.text("kernel")), ("Supervisor", machine.text("supervisor")), ("Up for", uptime),
        ]
        return pairs.map { label, text in
            ["label": .string(label), "plain": text.json, "none": text == nil ? "unknown" : .null, "is_wide": false]
        }
    }
}
