import Model
import ResourceKit

/// What sites have besides the generic commands: a domain put up whole, and taken down whole.
enum SiteCommands {
    private static let conveniences: [OptionDeclaration] = [
        OptionDeclaration(
            "user", placeholder: "NAME",
            "Somebody who may pass by password, which is asked for, or read from standard input, a line each; "
                + "NAME:@FILE reads a file. Means --auth basic. May be repeated.", arity: .repeated),
        OptionDeclaration("certificate", placeholder: "FILE", "Certificate chain in PEM form. Means --tls upload."),
        OptionDeclaration("key", placeholder: "FILE", "Private key in PEM form."),
    ]

    /// The generic commands of the kind with the two in front.
    static func command(for kind: ResourceKind, in kinds: [ResourceKind]) -> CommandDeclaration {
        var command = KindCommands.command(for: kind, in: kinds)
        let fields = FieldOption.options(for: kind.fields.filter { $0.name != "domain" })
        let scope = KindCommands.scopeOptions(kind, kinds)
        let provision = CommandDeclaration(
            "provision", "Put a domain in front of a service or of any other upstream, and follow it until it is live.",
            discussion: """
                The upstream is a service by name, CONTAINER:PORT, or HOST:PORT (IPv6 in brackets). No password and no
                key is ever on the command line.
                """,
            parameters: [ParameterDeclaration("DOMAIN", "Host name, or *.suffix.")],
            options: .all(
                conveniences, scope, fields.flatMap { $0.declarations() }, [.plan], .wait, [.json], .connection),
            run: provision)
        let unprovision = CommandDeclaration(
            "unprovision", "Remove a domain with its route, users, certificate and key from every server.",
            discussion: "What it was in front of stays; sites that use the same are named.",
            parameters: [ParameterDeclaration("DOMAIN", "Domain or id of the site.")],
            options: .all(scope, [.yes, .plan], .wait, [.json], .connection), run: unprovision)
        command.subcommands = [provision, unprovision] + command.subcommands
        return command
    }

    // MARK: provision

    private static func provision(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let kind = try invocation.kind("site")
        let spec = try spec(kind, invocation)
        let users = try users(invocation, isPlan: invocation.isPlan)
        let verbs = KindVerbs(kind: kind, invocation: invocation)
        let scope = KindCommands.scope(kind, invocation)
        let parent = try await directory.parent(of: kind, scope: scope)
        let path = try directory.collectionPath(kind, parentId: parent?.id)
        if invocation.isPlan {
            let answer = try await directory.client.send(
                "POST", path, query: [("plan", "true")], body: .object(spec))
            return try await verbs.showPlan(answer.body, directory)
        }
        let answer = try await directory.client.send("POST", path, body: .object(spec))
        let site = Resource(kind: kind.name, value: answer.body)
        let userKind = try invocation.kind("site-user")
        for user in users {
            do {
                let body: JSONValue = ["username": .string(user.name), "password": .string(user.password)]
                _ = try await directory.client.send(
                    "POST", try directory.collectionPath(userKind, parentId: site.id), body: body)
            } catch var problem as Problem {
                problem.message = "The site is there, but not its user \(printable(user.name)): \(problem.message)"
                problem.hint = "Add it: roost site-user create \(printable(user.name)) --site \(printable(site.title))."
                throw problem
            }
        }
        try await verbs.finish(answer, done: "Provisioned:", directory)
    }

    static func spec(_ kind: ResourceKind, _ invocation: Invocation) throws -> [String: JSONValue] {
        let arguments = invocation.arguments
        let options = FieldOption.options(for: kind.fields.filter { $0.name != "domain" })
        var spec = try FieldValues(path: invocation.path).spec(options, arguments)
        spec["domain"] = .string(try invocation.required("DOMAIN"))
        for (option, field) in [("certificate", "certificate_pem"), ("key", "key_pem")] {
            guard let file = arguments.value(option) else { continue }
            guard spec[field] == nil else {
                throw UsageError("The \(option) is given twice.", path: invocation.path)
            }
            spec[field] = .string(try LocalFiles.read(file, bytesMax: 131_072))
            if spec["tls"] == nil { spec["tls"] = "upload" }
        }
        if arguments.has("user"), spec["auth"] == nil { spec["auth"] = "basic" }
        if spec["tokens"] != nil, spec["auth"] == nil { spec["auth"] = "token" }
        guard !arguments.has("user") || spec["auth"] == "basic" else {
            throw UsageError("--user goes with --auth basic.", path: invocation.path)
        }
        guard spec["upstream"] != nil else {
            throw UsageError(
                "Say what the domain is in front of: --upstream SERVICE or HOST:PORT.", path: invocation.path)
        }
        var flaws = FieldFlaws()
        kind.fields.check(spec, into: &flaws)
        if flaws.problem == nil { kind.validate(kind.fields.withDefaults(spec), &flaws) }
        if let problem = flaws.problem { throw problem }
        return spec
    }

