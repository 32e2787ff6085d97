import Model
import ResourceKit

/// `roost service canary`: another commit with a share of a service's requests, in one command.
enum CanaryCommand {
    static let command = CommandDeclaration(
        "canary", "Try another commit with a share of a service's requests; then promote it or take it away.",
        discussion: """
            With --ref, the commit is built and run beside the service, and gets its percentage once it is healthy. With
            --percent alone the share is changed. --promote deploys the commit to the service itself, and --abort takes
            it away; neither loses a request.
            """,
        parameters: [ParameterDeclaration("SERVICE", "Name or id of the service.")],
        options: .all(
            [
                OptionDeclaration("ref", placeholder: "REF", "Branch, tag or commit to try."),
                OptionDeclaration("percent", placeholder: "NUMBER", "Its share, 1 to 99; 10 when absent."),
                .flag("promote", "Deploy its commit to the service, and remove the canary."),
                .flag("abort", "Remove the canary."),
                OptionDeclaration(
                    "stack", placeholder: "NAME",
                    "Stack of the service; needed only where several have one of this name."),
                .plan,
            ], .wait, [.json], .connection), run: run)

    /// The commands of services with this one behind them.
    static func added(to service: CommandDeclaration) -> CommandDeclaration {
        var service = service
        service.subcommands.append(command)
        return service
    }

    private static func run(_ invocation: Invocation) async throws {
        let arguments = invocation.arguments
        let isStart = arguments.value("ref") != nil
        let isChange = !isStart && arguments.value("percent") != nil
        let wishes = [isStart, isChange, arguments.has("promote"), arguments.has("abort")]
        guard wishes.filter({ $0 }).count == 1 else {
            throw UsageError("Give one of --ref, --percent, --promote and --abort.", path: invocation.path)
        }
        let directory = try invocation.directory()
        let kind = try invocation.kind("canary")
        let scope = arguments.value("stack").map { ["stack": $0] } ?? [:]
        let service = try await directory.resolve(
            try invocation.kind("service"), try invocation.required("SERVICE"), scope: scope)
        var inner = invocation
        inner.arguments.options["service"] = [service.id]
        inner.arguments.options["git-ref"] = arguments.options["ref"]
        let verbs = { (invocation: Invocation) in KindVerbs(kind: kind, invocation: invocation) }
        if isStart { return try await verbs(inner).create() }
        guard let canary = try await directory.list(kind, parentId: service.id).first else {
            throw Problem(
                .notFound, "\(printable(service.title)) has no canary.",
                hint: "Start one: roost service canary \(printable(service.title)) --ref REF --percent 10")
        }
        inner.arguments.parameters[Directory.command(kind).uppercased()] = canary.id
        if isChange { return try await verbs(inner).update() }
        if arguments.has("abort") {
            inner.arguments.options["yes"] = []
            return try await verbs(inner).delete()
        }
        try await promote(verbs(inner), canary, kind, directory)
    }

    private static func promote(
        _ verbs: KindVerbs, _ canary: Resource, _ kind: ResourceKind, _ directory: Directory
    ) async throws {
        let invocation = verbs.invocation
        let path = "\(directory.itemPath(kind, canary.id))/promote"
        if invocation.isPlan {
            let answer = try await directory.client.send("POST", path, query: [("plan", "true")])
            return try await verbs.showPlan(answer.body, directory)
        }
        let answer = try await directory.client.send("POST", path)
        if !invocation.arguments.has("no-wait"), let id = answer.body["promoted_deployment_id"]?.stringValue {
            let deployments = try directory.named("deployment")
            let follower = try WorkFollower(invocation: invocation, directory: directory)
            _ = try await follower.follow(
                deployments, try await directory.get(deployments, id), title: canary.title)
            try await follower.untilGone(kind, canary)
        }
        if invocation.wantsJSON { return invocation.terminal.line(answer.body.prettyText()) }
        invocation.terminal.line("Promoted \(printable(canary.title)).")
    }
}
