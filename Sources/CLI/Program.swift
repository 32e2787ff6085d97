public import ArgumentParser
import Catalog
import Glibc
import Model
import ResourceKit

/// Commands that the composition root adds: the long-running parts of the program.
public protocol LocalCommands {
    /// In the order of the help text.
    static var commands: [any ParsableCommand.Type] { get }
}

/// The command line of the whole program: the commands of this module, those of every resource kind, and the ones that
/// the composition root adds.
public enum Program {
    /// Exit status of a command that failed.
    static let failureStatus: Int32 = 1
    /// Exit status of a command line that was not understood (EX_USAGE of sysexits.h).
    static let usageStatus: Int32 = 64
    /// Exit status after an interrupt from the keyboard, as shells give it.
    static let interruptStatus: Int32 = 130

    /// Every command that talks to a hub, as declared; for completion, and for checks of the documentation.
    public static let commands: [CommandDeclaration] = commands(for: Catalog.kinds)

    static func commands(for kinds: [ResourceKind]) -> [CommandDeclaration] {
        let work = [
            StatusCommand.command, DeployCommands.deploy, UploadCommand.command, DeployCommands.rollback,
            DeployCommands.restart,
            DeployCommands.logs, TimelineCommands.events, ApplyCommand.apply, ApplyCommand.plan, SeedCommand.seed,
        ]
        let resources = kinds.map { kind in
            switch kind.name {
            case "cluster": SeedCommand.command(for: kind, in: kinds)
            case "node": ServerCommands.command(for: kind, in: kinds)
            case "service":
                CanaryCommand.added(
                    to: DeployCommands.command(
                        for: kind, in: kinds, adding: [DeployCommands.rollback, DeployCommands.logs]))
            case "deployment": DeployCommands.command(for: kind, in: kinds, adding: [DeployCommands.logs])
            case "site": SiteCommands.command(for: kind, in: kinds)
            default: KindCommands.command(for: kind, in: kinds)
            }
        }
        let rest = [
            TimelineCommands.search, TimelineCommands.audit, LoginCommand.command, LoginCommand.logout,
            CompletionCommand.command,
        ]
        return work + resources + [TimelineCommands.event, LogCommands.log, RunCommands.command] + rest
    }

    /// Runs the program and ends the process with its status.
    public static func main<Local: LocalCommands>(version: String, local: Local.Type) async -> Never {
        let words = Array(CommandLine.arguments.dropFirst())
        if let first = words.first, isLocal(first, local) { await runLocal(words, local) }
        let environment = processEnvironment()
        let terminal = Terminal.standard(environment: environment)
        signal(SIGPIPE, SIG_IGN)
        let status = await run(
            words, version: version, local: local, terminal: terminal, environment: environment, kinds: Catalog.kinds)
        exit(status)
    }

    private static func isLocal<Local: LocalCommands>(_ word: String, _ local: Local.Type) -> Bool {
        word == "--experimental-dump-help" || local.commands.contains { $0._commandName == word }
    }

    private static func runLocal<Local: LocalCommands>(_ words: [String], _ local: Local.Type) async -> Never {
        await Root<Local>.main(words)
        exit(0)
    }

    /// Runs a command that talks to a hub; answers the exit status.
    static func run<Local: LocalCommands>(
        _ words: [String], version: String, local: Local.Type, terminal: Terminal, environment: [String: String],
        kinds: [ResourceKind]
    ) async -> Int32 {
        let all = commands(for: kinds)
        let rows = local.commands.map { ($0._commandName, $0.configuration.abstract) }
        guard let first = words.first, first != "--help", first != "-h", first != "help" || words.count > 1 else {
            terminal.raw(overview(local: rows, kinds: kinds))
            return 0
        }
        if first == "--version" || first == "version" {
            terminal.line("roost \(version)")
            return 0
        }
        if first == "__complete" {
            let found = CompletionCommand.candidates(Array(words.dropFirst()), commands: all, local: rows)
            for (word, meaning) in found { terminal.line("\(word)\t\(meaning)") }
            return 0
        }
        do {
            let words = first == "help" ? Array(words.dropFirst()) + ["--help"] : words
            try await dispatch(words, all, rows.map(\.0), terminal, environment, kinds)
            return 0
        } catch {
            return report(error, terminal)
        }
    }

