public import Model

/// How to reach a private repository.
public struct GitCredentials: Sendable, Equatable {
    /// An OpenSSH private key in PEM armour. Written to a 0600 file for the length of one command.
    public var sshPrivateKey: String?
    public init(sshPrivateKey: String? = nil) { self.sshPrivateKey = sshPrivateKey }
}

/// A repository inside another one's tree.
public struct GitSubmodule: Sendable, Equatable {
    /// Relative to the tree.
    public var path: String
    /// Absolute.
    public var url: String
    public var commit: String

    public init(path: String, url: String, commit: String) {
        self.path = path
        self.url = url
        self.commit = commit
    }
}

/// The system's git. URLs and references were checked with `Names` before; implementations end options with `--`
/// all the same, and allow only the protocols https, http, ssh, git and file.
public protocol Git: Sendable {
    /// Resolves a branch, tag or commit to a commit at the remote; nil means the default branch.
    /// - Throws: `git_unreachable`, `git_unknown_ref`, `timeout`.
    func resolve(url: String, ref: String?, credentials: GitCredentials, timeout: Duration) async throws -> String
    /// Brings a commit into the shared object cache, from the remote when it is not there yet.
    func fetch(url: String, commit: String, cache: String, credentials: GitCredentials, timeout: Duration) async throws
    /// Puts the tree of a commit into a new worktree. The folder must not exist, or be empty.
    func checkout(cache: String, commit: String, to folder: String, timeout: Duration) async throws
    /// The submodules that a commit in the cache pins.
    /// - Parameter url: The repository's own, from which relative URLs are seen.
    /// - Throws: `invalid` when one of them may not be fetched.
    func submodules(url: String, commit: String, cache: String, timeout: Duration) async throws -> [GitSubmodule]
    /// Whether a commit in the cache has pointers of Git LFS in the place of files.
    func hasPointers(commit: String, cache: String, timeout: Duration) async throws -> Bool
    /// Forgets a worktree whose folder was removed.
    func prune(cache: String) async throws
}

/// Keeps processes running. One interface for systemd and for the built-in supervisor; one test suite for both.
///
/// Units outlive the agent: a new agent finds them by `list`.
public protocol UnitSupervisor: Sendable {
    /// All units of ours on this machine, whoever started them. A unit is listed exactly when `start` would leave it
    /// alone: it runs, waits for its restart, or is a job that has its outcome.
    func list() async throws -> [UnitStatus]
    /// Starts a unit; nothing happens when one with this id exists already.
    func start(_ spec: UnitSpec) async throws
    /// Stops a unit (stop signal to the group, grace, SIGKILL), waits for the end of its last process, and forgets it.
    /// Fine when there is none.
    func stop(_ id: String) async throws
}

/// The edge process's control socket.
public protocol EdgeControl: Sendable {
    /// Puts a table in force; returns when every new request is served by it.
    func apply(_ table: EdgeTable) async throws
    func status() async throws -> EdgeStatus
    /// The status as soon as a request waits for a service that is asleep, or after `wait`.
    /// - Parameter serial: ``EdgeStatus/wakeSerial`` of the last status.
    func status(afterWake serial: Int, wait: Duration) async throws -> EdgeStatus
    /// The edge's counters in the text format of Prometheus.
    func metrics() async throws -> String
}

/// System accounts of services.
public protocol Accounts: Sendable {
    /// Makes the account when it is missing. Returns nil where accounts cannot be made (not root): run as ourselves.
    func ensure(_ name: String) async throws -> String?
    func remove(_ name: String) async throws
}

/// How `<service>.svc.internal` becomes resolvable on this machine: split DNS through systemd-resolved where it runs,
/// an owned block in /etc/hosts otherwise.
public protocol InternalNames: Sendable {
    /// Makes exactly these names resolve to `address`. Idempotent.
    func apply(names: [String], suffix: String, address: String, dnsAddress: String) async throws
    /// Takes back every change.
    func remove() async throws
}

