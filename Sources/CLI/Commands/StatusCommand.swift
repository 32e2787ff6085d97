import Model
import ResourceKit

/// One page about everything: stacks, their servers and services.
enum StatusCommand {
    static let command = CommandDeclaration(
        "status", "Show stacks, servers and services at a glance.",
        discussion: "Ends with status 1 when a service has failed or a server is silent, so that scripts can ask.",
        options: .all(
            [
                OptionDeclaration("stack", placeholder: "NAME", "Only this stack."), .json,
            ], .connection), run: run)

    private static func run(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let stackKind = try invocation.kind("stack")
        let stacks: [Resource]
        if let name = invocation.arguments.value("stack") {
            stacks = [try await directory.resolve(stackKind, name)]
        } else {
            stacks = try await directory.all(stackKind, scope: [:])
        }
        let nodes = try await directory.all(try invocation.kind("node"), scope: [:])
        var services: [String: [Resource]] = [:]
        for stack in stacks {
            services[stack.id] = try await directory.list(try invocation.kind("service"), parentId: stack.id)
        }
        let ids = Set(stacks.map(\.id))
        let shown = nodes.filter { ids.contains($0.value["stack_id"]?.stringValue ?? "") }
        if invocation.wantsJSON {
            invocation.terminal.line(json(stacks, shown, services).prettyText())
        } else {
            for stack in stacks { show(stack, shown, services[stack.id] ?? [], invocation.terminal) }
            if stacks.isEmpty { invocation.terminal.note("There is no stack yet. Make one: roost stack create NAME.") }
        }
        try judge(shown, services)
    }

    /// - Throws: `work_failed` when something is wrong, in one sentence.
    private static func judge(_ nodes: [Resource], _ services: [String: [Resource]]) throws(Problem) {
        let failed = services.values.flatMap { $0 }.filter { $0.status == "failed" }.count
        let silent = nodes.filter { $0.value["is_silent"] == true }.count
        var parts: [String] = []
        if failed > 0 { parts.append("\(failed) failed service\(failed == 1 ? "" : "s")") }
        if silent > 0 { parts.append("\(silent) silent server\(silent == 1 ? "" : "s")") }
        guard !parts.isEmpty else { return }
        throw Problem(.workFailed, "There is something to look at: \(parts.joined(separator: ", ")).")
    }

    private static func show(_ stack: Resource, _ nodes: [Resource], _ services: [Resource], _ terminal: Terminal) {
        let now = Ages.now()
        let version = stack.value["version"]?.shortText ?? "-"
        terminal.line(
            "\(terminal.styled("stack \(printable(stack.title))", .bold))  version \(version)  "
                + terminal.status(stack.status))
        var servers = Table(["SERVER", "STATE", "CONVERGED", "HEARD OF", "VERSION"], statusColumns: [1, 2])
        for node in nodes where node.value["stack_id"]?.stringValue == stack.id {
            let heard = node.value["last_heartbeat_at"]?.stringValue
            servers.rows.append([
                node.title, node.value["is_silent"] == true ? "silent" : node.status,
                node.value["is_converged"]?.shortText ?? "-",
                heard.map { "\(Ages.text(since: $0, now: now)) ago" } ?? "never",
                node.value["agent_version"]?.stringValue ?? "-",
            ])
        }
        if servers.rows.isEmpty {
            terminal.line("No server runs it yet. Add one: roost server add --stack \(printable(stack.title))")
        } else {
            terminal.print(servers)
        }
        var table = Table(["SERVICE", "STATUS", "COMMIT", "PATH", "MESSAGE"], statusColumns: [1])
        for service in services {
            table.rows.append([
                service.title, service.status, String((service.value["commit"]?.stringValue ?? "-").prefix(12)),
                service.value["path"]?.stringValue ?? "-",
                service.statusMessage?.split(separator: "\n").first.map(String.init) ?? "",
            ])
        }
        if !table.rows.isEmpty {
            terminal.line("")
            terminal.print(table)
        }
        terminal.line("")
    }

    private static func json(
        _ stacks: [Resource], _ nodes: [Resource], _ services: [String: [Resource]]
    ) -> JSONValue {
        .array(
            stacks.map { stack in
                let own = nodes.filter { $0.value["stack_id"]?.stringValue == stack.id }
                return [
                    "stack": stack.value, "servers": .array(own.map(\.value)),
                    "services": .array((services[stack.id] ?? []).map(\.value)),
                ]
            })
    }
}
