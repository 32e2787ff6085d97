import Glibc
import Host
import LinuxHost
import Model
import Supervisor

/// Supervisor and internal names on a command line, for tests: `start ROOT` (specs as a JSON list on stdin),
/// `stop ROOT ID…`, `list ROOT`, `names SUFFIX ADDRESS DNS NAME…` (without a name: takes them back), `firewall
/// apply|remove|content|ports` (rules as JSON on stdin), and the shim itself.
/// `ROOST_PROBE_SUPERVISOR` is `built-in` or `systemd`.
@main
struct SuperviseProbe {
    static func main() {
        let arguments = CommandLine.arguments
        if arguments.count == 3, arguments[1] == "shim" { shimMain(specPath: arguments[2]) }
        Task.detached {
            do {
                print(try await run(Array(arguments.dropFirst())).canonicalText)
                exit(0)
            } catch {
                let problem = Problem(wrapping: error, doing: "The probe")
                print(
                    JSONValue.object(["code": .string(problem.code.rawValue), "error": .string("\(problem)")])
                        .canonicalText)
                exit(1)
            }
        }
        while true { pause() }
    }

    private static func run(_ arguments: [String]) async throws -> JSONValue {
        guard arguments.count >= 2 else { throw Problem(.invalid, "start ROOT | stop ROOT ID | list ROOT") }
        if arguments[0] == "names", arguments.count >= 4 {
            try await setNames(Array(arguments.dropFirst(4)), arguments[1], arguments[2], arguments[3])
            return .object([:])
        }
        if arguments[0] == "firewall" { return try await firewall(arguments[1]) }
        let supervisor = try supervisor(root: arguments[1])
        switch arguments[0] {
        case "start":
            guard case .array(let specs) = try JSONParser.parse(standardInput()) else { return .null }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for spec in try specs.map({ try UnitSpecJSON.decode($0) }) {
                    group.addTask { try await supervisor.start(spec) }
                }
                try await group.waitForAll()
            }
            return .object([:])
        case "stop":
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in arguments.dropFirst(2) { group.addTask { try await supervisor.stop(id) } }
                try await group.waitForAll()
            }
            return .object([:])
        default:
            return .array(try await supervisor.list().map(encode))
        }
    }

    private static func setNames(
        _ names: [String], _ suffix: String, _ address: String, _ dnsAddress: String
    ) async throws {
        let live = LiveNames()
        if names.isEmpty { return try await live.remove() }
        try await live.apply(names: names, suffix: suffix, address: address, dnsAddress: dnsAddress)
    }

    private static func firewall(_ verb: String) async throws -> JSONValue {
        let live = LiveFirewall()
        switch verb {
        case "apply": try await live.apply(try rules(try JSONParser.parse(standardInput())))
        case "remove": try await live.remove()
        case "ports": return .array(try await live.sshPorts().map { .int(Int64($0)) })
        default: return try await live.content().map { .string($0) } ?? .null
        }
        return .object([:])
    }

    private static func rules(_ json: JSONValue) throws -> FirewallRules {
        guard let mode = json["mode"]?.stringValue.flatMap({ FirewallRules.Mode(rawValue: $0) }) else {
            throw Problem.invalid("mode", "is not known")
        }
        func numbers(_ name: String) -> [Int] {
            (json[name]?.arrayValue ?? []).compactMap { $0.intValue.map(Int.init) }
        }
        return FirewallRules(
            mode: mode, sshAllow: (json["ssh_allow"]?.arrayValue ?? []).compactMap(\.stringValue),
            sshPorts: numbers("ssh_ports"), publicPorts: numbers("public_ports"))
    }

    private static func supervisor(root: String) throws -> any UnitSupervisor {
        let binary = try FilePaths.ownProgram()
        switch getenv("ROOST_PROBE_SUPERVISOR").map({ String(cString: $0) }) {
        case "systemd": return SystemdSupervisor(root: root, binary: binary, commands: LiveCommands())
        case "built-in": return BuiltInSupervisor(root: root, binary: binary)
        default: return liveSupervisor(root: root, binary: binary)
        }
    }

    private static func standardInput() -> [UInt8] {
        var all: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(0, &chunk, chunk.count)
            guard count > 0 else { return all }
            all += chunk[0..<count]
        }
    }

    private static func encode(_ status: UnitStatus) -> JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(status.id), "state": .string(status.state.rawValue),
            "restarts": .int(Int64(status.restarts)),
        ]
        members["pid"] = status.pid.map { .int(Int64($0)) }
        members["exit_code"] = status.exitCode.map { .int(Int64($0)) }
        members["signal"] = status.signal.map { .int(Int64($0)) }
        members["last_error"] = status.lastError.map { .string($0) }
        members["started_at"] = status.startedAt.map { .string($0.rfc3339) }
        members["memory_bytes"] = status.memoryBytes.map { .int($0) }
        return .object(members)
    }
}
