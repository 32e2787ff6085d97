import Model
import ResourceKit

/// What the generic commands do.
struct KindVerbs {
    let kind: ResourceKind
    let invocation: Invocation

    var terminal: Terminal { invocation.terminal }
    private var scope: [String: String] { KindCommands.scope(kind, invocation) }
    private var title: String { Directory.title(kind) }

    func list() async throws {
        let directory = try invocation.directory()
        var query: [(String, String)] = []
        for name in ["search", "status"] {
            if let value = invocation.arguments.value(name) { query.append((name, value)) }
        }
        let limit = try invocation.count("limit", in: 1...100_000) ?? 1000
        let found = try await directory.all(kind, scope: scope, query: query, limit: limit)
        if invocation.wantsJSON { return terminal.line(JSONValue.array(found.map(\.value)).prettyText()) }
        guard !found.isEmpty else { return terminal.note("There is no \(title) here.") }
        let showsParent = kind.parent.map { scope[$0.kind] == nil } ?? false
        var rendering = ResourceRendering(kind: kind, terminal: terminal, now: Ages.now())
        rendering.names = try await directory.names(for: kind, in: found)
        let parents = Set(found.map { $0.value[kind.parent?.field ?? ""] ?? .null })
        terminal.print(rendering.table(found, showsParent: showsParent && parents.count > 1))
        if found.count == limit { terminal.note("Only the first \(limit) are shown; --limit shows more.") }
    }

    func show() async throws {
        let directory = try invocation.directory()
        let found = try await target(directory)
        // The listing may leave fields out; a show never does.
        let resource = try await directory.get(kind, found.id)
        if invocation.wantsJSON { return terminal.line(resource.value.prettyText()) }
        var rendering = ResourceRendering(kind: kind, terminal: terminal, now: Ages.now())
        rendering.names = try await directory.names(for: kind, in: [resource], columnsOnly: false)
        for line in rendering.lines(resource) { terminal.line(line) }
    }

    func create() async throws {
        let directory = try invocation.directory()
        var spec = try FieldValues(path: invocation.path).spec(
            FieldOption.options(for: kind.fields), invocation.arguments)
        if let field = KindCommands.titleField(of: kind), let word = invocation.arguments.parameters[field.uppercased()]
        {
            guard spec[field] == nil || spec[field] == .string(word) else {
                throw UsageError("The \(field) is given twice.", path: invocation.path)
            }
            spec[field] = .string(word)
        }
        try await resolveReferences(in: &spec, kind.fields, directory, fillsMissing: true)
        try check(spec, isPartial: false)
        let parent = try await directory.parent(of: kind, scope: scope)
        let path = try directory.collectionPath(kind, parentId: parent?.id)
        var headers: [String: String] = [:]
        if let key = invocation.arguments.value("idempotency-key") { headers["Idempotency-Key"] = key }
        try await mutate("POST", path, body: .object(spec), headers: headers, done: "Created:", directory)
    }

    func update() async throws {
        let directory = try invocation.directory()
        let options = FieldOption.options(for: kind.fields.filter { !$0.isImmutable })
        var spec = try FieldValues(path: invocation.path).spec(options, invocation.arguments)
        let unset = invocation.arguments.values("unset")
        guard !spec.isEmpty || !unset.isEmpty else {
            throw UsageError("Nothing to change was named.", path: invocation.path)
        }
        try await resolveReferences(in: &spec, kind.fields, directory, fillsMissing: false)
        let current = try await directory.get(kind, try await target(directory).id)
        try check(spec, isPartial: true)
        spec = SpecChanges.merged(spec, into: current.value, fields: kind.fields)
        spec = try SpecChanges.clearing(unset, in: spec, of: current.value, fields: kind.fields, path: invocation.path)
        let path = directory.itemPath(kind, current.id)
        try await mutate("PUT", path, body: .object(spec), done: "Changed:", directory)
    }

    func delete() async throws {
        let directory = try invocation.directory()
        let resource = try await target(directory)
        let path = directory.itemPath(kind, resource.id)
        if invocation.isPlan { return try await mutate("DELETE", path, body: nil, done: "", directory) }
        let name = printable(resource.title)
        try invocation.questions.confirm(
            "Delete \(title) \(name) and all below it?", isConfirmed: invocation.isConfirmed)
        let answer = try await directory.client.send("DELETE", path)
        if kind.isAsynchronous, !invocation.arguments.has("no-wait") {
            try await WorkFollower(invocation: invocation, directory: directory).untilGone(kind, resource)
        }
        if invocation.wantsJSON { return terminal.line(answer.body.prettyText()) }
        terminal.line("Deleted \(title) \(name).")
    }

