import Model
import ResourceKit

/// The commands of a resource kind, made from its declaration: nothing here knows any kind by name, except what people
/// call a node.
enum KindCommands {
    static func command(for kind: ResourceKind, in kinds: [ResourceKind]) -> CommandDeclaration {
        let title = Directory.title(kind)
        var subcommands: [CommandDeclaration] = []
        if kind.verbs.contains(.list) { subcommands.append(list(kind, kinds)) }
        if kind.verbs.contains(.read) { subcommands.append(show(kind, kinds)) }
        if kind.verbs.contains(.create) { subcommands.append(create(kind, kinds)) }
        if kind.verbs.contains(.update) { subcommands.append(update(kind, kinds)) }
        if kind.verbs.contains(.delete) { subcommands.append(delete(kind, kinds)) }
        subcommands += actions(of: kind).map { action($0, of: kind, kinds) }
        subcommands += views(of: kind, kinds) + links(of: kind, kinds)
        return CommandDeclaration(
            Directory.command(kind), aliases: kind.name == Directory.command(kind) ? [] : [kind.name], kind.summary,
            discussion: "Names may stand for ids wherever only one \(title) has the name.", subcommands: subcommands)
    }

    /// The declared actions, and `retry`, which every asynchronous kind has.
    static func actions(of kind: ResourceKind) -> [ResourceAction] {
        guard kind.isAsynchronous, !kind.actions.contains(where: { $0.name == "retry" }) else { return kind.actions }
        return kind.actions + [ResourceAction("retry", "Try again what failed; harmless on a healthy one.")]
    }

    /// The field that people call a resource by.
    static func titleField(of kind: ResourceKind) -> String? {
        ["name", "email", "domain", "username"].first { name in kind.fields.contains { $0.name == name } }
    }

    /// Options that say below which resources: `--stack`, `--service`.
    static func scopeOptions(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> [OptionDeclaration] {
        var options: [OptionDeclaration] = []
        var next = kind.parent?.kind
        while let name = next, options.count < 8 {
            options.append(
                OptionDeclaration(
                    name, placeholder: "NAME", "The \(name) above it; needed only where several come into question."))
            next = kinds.first { $0.name == name }?.parent?.kind
        }
        return options
    }

    static func scope(_ kind: ResourceKind, _ invocation: Invocation) -> [String: String] {
        var scope: [String: String] = [:]
        for option in scopeOptions(kind, invocation.kinds) {
            if let value = invocation.arguments.value(option.name) { scope[option.name] = value }
        }
        return scope
    }

    /// What names one of a kind; nothing where there is exactly one.
    static func reference(_ kind: ResourceKind) -> [ParameterDeclaration] {
        guard kind.singletonPath == nil else { return [] }
        return [ParameterDeclaration(Directory.command(kind).uppercased(), "Name or id.")]
    }

    private static func list(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> CommandDeclaration {
        CommandDeclaration(
            "list", aliases: ["ls"], "List every \(Directory.title(kind)).",
            options: .all(
                scopeOptions(kind, kinds),
                [
                    OptionDeclaration("search", placeholder: "TEXT", "Only those that contain this."),
                    OptionDeclaration("status", placeholder: "STATUS", "Only those in this status."),
                    OptionDeclaration("limit", placeholder: "NUMBER", "At most this many; 1000 when absent."), .json,
                ], .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).list() }
    }

    private static func show(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> CommandDeclaration {
        CommandDeclaration(
            "show", aliases: ["get"], "Show one \(Directory.title(kind)).", parameters: reference(kind),
            options: .all(scopeOptions(kind, kinds), [.json], .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).show() }
    }

    private static func create(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> CommandDeclaration {
        let title = titleField(of: kind)
        let fields = FieldOption.options(for: kind.fields)
        let key = [
            OptionDeclaration("idempotency-key", placeholder: "KEY", "The same key makes the same request only once.")
        ]
        return CommandDeclaration(
            "create", aliases: ["add"], "Make a new \(Directory.title(kind)).",
            parameters: title.map { [ParameterDeclaration($0.uppercased(), "Same as --\($0).", required: false)] }
                ?? [],
            options: .all(
                scopeOptions(kind, kinds), fields.flatMap { $0.declarations() }, [.plan], waiting(kind), [.json], key,
                .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).create() }
    }

    private static func update(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> CommandDeclaration {
        let fields = FieldOption.options(for: kind.fields.filter { !$0.isImmutable })
        return CommandDeclaration(
            "update", aliases: ["set"], "Change the named fields of a \(Directory.title(kind)), and no others.",
            discussion: "Entries of a map such as the environment are added to what is there; --unset takes them away.",
            parameters: reference(kind),
            options: .all(
                scopeOptions(kind, kinds), fields.flatMap { $0.declarations() },
                [
                    OptionDeclaration(
                        "unset", placeholder: "FIELD",
                        "Clear a field (git-ref) or an entry (env.NAME). May be repeated.", arity: .repeated), .plan,
                ], waiting(kind), [.json], .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).update() }
    }

    private static func delete(_ kind: ResourceKind, _ kinds: [ResourceKind]) -> CommandDeclaration {
        CommandDeclaration(
            "delete", aliases: ["remove", "rm"], "Delete a \(Directory.title(kind)) and all below it.",
            parameters: reference(kind),
            options: .all(scopeOptions(kind, kinds), [.yes, .plan], waiting(kind), [.json], .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).delete() }
    }

    private static func action(
        _ action: ResourceAction, of kind: ResourceKind, _ kinds: [ResourceKind]
    ) -> CommandDeclaration {
        CommandDeclaration(
            action.name, action.summary, parameters: reference(kind),
            options: .all(
                scopeOptions(kind, kinds), FieldOption.options(for: action.fields).flatMap { $0.declarations() },
                action.isDestructive ? [.yes] : [], [.plan], waiting(kind), [.json], .connection)
        ) { try await KindVerbs(kind: kind, invocation: $0).perform(action) }
    }

    private static func waiting(_ kind: ResourceKind) -> [OptionDeclaration] { kind.isAsynchronous ? .wait : [] }
}
