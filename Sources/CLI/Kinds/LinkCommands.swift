import Model
import ResourceKit

/// The commands of a kind's views and links, made from its declaration like all of its others: `roost tenant
/// resource-summary`, `roost brand clusters`, `roost brand set-clusters`.
extension KindCommands {
    static func views(of kind: ResourceKind, _ kinds: [ResourceKind]) -> [CommandDeclaration] {
        kind.views.map { view in
            CommandDeclaration(
                view.name, view.summary, parameters: reference(kind),
                options: .all(scopeOptions(kind, kinds), [.json], .connection)
            ) { try await KindVerbs(kind: kind, invocation: $0).show(view) }
        }
    }

    static func links(of kind: ResourceKind, _ kinds: [ResourceKind]) -> [CommandDeclaration] {
        kind.links.flatMap { link in
            [
                CommandDeclaration(
                    link.name, link.summary, parameters: reference(kind),
                    options: .all(scopeOptions(kind, kinds), [.json], .connection)
                ) { try await KindVerbs(kind: kind, invocation: $0).show(link) },
                CommandDeclaration(
                    "set-\(link.name)", "Replace: \(link.summary)", parameters: reference(kind),
                    options: .all(
                        scopeOptions(kind, kinds),
                        [
                            OptionDeclaration(
                                link.kind, placeholder: "NAME", "One of them, by name or id. May be repeated.",
                                arity: .repeated),
                            .flag("none", "Name none at all."), .plan, .json,
                        ], .connection)
                ) { try await KindVerbs(kind: kind, invocation: $0).set(link) },
            ]
        }
    }
}

extension KindVerbs {
    func show(_ view: ResourceView) async throws {
        let directory = try invocation.directory()
        let resource = try await target(directory)
        let answer = try await directory.client.get("\(directory.itemPath(kind, resource.id))/\(view.name)")
        if invocation.wantsJSON { return terminal.line(answer.prettyText()) }
        var table = Table(["NAME", "VALUE"])
        table.rows = Self.leaves(answer, "")
        terminal.print(table)
    }

    func show(_ link: ResourceLink) async throws {
        let directory = try invocation.directory()
        let resource = try await target(directory)
        print(try await directory.client.get("\(directory.itemPath(kind, resource.id))/\(link.name)"), link)
    }

    func set(_ link: ResourceLink) async throws {
        let directory = try invocation.directory()
        let names = invocation.arguments.values(link.kind)
        guard names.isEmpty == invocation.arguments.has("none") else {
            throw UsageError("Give --\(link.kind) NAME, or --none.", path: invocation.path)
        }
        let resource = try await target(directory)
        var ids: [JSONValue] = []
        for name in names { ids.append(.string(try await directory.resolve(try invocation.kind(link.kind), name).id)) }
        let path = "\(directory.itemPath(kind, resource.id))/\(link.name)"
        let query = invocation.isPlan ? [("plan", "true")] : []
        let answer = try await directory.client.send("PUT", path, query: query, body: [link.field: .array(ids)])
        if invocation.isPlan { return try await showPlan(answer.body, directory) }
        print(answer.body, link)
    }

    private func print(_ answer: JSONValue, _ link: ResourceLink) {
        if invocation.wantsJSON { return terminal.line(answer.prettyText()) }
        let items = answer["items"]?.arrayValue ?? []
        guard !items.isEmpty else { return terminal.note("None is named. \(link.summary)") }
        var table = Table(["NAME", "STATUS", "ID"], statusColumns: [1])
        table.rows = items.map { item in ["name", "status", "id"].map { item[$0]?.stringValue ?? "-" } }
        terminal.print(table)
    }

    /// Every value with the path of its name, in the order of names.
    private static func leaves(_ value: JSONValue, _ path: String) -> [[String]] {
        guard let members = value.objectValue else { return [[path, value.shortText]] }
        return members.sorted { $0.key < $1.key }.flatMap { name, member in
            leaves(member, path.isEmpty ? name : "\(path).\(name)")
        }
    }
}
