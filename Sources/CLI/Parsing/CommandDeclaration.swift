/// One option of a command.
public struct OptionDeclaration: Sendable {
    /// How an option takes values.
    public enum Arity: Sendable {
        case flag
        case value
        case repeated
    }

    /// Without the leading hyphens.
    public var name: String
    /// Other spellings, not shown in help texts.
    public var aliases: [String]
    public var short: Character?
    /// What stands for the value in help texts.
    public var placeholder: String
    public var summary: String
    public var arity: Arity
    /// Heading in help texts.
    public var section: String

    public init(
        _ name: String, aliases: [String] = [], short: Character? = nil, placeholder: String = "VALUE",
        _ summary: String, arity: Arity = .value, section: String = "OPTIONS"
    ) {
        self.name = name
        self.aliases = aliases
        self.short = short
        self.placeholder = placeholder
        self.summary = summary
        self.arity = arity
        self.section = section
    }

    /// An option without a value.
    public static func flag(_ name: String, short: Character? = nil, _ summary: String) -> OptionDeclaration {
        OptionDeclaration(name, short: short, summary, arity: .flag)
    }

    /// `-f, --file FILE`.
    var spelling: String {
        let value = arity == .flag ? "" : " \(placeholder)"
        return (short.map { "-\($0), " } ?? "    ") + "--\(name)\(value)"
    }
}

/// A word that a command takes by its place.
public struct ParameterDeclaration: Sendable {
    public var name: String
    public var summary: String
    public var isRequired: Bool

    public init(_ name: String, _ summary: String, required: Bool = true) {
        self.name = name
        self.summary = summary
        self.isRequired = required
    }
}

/// A command: what it takes, how it is explained, and what it does. Help, completion and the check of the command lines
/// in the documentation all read this.
public struct CommandDeclaration: Sendable {
    public var name: String
    public var aliases: [String]
    public var summary: String
    /// More for the help text; may have several lines.
    public var discussion: String
    public var parameters: [ParameterDeclaration]
    public var options: [OptionDeclaration]
    public var subcommands: [CommandDeclaration]
    /// Nil for a command that only holds others.
    var run: (@Sendable (Invocation) async throws -> Void)?

    init(
        _ name: String, aliases: [String] = [], _ summary: String, discussion: String = "",
        parameters: [ParameterDeclaration] = [], options: [OptionDeclaration] = [],
        subcommands: [CommandDeclaration] = [], run: (@Sendable (Invocation) async throws -> Void)? = nil
    ) {
        self.name = name
        self.aliases = aliases
        self.summary = summary
        self.discussion = discussion
        self.parameters = parameters
        self.options = options
        self.subcommands = subcommands
        self.run = run
    }

    func answers(to word: String) -> Bool { name == word || aliases.contains(word) }
}

extension OptionDeclaration {
    static let json = OptionDeclaration.flag("json", "Print JSON for programs instead of a table for people.")
    static let yes = OptionDeclaration.flag("yes", short: "y", "Do not ask for confirmation.")
    static let plan = OptionDeclaration.flag("plan", "Show what would change, and change nothing.")
}

extension [OptionDeclaration] {
    /// Several groups as one list.
    static func all(_ groups: [OptionDeclaration]...) -> [OptionDeclaration] { groups.flatMap { $0 } }

    /// Where the hub is and who asks; every command that talks to it takes these.
    static let connection: [OptionDeclaration] = [
        OptionDeclaration(
            "url", placeholder: "URL", "Address of the hub, instead of ROOST_URL or the profile.",
            section: "CONNECTION"),
        OptionDeclaration(
            "profile", placeholder: "NAME", "Profile made by `roost login`, instead of the current one.",
            section: "CONNECTION"),
        OptionDeclaration(
            "request-timeout", placeholder: "SPAN", "Longest wait for one answer; 30s when absent.",
            section: "CONNECTION"),
    ]

    static let wait: [OptionDeclaration] = [
        .flag("wait", "Follow the work until it is active or failed; this is the default."),
        .flag("no-wait", "Return as soon as the hub has accepted."),
        OptionDeclaration("timeout", placeholder: "SPAN", "Longest time to follow; 30m when absent."),
    ]
}
