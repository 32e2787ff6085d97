import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Testing

/// Where a supervisor is tested.
enum Place: String, CaseIterable, Sendable, CustomTestStringConvertible {
    /// Ours, as whoever runs the tests: with control groups when that is root.
    case builtIn = "built-in"
    /// Ours, without any rights.
    case unprivileged
    /// systemd on a Debian host.
    case systemd

    var testDescription: String { rawValue }

    /// As an ordinary user there is nothing but the first to be had.
    static var available: [Place] { geteuid() == 0 ? allCases : [.builtIn] }
    /// Where control groups hold the limits.
    static var withLimits: [Place] { geteuid() == 0 ? [.builtIn, .systemd] : [] }
}

/// A supervisor to test, by way of the `supervise-probe` program: its callers die in these tests.
final class Rig: Sendable {
    let place: Place
    let root: String
    /// Seconds for `sleep` that no other test uses, so that processes can be counted: the processes of the Debian hosts
    /// are seen from outside, too.
    let mark: String
    private let bench = Workbench()
    private let host: DebianHost?
    private let suffix: String
    private let probe: String

    init(_ place: Place, host name: String = "supervise", address: String = "10.78.0.21") async throws {
        self.place = place
        suffix = LiveRandom().hex(3)
        mark = "9\((Int(suffix, radix: 16) ?? 0) + 10_000_000)"
        switch place {
        case .systemd:
            host = try await DebianHost.boot(name, address: address)
            root = "/var/lib/roost-test-\(suffix)"
            probe = "/opt/roost-test/supervise-probe"
        case .builtIn, .unprivileged:
            host = nil
            root = "\(bench.path)/root"
            probe = "\(bench.path)/supervise-probe"
            try await bench.run(["cp", try Self.probe(), probe])
            try await bench.run(["chmod", "755", bench.path])
            try await LiveFiles().makeFolder(root, mode: 0o755)
            if place == .unprivileged { try await LiveFiles().give(root, to: "nobody") }
        }
    }

    /// The test helper beside this test program.
    static func probe() throws -> String {
        let own = try FilePaths.ownProgram()
        let folder = own.split(separator: "/").dropLast().joined(separator: "/")
        return "/\(folder)/supervise-probe"
    }

    func id(_ name: String) -> String { "\(name)-\(suffix)" }

    func spec(_ name: String, _ argv: [String], restart: UnitSpec.Restart = .always) -> UnitSpec {
        UnitSpec(
            id: id(name), argv: argv, environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"], restart: restart,
            stopGraceMs: 2000, logFolder: "\(root)/logs/\(name)")
    }

    func shell(_ name: String, _ script: String, restart: UnitSpec.Restart = .always) -> UnitSpec {
        spec(name, ["sh", "-c", script], restart: restart)
    }

    func log(_ name: String) async throws -> String {
        try await run(["sh", "-c", "cat \(root)/logs/\(name)/current.log 2>/dev/null || true"])
    }

    /// Runs a program where the supervisor is, as root where that can be, and wants it to succeed.
    @discardableResult
    func run(_ argv: [String], input: [UInt8] = []) async throws -> String {
        let result = try await result(argv, input: input)
        guard result.succeeded else {
            throw Problem(.commandFailed, "\(argv): \(result.errorText) \(result.outputText)")
        }
        return result.outputText
    }

    func result(_ argv: [String], input: [UInt8] = []) async throws -> CommandResult {
        if let host { return try await host.exec(argv, input: input) }
        return try await LiveCommands().run(
            Command(argv, input: input, timeout: .seconds(60), outputBytesMax: 4_194_304))
    }

    /// Calls the probe. `cut` names the step of a start at which it is to die.
    func call(_ arguments: [String], input: [UInt8] = [], cut: String? = nil) async throws -> CommandResult {
        var argv = ["env", "ROOST_PROBE_SUPERVISOR=\(place == .systemd ? "systemd" : "built-in")"]
        if let cut { argv.append("ROOST_START_CUT=\(cut)") }
        if place == .unprivileged {
            argv += ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        }
        return try await result(argv + [probe] + arguments, input: input)
    }

    func start(_ specs: UnitSpec...) async throws { try await start(specs) }

    func start(_ specs: [UnitSpec]) async throws {
        _ = try Self.succeeded(try await call(["start", root], input: Self.encode(specs)))
    }

    static func encode(_ specs: [UnitSpec]) -> [UInt8] {
        JSONValue.array(specs.map { UnitSpecJSON.encode($0) }).canonicalBytes
    }

    func stop(_ ids: String...) async throws { try await stop(ids) }

    func stop(_ ids: [String]) async throws { _ = try Self.succeeded(try await call(["stop", root] + ids)) }

    func list() async throws -> [String: JSONValue] {
        let items = try Self.succeeded(try await call(["list", root])).arrayValue ?? []
        return Dictionary(items.map { ($0["id"]?.stringValue ?? "", $0) }, uniquingKeysWith: { $1 })
    }

    func state(_ name: String) async throws -> String? { try await list()[id(name)]?["state"]?.stringValue }

    private static func succeeded(_ result: CommandResult) throws -> JSONValue {
        guard result.succeeded else {
            throw Problem(.commandFailed, "The probe failed: \(result.outputText)\(result.errorText)")
        }
        return try JSONParser.parse(result.output.filter { $0 != 10 })
    }

    /// How many processes run with this word as an argument. Zombies have none.
    func count(_ word: String) async throws -> Int {
        let script =
            "for f in /proc/[0-9]*/cmdline; do "
            + "tr '\\0' '\\n' < $f 2>/dev/null | grep -qx -- \"$1\" && echo x; done | wc -l"
        // The shell that counts has the word as an argument itself; in halves it does not match.
        let halves = "set -- \"$1$2\"; "
        let half = word.index(word.startIndex, offsetBy: word.count / 2)
        let text = try await run(["sh", "-c", halves + script, "sh", String(word[..<half]), String(word[half...])])
        return Int(text.filter(\.isNumber)) ?? -1
    }

    /// Returns when the process is gone, and with it the locks that it held: a signal alone is only on its way.
    func kill(_ pid: Int64) async throws {
        let state = #"sed -n 's/^State:[[:space:]]*\(.\).*/\1/p' "/proc/$1/status" 2> /dev/null"#
        let script = "kill -KILL \"$1\"; while s=$(\(state)); test \"${s:-Z}\" != Z; do sleep 0.01; done"
        try await run(["sh", "-c", script, "sh", "\(pid)"])
    }

    func pid(_ name: String) async throws -> Int64? { try await list()[id(name)]?["pid"]?.intValue }

    /// Process id of the unit's shim.
    func shim(_ name: String) async throws -> Int64 {
        let text = try await run(["cat", "\(root)/units/\(id(name))/status.json"])
        return try JSONParser.parse(Array(text.utf8))["shim"]?["pid"]?.intValue ?? 0
    }
}