    private static func users(
        _ invocation: Invocation, isPlan: Bool
    ) throws -> [(name: String, password: String)] {
        try invocation.arguments.values("user").map { word in
            let parts = word.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
            let name = String(parts[0])
            guard parts.count == 2 else {
                return (name, isPlan ? "" : try invocation.questions.secret("Password of \(printable(name))"))
            }
            let source = parts[1]
            // Neither the name nor the rest is repeated: it may be the password.
            guard source == "-" || source.hasPrefix("@") && source.count > 1 else {
                throw UsageError(
                    "A password must not be on the command line: --user NAME asks for it, --user NAME:@FILE reads it.",
                    path: invocation.path)
            }
            if source == "-" { return (name, try invocation.questions.secret("Password of \(printable(name))")) }
            var text = try LocalFiles.read(String(source.dropFirst()), bytesMax: 4096)
            while text.last?.isNewline == true { text.removeLast() }
            return (name, text)
        }
    }

    // MARK: unprovision

    private static func unprovision(_ invocation: Invocation) async throws {
        let directory = try invocation.directory()
        let kind = try invocation.kind("site")
        let found = try await directory.resolve(
            kind, try invocation.required("DOMAIN"), scope: KindCommands.scope(kind, invocation))
        let path = directory.itemPath(kind, found.id)
        let terminal = invocation.terminal
        let siblings = try await directory.list(kind, parentId: found.value["stack_id"]?.stringValue)
        let note = sharing(found, siblings)
        if invocation.isPlan {
            let answer = try await directory.client.send("DELETE", path, query: [("plan", "true")])
            try await KindVerbs(kind: kind, invocation: invocation).showPlan(answer.body, directory)
            if let note, !invocation.wantsJSON { terminal.note(note) }
            return
        }
        let users = try await directory.list(try invocation.kind("site-user"), parentId: found.id)
        if let note { terminal.note(note) }
        try invocation.questions.confirm(
            "Remove \(printable(found.title)) with \(traces(found, users.count))?", isConfirmed: invocation.isConfirmed)
        let answer = try await directory.client.send("DELETE", path)
        if !invocation.arguments.has("no-wait") {
            try await WorkFollower(invocation: invocation, directory: directory).untilGone(kind, found)
        }
        if invocation.wantsJSON { return terminal.line(answer.body.prettyText()) }
        terminal.line("Removed site \(printable(found.title)).")
    }

    /// What goes with a site, in words.
    static func traces(_ site: Resource, _ users: Int) -> String {
        var parts = ["its route"]
        if users > 0 { parts.append("\(users) user\(users == 1 ? "" : "s")") }
        if site.value["tls"] != "off" { parts.append("its certificate and key") }
        return parts.count == 1 ? parts[0] : parts.dropLast().joined(separator: ", ") + " and \(parts[parts.count - 1])"
    }

    /// What stays, as other sites use it; nil when none does.
    static func sharing(_ site: Resource, _ siblings: [Resource]) -> String? {
        let service = site.value["service_id"]?.stringValue
        let others = siblings.filter { other in
            guard other.id != site.id, other.status != "deleting" else { return false }
            if let service { return other.value["service_id"]?.stringValue == service }
            return other.value["service_id"]?.stringValue == nil && other.value["upstream"] == site.value["upstream"]
        }.map { printable($0.title) }.sorted()
        guard let first = others.first else { return nil }
        let users = others.count > 1 ? "\(first) and \(others.count - 1) more use" : "\(first) uses"
        return "\(printable(site.value["upstream"]?.stringValue ?? "")) stays, as \(users) it too."
    }
}
