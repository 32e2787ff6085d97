import CRoost
import Glibc
public import Host
import Model
import Supervisor
import Synchronization

/// Runs programs of this machine, each in a session of its own and waited for on a thread of its own.
public struct LiveCommands: Commands {
    public init() {}

    public func run(_ command: Command) async throws -> CommandResult {
        guard let program = command.argv.first, !program.isEmpty else { throw Problem.invalid("argv", "is empty") }
        for text in command.argv + [command.workingDirectory] + command.environment.map({ $0.key + $0.value })
        where text.utf8.contains(0) { throw Problem.invalid("argv", "must not contain NUL bytes") }
        try Task.checkCancellation()
        let cancellation = try CancellationDescriptor()
        return try await withTaskCancellationHandler {
            try await BlockingThreads.wait {
                var run = try CommandRun(command, cancelled: cancellation.descriptor)
                return try run.finish()
            }
        } onCancel: {
            cancellation.signal()
        }
    }
}

/// An eventfd that becomes readable on cancellation; closed with its last owner.
private final class CancellationDescriptor: Sendable {
    let descriptor: Int32

    init() throws {
        descriptor = croost_event_descriptor()
        guard descriptor >= 0 else { throw systemProblem("eventfd", "/proc/self/fd") }
    }

    deinit { close(descriptor) }

    func signal() {
        var one: UInt64 = 1
        write(descriptor, &one, 8)
    }
}

/// One running command: feeds it, reads it, and sees to it that nothing of it is left.
private struct CommandRun {
    private let command: Command
    private let cancelled: Int32
    private let pid: Int32
    private var input: Int32
    private var output: Int32
    private var errors: Int32
    private let ended: Int32
    private var inputOffset = 0
    private var result = CommandResult(exitCode: nil, signal: nil, output: [], errors: [], truncated: false)
    private var chunk = [UInt8](repeating: 0, count: 65_536)

    init(_ command: Command, cancelled: Int32) throws {
        self.command = command
        self.cancelled = cancelled
        var pipes = [[Int32]]()
        func closeAll() { for pipe in pipes { for end in pipe { close(end) } } }
        for _ in 0..<3 {
            var ends: [Int32] = [-1, -1]
            guard croost_pipe(&ends) == 0 else {
                closeAll()
                throw systemProblem("pipe", "/proc/self/fd")
            }
            pipes.append(ends)
        }
        var plan = Spawn(
            argv: command.argv, environment: command.environment.map { "\($0.key)=\($0.value)" },
            searchPath: command.environment["PATH"])
        plan.workingDirectory = command.workingDirectory
        plan.diesWithCaller = command.diesWithCaller
        plan.input = pipes[0][0]
        plan.output = pipes[1][1]
        plan.errors = pipes[2][1]
        do throws(Spawn.Failure) {
            pid = try plan.run()
        } catch {
            closeAll()
            throw Problem(
                .commandFailed, "\(command.argv[0]) could not be started: \(error.reason).",
                hint: error.code == ENOENT ? "Install it, or check its name." : nil, context: "step \(error.step)")
        }
        for end in [pipes[0][0], pipes[1][1], pipes[2][1]] { close(end) }
        input = pipes[0][1]
        output = pipes[1][0]
        errors = pipes[2][0]
        for end in [input, output, errors] { croost_set_nonblocking(end) }
        ended = croost_pidfd_open(pid)
    }

    mutating func finish() throws -> CommandResult {
        let deadline = CommandClock.nowMs() + max(0, command.timeout.wholeMilliseconds)
        var problem: (any Error)?
        while true {
            let wait = deadline - CommandClock.nowMs()
            if wait <= 0 {
                problem = Problem(
                    .timeout, "\(command.argv[0]) did not finish within \(command.timeout).")
                break
            }
            var events = [
                pollfd(fd: ended, events: Int16(POLLIN), revents: 0),
                pollfd(fd: cancelled, events: Int16(POLLIN), revents: 0),
                pollfd(fd: output, events: Int16(POLLIN), revents: 0),
                pollfd(fd: errors, events: Int16(POLLIN), revents: 0),
                pollfd(fd: input, events: Int16(POLLOUT), revents: 0),
            ]
            // Without a pidfd (old kernels) the end is looked for every 20 ms.
            poll(&events, nfds_t(events.count), Int32(min(wait, ended >= 0 ? 60_000 : 20)))
            if events[1].revents != 0 {
                problem = CancellationError()
                break
            }
            feed()
            drain()
            if croost_child_runs(pid) == 0 { break }
        }
        collect()
        if let problem { throw problem }
        return result
    }

    private mutating func feed() {
        guard input >= 0 else { return }
        while inputOffset < command.input.count {
            let count = command.input.withUnsafeBytes {
                write(input, $0.baseAddress! + inputOffset, min(65_536, $0.count - inputOffset))
            }
            if count < 0, errno == EAGAIN { return }
            // EPIPE: it does not want to know the rest, which is its right.
            guard count > 0 else { break }
            inputOffset += count
        }
        close(input)
        input = -1
    }

    private mutating func drain() {
        output = take(output, into: \.output)
        errors = take(errors, into: \.errors)
    }

    /// Reads what is there. Returns the descriptor, or -1 after its end.
    private mutating func take(_ descriptor: Int32, into target: WritableKeyPath<CommandResult, [UInt8]>) -> Int32 {
        guard descriptor >= 0 else { return -1 }
        for _ in 0..<256 {
            let count = read(descriptor, &chunk, chunk.count)
            if count < 0 { return descriptor }
            if count == 0 {
                close(descriptor)
                return -1
            }
            let room = command.outputBytesMax - result[keyPath: target].count
            result[keyPath: target].append(contentsOf: chunk[0..<min(room, count)])
            if count > room { result.truncated = true }
        }
        return descriptor
    }

    /// Kills the group while its leader's number is still taken, then collects the leader.
    private mutating func collect() {
        kill(-pid, SIGKILL)
        drain()
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let code = croost_exit_code(status)
        result.exitCode = code >= 0 ? Int(code) : nil
        result.signal = code >= 0 ? nil : Int(croost_end_signal(status))
        for descriptor in [input, output, errors, ended] where descriptor >= 0 { close(descriptor) }
    }

}

extension Duration {
    /// Rounded down.
    var wholeMilliseconds: Int64 { components.seconds * 1000 + components.attoseconds / 1_000_000_000_000_000 }
}

/// Milliseconds since boot.
enum CommandClock {
    static func nowMs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
