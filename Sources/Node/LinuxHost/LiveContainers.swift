import Glibc
public import Host
import Model
import Supervisor

/// Docker by its client. `DOCKER_HOST` and its kin come from this process's own environment, registry logins from the
/// home folder of its account.
public struct LiveContainers: ContainerEngine {
    private static let folders = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
    private static let inherited = [
        "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CERT_PATH", "DOCKER_TLS_VERIFY", "XDG_RUNTIME_DIR",
    ]

    public init() {}

    public func client() async throws -> ContainerClient {
        let result = try await ask(
            ["version", "--format", "{{.Server.Version}}"], environment: [:], timeout: .seconds(20))
        guard result.succeeded else {
            let line = result.errorText.split(separator: "\n").first.map(String.init) ?? "no reason given"
            throw Problem(
                .unavailable, "Docker does not answer on this server: \(line.prefix(300))",
                hint: "Start it: systemctl start docker. Roost goes on by itself then.")
        }
        return try Self.found()
    }

    public func ask(
        _ arguments: [String], environment: [String: String], timeout: Duration
    ) async throws -> CommandResult {
        let client = try Self.found()
        var command = Command([client.program] + arguments, timeout: timeout, outputBytesMax: 4_194_304)
        command.environment = client.environment.merging(environment) { $1 }
        command.diesWithCaller = true
        return try await LiveCommands().run(command)
    }

    public func limitBuild(group: String, memoryMaxBytes: Int64) async throws -> String {
        if let address = getenv("DOCKER_HOST").map({ String(cString: $0) }), !address.hasPrefix("unix://") {
            throw Problem(
                .invalid, "The memory of a build cannot be limited: DOCKER_HOST names an engine on another machine.",
                hint: "For that the agent must use the Docker of its own machine.")
        }
        return try EngineGroup.make(name: group, memoryMaxBytes: memoryMaxBytes)
    }

    public func hasReachedLimit(group: String) async -> Bool { EngineGroup.hasReachedLimit(name: group) }

    public func removeLimit(group: String) async { EngineGroup.remove(name: group) }

    private static func found() throws -> ContainerClient {
        let candidates = folders.map { folder -> String in "\(folder)/docker" }
        guard let program = candidates.first(where: { access($0, X_OK) == 0 }) else {
            throw NoContainerEngine.missing
        }
        let home = homeFolder()
        var environment = [
            "PATH": folders.joined(separator: ":"), "LC_ALL": "C.UTF-8", "HOME": home,
            "DOCKER_CONFIG": "\(home)/.docker", "DOCKER_CLI_HINTS": "false",
        ]
        for name in inherited {
            if let value = getenv(name) { environment[name] = String(cString: value) }
        }
        return ContainerClient(program: program, environment: environment)
    }

    private static func homeFolder() -> String {
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwuid_r(geteuid(), &record, &buffer, buffer.count, &found) == 0, found != nil,
            let folder = record.pw_dir
        else { return "/" }
        return String(cString: folder)
    }
}
