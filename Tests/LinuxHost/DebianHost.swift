import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Synchronization

/// A Debian host with systemd as PID 1, booted once per test run by Tests/Fixtures/host.sh and removed at its end.
struct DebianHost: Sendable {
    let name: String

    private static let script = {
        let folders = #filePath.split(separator: "/").dropLast(2)
        return "/" + folders.joined(separator: "/") + "/Fixtures/host.sh"
    }()

    /// Where the toolchain's libraries are; the hosts see them at the same place.
    private static let bind = ["ROOST_LAB_BIND": "\(swiftLibraries):\(swiftLibraries)"]
    private static let booted = Mutex<[String: Task<Void, any Error>]>([:])

    /// The host of this name, booted when it is asked for first.
    static func boot(_ name: String, address: String) async throws -> DebianHost {
        let task = booted.withLock { booted in
            if let task = booted[name] { return task }
            if booted.isEmpty { atexit { DebianHost.removeAll() } }
            let task = Task {
                _ = try await run(["rm", name])
                _ = try await run(["up", name, address])
                _ = try await run(["put", name, try Rig.probe()])
            }
            booted[name] = task
            return task
        }
        try await task.value
        return DebianHost(name: name)
    }

    func exec(_ argv: [String], input: [UInt8] = [], timeout: Duration = .seconds(60)) async throws -> CommandResult {
        try await LiveCommands().run(
            Command(
                [Self.script, "exec", name] + argv, input: input, timeout: timeout, outputBytesMax: 4_194_304))
    }

    /// Copies a file into the host's /opt/roost-test.
    func put(_ path: String) async throws { _ = try await Self.run(["put", name, path]) }

    /// A command of this machine that runs in the hosts' network, where it is 10.78.0.1.
    func labCommand(_ argv: [String]) -> [String] { [Self.script, "lab"] + argv }

    func power(_ verb: String) async throws { _ = try await Self.run([verb, name]) }

    private static func run(_ arguments: [String]) async throws -> String {
        let result = try await LiveCommands().run(
            Command(
                [script] + arguments, environment: Command.plainEnvironment.merging(bind) { $1 },
                timeout: .seconds(300)))
        guard result.succeeded else {
            throw Problem(.commandFailed, "host.sh \(arguments) failed: \(result.errorText)")
        }
        return result.outputText
    }

    private static func removeAll() {
        for name in booted.withLock({ Array($0.keys) }) {
            var plan = Spawn(
                argv: [script, "rm", name], environment: Command.plainEnvironment.map { "\($0.key)=\($0.value)" })
            plan.workingDirectory = "/"
            if let pid = try? plan.run() { waitpid(pid, nil, 0) }
        }
    }

    /// The folder that this process loaded the Swift runtime from.
    private static let swiftLibraries: String = {
        guard let maps = fopen("/proc/self/maps", "r") else { return "/usr/lib/swift/linux" }
        defer { fclose(maps) }
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, 4096, maps) != nil {
            let text = line.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
            guard let path = text.split(separator: " ").last, path.hasSuffix("/libswiftCore.so\n") else { continue }
            return String(path.dropLast("/libswiftCore.so\n".count))
        }
        return "/usr/lib/swift/linux"
    }()
}
