import Model

/// Models of rows and pages about deployments.
enum DeploymentPages {
    /// The order in which phases come.
    static let phases = ["queued", "fetching", "building", "starting", "checking", "switching", "draining"]

    static func took(_ deployment: JSONValue, now: Timestamp) -> String {
        guard let begin = deployment.text("created_at").flatMap({ Timestamp(rfc3339: $0) }) else { return "" }
        if let end = deployment.text("finished_at").flatMap({ Timestamp(rfc3339: $0) }) {
            return PageParts.span(milliseconds: end.since(begin).milliseconds)
        }
        let isRunning = ["pending", "provisioning"].contains(deployment.text("status") ?? "")
        return isRunning ? PageParts.span(milliseconds: now.since(begin).milliseconds) : ""
    }

    /// A row of a table of deployments.
    ///
    /// - Parameters:
    ///   - services: id → service, to name it; none where the page is about one service.
    ///   - mayRollBack: whether the reader may write.
    static func row(
        _ deployment: JSONValue, services: [String: JSONValue] = [:], servingId: String? = nil, mayRollBack: Bool,
        now: Timestamp
    ) -> JSONValue {
        let status = deployment.text("status") ?? "pending"
        let serviceId = deployment.text("service_id") ?? ""
        let serving = servingId ?? services[serviceId]?.text("serving_deployment_id")
        let isServing = !deployment.id.isEmpty && serving == deployment.id
        let canRollBack = mayRollBack && status == "active" && !isServing && deployment.text("commit") != nil
        return [
            "id": .string(deployment.id), "path": .string("/deployments/\(deployment.id)"),
            "commit_short": .string(PageParts.short(deployment.text("commit"))),
            "git_ref": deployment.text("git_ref").json, "service_name": (services[serviceId]?.label).json,
            "state": PageParts.state(status), "is_serving": .bool(isServing),
            "message_short": status == "failed"
                ? .string(PageParts.excerpt(deployment.text("status_message"), 120)) : .null,
            "reason": deployment.text("reason").json, "actor": deployment.text("actor").json,
            "created": PageParts.time(deployment.text("created_at"), now: now),
            "took": .string(took(deployment, now: now)),
            "rollback_path": canRollBack ? .string("/deployments/\(deployment.id)/rollback") : .null,
        ]
    }

    /// Phases with their durations as bars behind one another.
    static func phaseRows(_ deployment: JSONValue) -> [JSONValue] {
        let durations = deployment["durations_ms"]?.objectValue ?? [:]
        let current = Set((deployment["nodes"]?.objectValue ?? [:]).values.compactMap { phase(of: $0) })
        let isOver = ["active", "failed"].contains(deployment.text("status") ?? "")
        let known = phases.filter { durations[$0] != nil || (!isOver && current.contains($0)) }
        let total = max(durations.values.compactMap(\.intValue).reduce(0, +), 1)
        var start: Int64 = 0
        return known.map { name in
            let length = durations[name]?.intValue ?? 0
            defer { start += length }
            let isRunning = !isOver && current.contains(name)
            let isLast = name == known.last
            let tone = isRunning ? "busy" : deployment.text("status") == "failed" && isLast ? "bad" : "ok"
            return [
                "label": .string(name), "tone": .string(tone), "glyph": .string(PageParts.glyph(tone)),
                "start": .string(percent(start, of: total)),
                "width": .string(percent(max(length, total / 200), of: total)),
                "took": .string(durations[name] == nil ? "…" : PageParts.span(milliseconds: length)),
            ]
        }
    }

    /// The phase of a server: a word, or an object with the member `phase`.
    static func phase(of value: JSONValue) -> String? { value.stringValue ?? value.text("phase") }

    private static func percent(_ part: Int64, of total: Int64) -> String {
        let tenths = part * 1000 / total
        return "\(min(tenths, 1000) / 10).\(min(tenths, 1000) % 10)"
    }

    /// The page of one deployment, without what every page has.
    static func page(
        _ deployment: JSONValue, service: JSONValue, nodes: [JSONValue], mayRollBack: Bool, now: Timestamp
    ) -> [String: JSONValue] {
        let row = row(
            deployment, servingId: service.text("serving_deployment_id"), mayRollBack: mayRollBack, now: now)
        let ids = Dictionary(nodes.map { ($0.label, $0.id) }, uniquingKeysWith: { $1 })
        let perNode =
            (deployment["nodes"]?.objectValue
            ?? [:]).sorted { $0.key < $1.key }.map { name, value -> JSONValue in
                let phase = phase(of: value) ?? "queued"
                let tone = PageParts.tone(phase)
                return [
                    "name": .string(name), "path": .string(ids[name].map { "/nodes/\($0)" } ?? "/nodes"),
                    "phase": .string(phase), "tone": .string(tone), "glyph": .string(PageParts.glyph(tone)),
                ]
            }
        let phases = phaseRows(deployment)
        var model = row.objectValue ?? [:]
        model.merge([
            "service_name": .string(service.label), "commit": deployment.text("commit").json,
            "message": deployment.text("status_message").json,
            "message_tone": .string(PageParts.tone(deployment.text("status") ?? "")),
            "is_failed": .bool(deployment.text("status") == "failed"),
            "phases": .array(phases), "has_phases": .bool(!phases.isEmpty), "nodes": .array(perNode),
            "has_nodes": .bool(!perNode.isEmpty),
        ]) { $1 }
        return model
    }
}
