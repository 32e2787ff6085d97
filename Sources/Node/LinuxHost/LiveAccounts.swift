import Glibc
public import Host
import Model
import Supervisor

/// System accounts by useradd and userdel, where we are root.
public struct LiveAccounts: Accounts {
    private let commands: any Commands

    public init(commands: any Commands = LiveCommands()) { self.commands = commands }

    /// - Throws: `invalid` for a name that is not ours to make, `command_failed`, `timeout`.
    public func ensure(_ name: String) async throws -> String? {
        try Self.check(name)
        guard geteuid() == 0 else { return nil }
        if try await exists(name) { return name }
        let result = try await commands.run(
            Command(
                [
                    "useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                    "--shell", "/usr/sbin/nologin", "--", name,
                ], timeout: .seconds(30)))
        // 9: somebody made it meanwhile.
        guard result.succeeded || result.exitCode == 9 else { throw Self.failed("useradd", name, result) }
        return name
    }

    /// Fine when there is none.
    public func remove(_ name: String) async throws {
        try Self.check(name)
        guard geteuid() == 0, try await exists(name) else { return }
        let result = try await commands.run(Command(["userdel", "--", name], timeout: .seconds(30)))
        // 6: it is gone already.
        guard result.succeeded || result.exitCode == 6 else { throw Self.failed("userdel", name, result) }
    }

    private func exists(_ name: String) async throws -> Bool {
        try await BlockingThreads.shared.run { UserIdentity.find(name) != nil }
    }

    /// Names that useradd takes on every distribution. Accounts that Roost did not make are kept out of its hands by
    /// the prefix that all of its names have.
    static func check(_ name: String) throws(Problem) {
        let bytes = Array(name.utf8)
        let isLetter = { (byte: UInt8) in (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) }
        let isDigit = { (byte: UInt8) in (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
        guard let first = bytes.first, isLetter(first), bytes.count <= 32,
            bytes.allSatisfy({ isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") })
        else { throw .invalid("account", "must have 1 to 32 of a–z, 0–9, - and _, and begin with a letter") }
        guard bytes.contains(where: { $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }) else {
            throw .invalid("account", "must have a prefix like svc- or t_")
        }
    }

    private static func failed(_ program: String, _ name: String, _ result: CommandResult) -> Problem {
        Problem(
            .commandFailed, "\(program) refused the account \(name).", hint: "The log has its words.",
            context: "exit \(result.exitCode ?? -1): \(result.errorText.prefix(500))")
    }
}
