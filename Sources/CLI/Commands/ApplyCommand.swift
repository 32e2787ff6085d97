import Model
import ResourceKit

/// A whole stack from a file: what the file says becomes so.
enum ApplyCommand {
    private static let options: [OptionDeclaration] = [
        OptionDeclaration("file", short: "f", placeholder: "FILE", "The stack as YAML; - reads standard input."),
        .flag("prune", "Delete the services and sites of the stack that the file does not name."),
        .flag("refresh-secrets", "Send secrets again that the hub has already; nobody can compare them."),
    ]

    static let apply = CommandDeclaration(
        "apply", "Make a stack what a file says: create, change and, with --prune, delete.",
        discussion: "examples/stack.yaml shows every field. What the file does not name gets its default.",
        options: .all(options, [.plan, .yes], .wait, .connection)
    ) { try await run($0, isPlan: $0.isPlan) }

    static let plan = CommandDeclaration(
        "plan", "Show what `roost apply` would change, and change nothing.", options: .all(options, .connection)
    ) { try await run($0, isPlan: true) }

    private static func run(_ invocation: Invocation, isPlan: Bool) async throws {
        guard let path = invocation.arguments.value("file") else {
            throw UsageError("Name the file: -f stack.yaml.", path: invocation.path)
        }
        let directory = try invocation.directory()
        let (stackKind, serviceKind) = (try invocation.kind("stack"), try invocation.kind("service"))
        let siteKind = try invocation.kind("site")
        let file = try StackFile.parse(
            try LocalFiles.read(path, bytesMax: DeclaredYAML.bytesMax), name: path == "-" ? "standard input" : path,
            stackKind: stackKind, serviceKind: serviceKind, siteKind: siteKind, environment: invocation.environment)
        let name = file.stack["name"]?.stringValue
        let stack = try await directory.all(stackKind, scope: [:]).first { $0.name == name }
        var services: [Resource] = []
        var sites: [Resource] = []
        if let stack {
            services = try await directory.list(serviceKind, parentId: stack.id)
            sites = try await directory.list(siteKind, parentId: stack.id)
        }
        let changes = StackChanges.compute(
            file: file, stack: stack, services: services, sites: sites, stackKind: stackKind,
            serviceKind: serviceKind, siteKind: siteKind, prunes: invocation.arguments.has("prune"),
            refreshesSecrets: invocation.arguments.has("refresh-secrets"))
        let terminal = invocation.terminal
        for line in PlanRendering.lines(changes.planned, terminal) { terminal.line(line) }
        if !changes.extra.isEmpty {
            let names = changes.extra.map { printable($0) }.joined(separator: ", ")
            terminal.note("Not in the file and left alone (--prune deletes): \(names).")
        }
        if isPlan { return try await showServers(changes, stack, invocation, directory) }
        guard !changes.planned.isEmpty else {
            guard !invocation.arguments.has("no-wait") else { return }
            // Declared is not running: what the file names and has failed, or is still under way, is no success.
            var unsettled = sites.filter { one in
                one.value["domain"]?.stringValue.map { file.sites[$0] != nil } == true && one.status != "active"
            }
            for service in services where service.name.map({ file.services[$0] != nil }) == true {
                let newest = try await newestDeployment(of: service, directory)
                if service.status != "active" || newest.map({ $0.status != "active" }) == true {
                    unsettled.append(service)
                }
            }
            return try await follow(unsettled, invocation, directory)
        }
        let doomed = changes.ordered.filter { $0.plan.change == .delete }.map { printable($0.plan.title) }
        if !doomed.isEmpty {
            try invocation.questions.confirm(
                "Delete \(doomed.joined(separator: ", "))?", isConfirmed: invocation.isConfirmed)
        }
        try await carryOut(changes, stack, invocation, directory)
    }

    /// One that failed leaves a service active when another serves.
    private static func newestDeployment(of service: Resource, _ directory: Directory) async throws -> Resource? {
        try await directory.list(try directory.named("deployment"), parentId: service.id)
            .max { ($0.value["created_at"]?.stringValue ?? "") < ($1.value["created_at"]?.stringValue ?? "") }
    }