    private static func dispatch(
        _ words: [String], _ commands: [CommandDeclaration], _ local: [String], _ terminal: Terminal,
        _ environment: [String: String], _ kinds: [ResourceKind]
    ) async throws {
        var rest = words[...]
        let first = rest.removeFirst()
        guard var command = commands.first(where: { $0.answers(to: first) }) else {
            let known = commands.map(\.name) + local
            let hint = Spelling.nearest(to: first, in: known).map { " Did you mean \($0)?" } ?? ""
            throw UsageError("There is no command \(printable(String(first.prefix(80)))).\(hint)")
        }
        var path = [command.name]
        while !command.subcommands.isEmpty {
            guard let word = rest.first, word != "--help", word != "-h" else {
                if command.run != nil, rest.isEmpty { break }
                return terminal.raw(HelpText.text(for: command, path: path))
            }
            guard let next = command.subcommands.first(where: { $0.answers(to: word) }) else {
                if command.run != nil { break }
                let hint = Spelling.nearest(to: word, in: command.subcommands.map(\.name))
                throw UsageError(
                    "\(path.joined(separator: " ")) has no command \(printable(String(word.prefix(80))))."
                        + (hint.map { " Did you mean \($0)?" } ?? ""), path: path)
            }
            rest.removeFirst()
            command = next
            path.append(next.name)
        }
        guard let arguments = try ArgumentReader.read(Array(rest), for: command, path: path) else {
            return terminal.raw(HelpText.text(for: command, path: path))
        }
        try await command.run?(
            Invocation(path: path, arguments: arguments, terminal: terminal, environment: environment, kinds: kinds))
    }

    private static func report(_ error: any Error, _ terminal: Terminal) -> Int32 {
        if let usage = error as? UsageError {
            terminal.note(usage.message)
            terminal.note("See: roost \((usage.path + ["--help"]).joined(separator: " "))")
            return usageStatus
        }
        if error is CancellationError { return interruptStatus }
        let problem = Problem(wrapping: error, doing: "The command")
        terminal.note("\(terminal.styled("Error:", .red)) \(printableLines(problem.message))")
        // The sentence names the first field; the others have their own lines.
        for (field, why) in problem.fields.sorted(by: { $0.key < $1.key }) where !problem.message.hasPrefix(field) {
            terminal.note("  \(printable(field)) \(printable(why))")
        }
        if let hint = problem.hint { terminal.note(printableLines(hint)) }
        if problem.code == .internalError, let context = problem.context {
            terminal.note("  \(printableLines(context))")
        }
        return failureStatus
    }

    private static func overview(local: [(String, String)], kinds: [ResourceKind]) -> String {
        let all = commands(for: kinds)
        let resourceNames = Set(kinds.map(Directory.command) + ["event", "log", "run"])
        func rows(_ included: (CommandDeclaration) -> Bool) -> [(String, String)] {
            all.filter(included).map { ($0.name, $0.summary) }
        }
        let daily: Set<String> = [
            "status", "deploy", "upload", "rollback", "restart", "logs", "events", "apply", "plan",
            "seed",
        ]
        return "Roost turns Linux servers into a hosting platform.\n\nUSAGE\n  roost COMMAND [OPTIONS]\n"
            + HelpText.section("RUN", local) + HelpText.section("WORK", rows { daily.contains($0.name) })
            + HelpText.section("RESOURCES", rows { resourceNames.contains($0.name) })
            + HelpText.section("MORE", rows { !daily.contains($0.name) && !resourceNames.contains($0.name) })
            + "\nEach command explains itself: roost COMMAND --help\n"
    }

    private static func processEnvironment() -> [String: String] {
        var result: [String: String] = [:]
        var entry = environ
        while let pointer = entry.pointee {
            let parts = String(cString: pointer).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts.count == 2 { result[String(parts[0])] = String(parts[1]) }
            entry = entry.advanced(by: 1)
        }
        return result
    }
}

/// The root that ArgumentParser sees: the local commands alone.
struct Root<Local: LocalCommands>: AsyncParsableCommand {
    static var configuration: CommandConfiguration {
        CommandConfiguration(
            commandName: "roost", abstract: "Roost turns Linux servers into a hosting platform.",
            subcommands: Local.commands)
    }
}
