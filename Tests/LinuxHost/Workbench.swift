import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Synchronization
import Testing

/// A temporary folder, and the programs that a test started; all of it is gone afterwards.
final class Workbench: Sendable {
    let path: String
    private let children = Mutex<[Int32]>([])

    init() {
        var template = Array("/tmp/roost-test-XXXXXX".utf8CString)
        precondition(mkdtemp(&template) != nil, "no temporary folder")
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    }

    deinit {
        for pid in children.withLock({ $0 }) {
            kill(-pid, SIGKILL)
            waitpid(pid, nil, 0)
        }
        // The folder may hold a mount or a busy log for a moment; what stays in /tmp harms nobody.
        _ = try? remove()
    }

    private func remove() throws -> Int32 {
        let pid = try Spawn(argv: ["rm", "-rf", "--one-file-system", path]).run()
        return waitpid(pid, nil, 0)
    }

    /// Starts a program that runs until the end of the test; its output goes to `name`.
    @discardableResult
    func start(_ argv: [String], log name: String = "out.log", environment: [String: String] = [:]) throws -> Int32 {
        var plan = Spawn(
            argv: argv,
            environment: Command.plainEnvironment.merging(environment) { $1 }.map { "\($0.key)=\($0.value)" },
            searchPath: Command.plainEnvironment["PATH"])
        plan.output = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o644)
        plan.errors = plan.output
        defer { close(plan.output) }
        let pid = try plan.run()
        children.withLock { $0.append(pid) }
        return pid
    }

    /// Runs a program to its end and wants it to succeed.
    @discardableResult
    func run(
        _ argv: [String], environment: [String: String] = [:], input: [UInt8] = [],
        timeout: Duration = .seconds(60)
    ) async throws -> String {
        let result = try await LiveCommands().run(
            Command(
                argv, environment: Command.plainEnvironment.merging(environment) { $1 }, workingDirectory: path,
                input: input, timeout: timeout))
        guard result.succeeded else {
            throw Problem(
                .commandFailed, "\(argv) ended with \(result.exitCode ?? -1): \(result.errorText)\(result.outputText)")
        }
        return result.outputText
    }

    func write(_ name: String, _ text: String, mode: UInt16 = 0o644) async throws {
        try await LiveFiles().write("\(path)/\(name)", Array(text.utf8), mode: mode)
    }

    func read(_ path: String) async throws -> String {
        String(decoding: try await LiveFiles().read(path, bytesMax: 1 << 30) ?? [], as: UTF8.self)
    }
}

/// Waits until a condition holds; the test fails after `limit`.
func eventually(
    _ what: Comment, within limit: Duration = .seconds(60), location: SourceLocation = #_sourceLocation,
    _ condition: () async throws -> Bool
) async throws {
    let clock = ContinuousClock()
    let deadline = clock.now + limit
    while clock.now < deadline {
        if try await condition() { return }
        try await Task.sleep(for: .milliseconds(10))
    }
    Issue.record(what, sourceLocation: location)
}

/// The code of the problem that a call ends with.
func problemCode(_ body: () async throws -> Void) async -> Problem.Code? { await problem(body)?.code }

/// What a call fails with.
func problem(_ body: () async throws -> Void) async -> Problem? {
    do {
        try await body()
        return nil
    } catch {
        return Problem(wrapping: error, doing: "The call")
    }
}