    /// What the servers would do, as the hub plans each change by itself.
    private static func showServers(
        _ changes: StackChanges, _ stack: Resource?, _ invocation: Invocation, _ directory: Directory
    ) async throws {
        // Without a stack there is nothing yet that a server could run.
        guard let stack else { return }
        var nodes: [NodeSteps] = []
        for step in changes.ordered + (changes.stack.map { [$0] } ?? []) {
            let kind = try directory.named(step.plan.kind)
            let answer = try await send(step, kind, parentId: stack.id, isPlan: true, directory)
            for node in NodeSteps.read(answer) {
                if let index = nodes.firstIndex(where: { $0.name == node.name }) {
                    nodes[index].steps += node.steps.filter { !nodes[index].steps.contains($0) }
                } else {
                    nodes.append(node)
                }
            }
        }
        for line in NodeSteps.lines(nodes) { invocation.terminal.line(line) }
    }

    private static func carryOut(
        _ changes: StackChanges, _ stack: Resource?, _ invocation: Invocation, _ directory: Directory
    ) async throws {
        let stackKind = try directory.named("stack")
        var stack = stack
        if let step = changes.stack {
            let body = try await send(step, stackKind, parentId: nil, directory)
            stack = Resource(kind: "stack", value: body)
        }
        guard let stackId = stack?.id else { throw Problem(.internalError, "The hub answered without the stack.") }
        var changed: [Resource] = []
        for step in changes.ordered {
            let body = try await send(step, try directory.named(step.plan.kind), parentId: stackId, directory)
            if step.plan.change != .delete { changed.append(Resource(kind: step.plan.kind, value: body)) }
        }
        guard !invocation.arguments.has("no-wait") else { return invocation.terminal.line("Accepted.") }
        try await follow(changed, invocation, directory)
        invocation.terminal.line("Applied.")
    }

    private static func send(
        _ step: StackChanges.Step, _ kind: ResourceKind, parentId: String?, isPlan: Bool = false,
        _ directory: Directory
    ) async throws -> JSONValue {
        let client = directory.client
        let query = isPlan ? [("plan", "true")] : []
        do {
            switch (step.plan.change, step.id) {
            case (.delete, let id?):
                return try await client.send("DELETE", directory.itemPath(kind, id), query: query).body
            case (.update, let id?):
                return try await client.send(
                    "PUT", directory.itemPath(kind, id), query: query, body: .object(step.body)
                ).body
            default:
                let path = try directory.collectionPath(kind, parentId: kind.parent == nil ? nil : parentId)
                return try await client.send("POST", path, query: query, body: .object(step.body)).body
            }
        } catch var problem as Problem where problem.code == .invalid || problem.code == .conflict {
            problem.message = "\(kind.name) \(step.plan.title): \(problem.message)"
            throw problem
        }
    }

    /// Each is followed to its end, so that one failure does not hide another.
    private static func follow(
        _ changed: [Resource], _ invocation: Invocation, _ directory: Directory
    ) async throws {
        let follower = try WorkFollower(invocation: invocation, directory: directory)
        var failures: [String] = []
        for one in changed {
            let title = "\(one.kind) \(printable(one.title))"
            do {
                if one.kind == "service", let newest = try await newestDeployment(of: one, directory),
                    newest.status != "active"
                {
                    _ = try await follower.follow(try directory.named("deployment"), newest, title: one.title)
                }
                let done = try await follower.follow(try directory.named(one.kind), one)
                invocation.terminal.note("\(title): \(invocation.terminal.status(done.status))")
            } catch let problem as Problem where problem.code == .workFailed {
                invocation.terminal.note("\(title): \(printableLines(problem.message))")
                failures.append(printable(one.title))
            }
        }
        guard failures.isEmpty else {
            throw Problem(
                .workFailed, "Not everything became active: \(failures.joined(separator: ", ")).",
                hint: "See roost logs SERVICE --build, and roost site show DOMAIN.")
        }
    }
}
