/// A process to keep running (or to run once), independent of who supervises it.
public struct UnitSpec: Codable, Sendable, Equatable {
    /// What happens when the process ends.
    public enum Restart: String, Codable, Sendable {
        /// Start again whenever it ends, with exponential backoff; the life of a service.
        case always
        /// Run once and keep the outcome until the unit is removed; the life of a build.
        case never
    }

    /// Unique on the node; `a–z0–9.-`, at most 100 characters. Systemd mode names the unit `roost-<id>.service`.
    public var id: String
    public var argv: [String]
    /// The whole environment; may hold secrets. Never on a command line, never in a file that others can read.
    public var environment: [String: String]
    public var workingDirectory: String
    /// System account to run as; nil for the supervisor's own.
    public var user: String?
    public var restart: Restart
    /// Run to its end before each start, as the same account: clears away what an earlier run left outside of the
    /// unit's processes, a container say. Its outcome is not asked for: what it could not clear away fails the start.
    public var prepareArgv: [String]?
    /// Run to its end after the last run, when nothing of the unit is left; also for a unit whose shim was killed.
    public var cleanupArgv: [String]?
    /// `prepareArgv` and `cleanupArgv` are killed after this time.
    public var hookTimeLimitMs: Int
    /// First pause before a restart; doubles with each failure up to `backoffMax`, and starts over after a run of
    /// `stableAfter`.
    public var backoffFirstMs: Int
    public var backoffMaxMs: Int
    public var stableAfterMs: Int
    /// Failed starts in a row after which the unit counts as crash-looping (it is still retried, at `backoffMax`).
    public var crashLoopAfter: Int
    /// Signal name without SIG, e.g. `TERM`.
    public var stopSignal: String
    /// From the stop signal to SIGKILL of the whole process group.
    public var stopGraceMs: Int
    public var memoryMaxBytes: Int64?
    /// CPUs, e.g. 0.5.
    public var cpuQuota: Double?
    public var tasksMax: Int?
    /// A job (`restart: never`) is killed after this time.
    public var timeLimitMs: Int?
    /// Folder of the log; `current.log` and rotated `1.log` … are inside.
    public var logFolder: String
    public var logSizeMaxBytes: Int
    public var logFilesMax: Int

    public init(
        id: String, argv: [String], environment: [String: String] = [:], workingDirectory: String = "/",
        user: String? = nil, restart: Restart = .always, backoffFirstMs: Int = 100, backoffMaxMs: Int = 30_000,
        stableAfterMs: Int = 10_000, crashLoopAfter: Int = 5, stopSignal: String = "TERM", stopGraceMs: Int = 10_000,
        memoryMaxBytes: Int64? = nil, cpuQuota: Double? = nil, tasksMax: Int? = nil, timeLimitMs: Int? = nil,
        logFolder: String, logSizeMaxBytes: Int = 10_485_760, logFilesMax: Int = 5,
        prepareArgv: [String]? = nil, cleanupArgv: [String]? = nil, hookTimeLimitMs: Int = 30_000
    ) {
        self.id = id
        self.argv = argv
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.user = user
        self.restart = restart
        self.backoffFirstMs = backoffFirstMs
        self.backoffMaxMs = backoffMaxMs
        self.stableAfterMs = stableAfterMs
        self.crashLoopAfter = crashLoopAfter
        self.stopSignal = stopSignal
        self.stopGraceMs = stopGraceMs
        self.memoryMaxBytes = memoryMaxBytes
        self.cpuQuota = cpuQuota
        self.tasksMax = tasksMax
        self.timeLimitMs = timeLimitMs
        self.logFolder = logFolder
        self.logSizeMaxBytes = logSizeMaxBytes
        self.logFilesMax = logFilesMax
        self.prepareArgv = prepareArgv
        self.cleanupArgv = cleanupArgv
        self.hookTimeLimitMs = hookTimeLimitMs
    }
}

/// What was observed of a unit.
public struct UnitStatus: Codable, Sendable, Equatable {
    /// What the process does.
    public enum State: String, Codable, Sendable {
        case running
        /// Ended, and waits for its next start.
        case backoff
        /// As `backoff`, after `crashLoopAfter` failures in a row.
        case crashLoop = "crash_loop"
        /// A job that ended; see `exitCode` and `signal`.
        case exited
    }

    public var id: String
    public var state: State
    /// Process id of the application while it runs.
    public var pid: Int?
    /// Starts after the first.
    public var restarts: Int
    public var exitCode: Int?
    /// Signal number that ended the last run.
    public var signal: Int?
    /// Why the last run ended, for people: `exited with code 1`, `killed by SIGKILL (memory limit of 64 MiB)`.
    public var lastError: String?
    public var startedAt: Timestamp?
    public var memoryBytes: Int64?

    public init(
        id: String, state: State, pid: Int? = nil, restarts: Int = 0, exitCode: Int? = nil, signal: Int? = nil,
        lastError: String? = nil, startedAt: Timestamp? = nil, memoryBytes: Int64? = nil
    ) {
        self.id = id
        self.state = state
        self.pid = pid
        self.restarts = restarts
        self.exitCode = exitCode
        self.signal = signal
        self.lastError = lastError
        self.startedAt = startedAt
        self.memoryBytes = memoryBytes
    }
}
