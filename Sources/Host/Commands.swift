/// A program to run to its end.
public struct Command: Sendable {
    /// Program and arguments; the program is looked up in `PATH` of `environment` when it holds no slash.
    public var argv: [String]
    /// The whole environment; nothing is inherited.
    public var environment: [String: String]
    public var workingDirectory: String
    public var input: [UInt8]
    public var timeout: Duration
    /// Most bytes kept of each of the two outputs; the rest is read and dropped.
    public var outputBytesMax: Int
    /// Killed when this process dies; for work that is begun anew after a crash.
    public var diesWithCaller = false

    public init(
        _ argv: [String], environment: [String: String] = Command.plainEnvironment, workingDirectory: String = "/",
        input: [UInt8] = [], timeout: Duration, outputBytesMax: Int = 1_048_576
    ) {
        self.argv = argv
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.input = input
        self.timeout = timeout
        self.outputBytesMax = outputBytesMax
    }

    /// Search path and an untranslated locale.
    public static let plainEnvironment = [
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/nonexistent",
    ]
}

/// How a command ended.
public struct CommandResult: Sendable, Equatable {
    /// Nil when a signal ended it.
    public var exitCode: Int?
    public var signal: Int?
    public var output: [UInt8]
    public var errors: [UInt8]
    /// Whether output was dropped.
    public var truncated: Bool

    public init(exitCode: Int?, signal: Int?, output: [UInt8], errors: [UInt8], truncated: Bool) {
        self.exitCode = exitCode
        self.signal = signal
        self.output = output
        self.errors = errors
        self.truncated = truncated
    }

    public var succeeded: Bool { exitCode == 0 }
    public var outputText: String { String(decoding: output, as: UTF8.self) }
    public var errorText: String { String(decoding: errors, as: UTF8.self) }
}

/// Runs programs: argv arrays, never a shell string.
public protocol Commands: Sendable {
    /// Runs the command in a session of its own; the whole process group is killed at the timeout, on cancellation, and
    /// when the command itself has ended.
    /// - Throws: `timeout`, `command_failed` when it cannot be started, `CancellationError`. A non-zero exit code is a
    ///   result, not an error.
    func run(_ command: Command) async throws -> CommandResult
}