    func perform(_ action: ResourceAction) async throws {
        let directory = try invocation.directory()
        let resource = try await target(directory)
        let options = FieldOption.options(for: action.fields)
        let arguments = try FieldValues(path: invocation.path).spec(options, invocation.arguments)
        if action.isDestructive, !invocation.isPlan {
            try invocation.questions.confirm(
                "Run \(action.name) on \(title) \(printable(resource.title))?", isConfirmed: invocation.isConfirmed)
        }
        let path = "\(directory.itemPath(kind, resource.id))/\(action.name)"
        let body: JSONValue? = arguments.isEmpty ? nil : .object(arguments)
        try await mutate(
            "POST", path, body: body, answers: action.answers, done: "Done, \(action.name):", about: resource.title,
            directory)
    }

    /// Sends a change, or shows its plan; then follows the work and shows what came of it.
    ///
    /// - Parameter about: name of the resource that an action was for.
    private func mutate(
        _ method: String, _ path: String, body: JSONValue?, headers: [String: String] = [:], answers: String? = nil,
        done: String, about: String? = nil, _ directory: Directory
    ) async throws {
        if invocation.isPlan {
            let answer = try await directory.client.send(method, path, query: [("plan", "true")], body: body)
            return try await showPlan(answer.body, directory)
        }
        let answer = try await directory.client.send(method, path, body: body, headers: headers)
        try await finish(answer, answers: answers, done: done, about: about, directory)
    }

    func showPlan(_ plan: JSONValue, _ directory: Directory) async throws {
        if invocation.wantsJSON { return terminal.line(plan.prettyText()) }
        let changes = try await directory.titled(try PlannedChange.read(plan))
        for line in PlanRendering.lines(changes, terminal) { terminal.line(line) }
        for line in NodeSteps.lines(NodeSteps.read(plan)) { terminal.line(line) }
    }

    /// Follows the work that an answer speaks of, and shows what came of it.
    func finish(
        _ answer: HubAnswer, answers: String? = nil, done: String, about: String? = nil, _ directory: Directory
    ) async throws {
        let answered = try answers.map(directory.named) ?? kind
        var resource = Resource(kind: answered.name, value: answer.body)
        showOnce(resource, answered)
        if answered.name == "deployment", resource.status == "active" {
            if invocation.wantsJSON { return terminal.line(resource.value.prettyText()) }
            return terminal.line("Nothing to do: \(summary(of: resource, answered, about)).")
        }
        if answered.isAsynchronous, !invocation.arguments.has("no-wait"), !resource.id.isEmpty {
            let follower = try WorkFollower(invocation: invocation, directory: directory)
            let title = answered.name == kind.name ? nil : about
            let followed = try await follower.follow(answered, resource, title: title)
            // What is shown once is in the first answer alone.
            if rendering(answered).shownOnce(resource).isEmpty {
                resource = followed
            } else {
                resource.value["status"] = followed.value["status"]
            }
        }
        if invocation.wantsJSON { return terminal.line(resource.value.prettyText()) }
        terminal.line("\(done) \(summary(of: resource, answered, about)).")
    }

    private func summary(of resource: Resource, _ kind: ResourceKind, _ about: String?) -> String {
        let source = ["commit", "upload"].lazy.compactMap { name in
            resource.value[name]?.stringValue.map { (name, $0) }
        }.first
        if kind.name == "deployment", let (word, commit) = source, let about {
            return "\(printable(about)) at \(word) \(printable(String(commit.prefix(12)))) is \(resource.status)"
        }
        let status = resource.status.isEmpty ? "" : " is \(resource.status)"
        return "\(Directory.title(kind)) \(printable(resource.title))\(status)"
    }

    private func rendering(_ kind: ResourceKind) -> ResourceRendering {
        ResourceRendering(kind: kind, terminal: terminal, now: Ages.now())
    }

    private func showOnce(_ resource: Resource, _ kind: ResourceKind) {
        let values = rendering(kind).shownOnce(resource)
        guard !values.isEmpty, !invocation.wantsJSON else { return }
        terminal.note("Shown once; keep it:")
        for (name, value) in values { terminal.line("\(name)  \(printable(value))") }
    }

    func target(_ directory: Directory) async throws -> Resource {
        guard kind.singletonPath == nil else { return try await directory.get(kind, kind.name) }
        return try await directory.resolve(
            kind, try invocation.required(Directory.command(kind).uppercased()), scope: scope)
    }

    /// Names become ids. A required reference that was not given is the only resource there is.
    private func resolveReferences(
        in spec: inout [String: JSONValue], _ fields: [Field], _ directory: Directory, fillsMissing: Bool
    ) async throws {
        for field in fields {
            guard case .reference(let name) = field.kind, let other = invocation.kinds.first(where: { $0.name == name })
            else { continue }
            if let given = spec[field.name]?.stringValue {
                spec[field.name] = .string(try await directory.resolve(other, given).id)
            } else if fillsMissing, field.isRequired {
                spec[field.name] = .string(try await directory.oneOf(other, scope: [:]).id)
            }
        }
    }

    private func check(_ spec: [String: JSONValue], isPartial: Bool) throws {
        var flaws = FieldFlaws()
        kind.fields.check(spec, partial: isPartial, into: &flaws)
        if let problem = flaws.problem { throw problem }
    }
}
