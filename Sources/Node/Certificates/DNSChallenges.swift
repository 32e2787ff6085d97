import Glibc
public import Host
import Model

/// Puts the records of DNS-01 challenges (RFC 8555 section 8.4) where the authority finds them.
public protocol DNSChallenges: Sendable {
    /// Whether names can be proved this way now; without it, names that are no wildcards are proved by HTTP-01.
    var isAvailable: Bool { get }
    /// Returns when every name server of the zone answers with the record.
    /// - Parameter name: with `_acme-challenge.` in front, without a dot at the end.
    func present(name: String, value: String) async throws
    /// Fine when there is no such record.
    func withdraw(name: String, value: String) async throws
}

/// A program of the operator's: `PROGRAM present NAME VALUE`, and `withdraw` with the same. It waits until the record
/// is visible, and ends with 0. It may be put there and taken away at any time.
public struct CommandDNSChallenges: DNSChallenges {
    private let argv: [String]
    private let commands: any Commands
    private let timeout: Duration

    public init(argv: [String], commands: any Commands, timeout: Duration = .seconds(300)) {
        self.argv = argv
        self.commands = commands
        self.timeout = timeout
    }

    public var isAvailable: Bool { argv.first.map { access($0, X_OK) == 0 } ?? false }

    public func present(name: String, value: String) async throws { try await run("present", name, value) }

    public func withdraw(name: String, value: String) async throws { try await run("withdraw", name, value) }

    private func run(_ verb: String, _ name: String, _ value: String) async throws {
        var command = Command(argv + [verb, name, value], timeout: timeout, outputBytesMax: 4096)
        command.diesWithCaller = true
        let result = try await commands.run(command)
        guard result.succeeded else {
            throw Problem(
                .commandFailed, "The DNS hook did not \(verb) \(name).", hint: "Its output is in the agent's log.",
                context: result.errorText)
        }
    }
}