/// Questions to a local port.
public protocol Probes: Sendable {
    /// GET; returns the status code.
    /// - Throws: `timeout`, `unavailable` with the reason.
    func http(host: String, port: Int, path: String, timeout: Duration) async throws -> Int
    func tcp(host: String, port: Int, timeout: Duration) async throws
    /// As `tcp`, for a port that a forwarder opens before the application behind it listens: the connection must also
    /// stay open for a moment.
    func steadyTCP(host: String, port: Int, timeout: Duration) async throws
    /// A TCP port on loopback that nobody listens on and that is not in `taken`.
    func freePort(excluding taken: Set<Int>) async throws -> Int
}

/// Which inbound connections this machine accepts.
public protocol Firewall: Sendable {
    /// Puts exactly these rules in force, checked before and in one step, beside the rules of others. Nothing outbound
    /// is ever closed: the agent must reach its hub.
    /// - Throws: `unavailable` with the reason, where this machine cannot have a firewall.
    func apply(_ rules: FirewallRules) async throws
    /// Takes all rules of ours back; fine when there are none.
    func remove() async throws
    /// Our rules as they are in force, as text that is equal exactly when they are; nil when there are none.
    func content() async throws -> String?
    /// TCP ports of the machine's SSH server.
    func sshPorts() async throws -> [Int]
}

/// What the machine says about itself.
public protocol Facts: Sendable {
    func machine() async throws -> MachineFacts
    /// Ports that can be reached from outside, as far as no firewall is in the way.
    func listeningPorts() async throws -> [ListeningPort]
}

/// A snapshot of a machine.
public struct MachineFacts: Codable, Sendable, Equatable {
    public var hostname: String
    public var os: String
    public var kernel: String
    public var cpus: Int
    public var load1: Double
    public var memoryTotalBytes: Int64
    public var memoryAvailableBytes: Int64
    public var diskTotalBytes: Int64
    public var diskFreeBytes: Int64
    /// `systemd` or `built-in`.
    public var supervisor: String
    public var uptimeSeconds: Int64

    public init(
        hostname: String, os: String, kernel: String, cpus: Int, load1: Double, memoryTotalBytes: Int64,
        memoryAvailableBytes: Int64, diskTotalBytes: Int64, diskFreeBytes: Int64, supervisor: String,
        uptimeSeconds: Int64
    ) {
        self.hostname = hostname
        self.os = os
        self.kernel = kernel
        self.cpus = cpus
        self.load1 = load1
        self.memoryTotalBytes = memoryTotalBytes
        self.memoryAvailableBytes = memoryAvailableBytes
        self.diskTotalBytes = diskTotalBytes
        self.diskFreeBytes = diskFreeBytes
        self.supervisor = supervisor
        self.uptimeSeconds = uptimeSeconds
    }
}

/// Time.
public protocol HostClock: Sendable {
    /// Wall-clock time; may jump. For showing and for comparing with other machines, never for measuring.
    func now() -> Timestamp
    /// Time since some fixed instant; never jumps.
    func monotonic() -> Duration
    /// - Throws: `CancellationError`.
    func sleep(for duration: Duration) async throws
}

/// Randomness.
public protocol RandomSource: Sendable {
    func bytes(_ count: Int) -> [UInt8]
}

extension RandomSource {
    /// Lower-case hexadecimal, `count` bytes.
    public func hex(_ count: Int) -> String { bytes(count).hexadecimal }

    /// A version 4 UUID (RFC 9562 section 5.4).
    public func uuid() -> String {
        var raw = bytes(16)
        raw[6] = raw[6] & 0x0F | 0x40
        raw[8] = raw[8] & 0x3F | 0x80
        return [raw[..<4], raw[4..<6], raw[6..<8], raw[8..<10], raw[10...]].map(\.hexadecimal).joined(separator: "-")
    }

    /// A number in `0..<1`.
    public func unit() -> Double {
        Double(bytes(7).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }) / Double(UInt64(1) << 56)
    }
}
