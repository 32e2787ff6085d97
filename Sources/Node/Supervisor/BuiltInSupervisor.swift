import CRoost
import Glibc
public import Host
public import Model

/// Supervises by shims of our own: where systemd is not PID 1, or where we are not root.
///
/// A shim is nobody's child and outlives the agent. Everything is found again in `<root>/units`.
public struct BuiltInSupervisor: UnitSupervisor {
    private let root: String
    private let binary: String

    /// - Parameters:
    ///   - root: Absolute path of the data folder; units live in `units` below it.
    ///   - binary: Absolute path of the program whose `shim` command runs ``shimMain(specPath:)``.
    public init(root: String, binary: String) {
        self.root = root
        self.binary = binary
    }

    public func list() async throws -> [UnitStatus] {
        let root = root
        return try await BlockingThreads.shared.run {
            UnitFolder.ids(root: root).compactMap { Self.observe(UnitFolder(root: root, id: $0)) }
        }
    }

    public func start(_ spec: UnitSpec) async throws {
        try spec.check()
        let (root, binary) = (root, binary)
        try await BlockingThreads.wait {
            do {
                try Self.start(spec, root: root, binary: binary)
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Starting \(spec.id)")
            }
        }
    }

    public func stop(_ id: String) async throws {
        if let flaw = UnitSpec.idFlaw(id) { throw Problem.invalid("id", flaw) }
        let folder = UnitFolder(root: root, id: id)
        try await BlockingThreads.wait {
            do {
                try folder.whileThere { try Self.stop(folder) }
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Stopping \(id)")
            }
        }
    }

    // MARK: - Blocking bodies

    private static func start(_ spec: UnitSpec, root: String, binary: String) throws {
        let folder = UnitFolder(root: root, id: spec.id)
        try FileContents.makeFolders("\(root)/units", mode: 0o700)
        try FileContents.makeFolders(folder.path, mode: 0o700)
        StartCuts.reached("folder")
        guard let lock = try lockForStart(folder) else { return }
        defer { close(lock) }
        StartCuts.reached("lock")
        if settled(folder) != nil { return }
        unlink(folder.stopPath)
        try folder.writeSpec(spec, durable: false)
        StartCuts.reached("spec")
        try spawnShim(folder, lock: lock, binary: binary)
        StartCuts.reached("spawned")
    }

    /// The lock, or nil when the unit runs already.
    static func lockForStart(_ folder: UnitFolder) throws -> Int32? {
        for _ in 0..<1000 {
            if let lock = try folder.tryLock(makingFolder: true) { return lock }
            if folder.isShim(folder.readRecord()?.shim) { return nil }
            // A shim that has not written its first record yet, or somebody who is cleaning up: both are brief.
            usleep(5000)
        }
        throw Problem(
            .conflict, "Unit \(folder.id) is held by another process.", hint: "Try again in a moment.",
            context: "lock \(folder.lockPath) was taken for 5 s")
    }

    private static func spawnShim(_ folder: UnitFolder, lock: Int32, binary: String) throws {
        let errors = open("\(folder.path)/shim.log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        defer { if errors >= 0 { close(errors) } }
        var plan = Spawn(argv: [binary, "shim", folder.specPath], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
        plan.errors = errors
        plan.kept = lock
        plan.detach = true
        plan.workingDirectory = "/"
        do throws(Spawn.Failure) {
            _ = try plan.run()
        } catch {
            throw Problem(
                .unavailable, "The supervisor of \(folder.id) could not be started: \(error.reason).",
                context: "\(binary), step \(error.step)")
        }
    }

    /// A unit without a shim is none: what is left of it is removed, and the next start begins afresh.
    private static func observe(_ folder: UnitFolder) -> UnitStatus? {
        if let record = settled(folder) { return record.status(memoryBytes: memoryBytes(record)) }
        let lock: Int32?
        do {
            lock = try folder.tryLock()
        } catch {
            // The folder went away between the listing and now.
            return nil
        }
        guard let lock else { return UnitStatus(id: folder.id, state: .backoff) }
        defer { close(lock) }
        if let record = settled(folder) { return record.status(memoryBytes: nil) }
        if cleanUp(folder) { return nil }
        return UnitStatus(id: folder.id, state: .exited, lastError: "some of its processes cannot be killed")
    }

    /// The record of a unit that runs, or of a job that has its outcome.
    static func settled(_ folder: UnitFolder) -> UnitRecord? {
        guard let record = folder.readRecord() else { return nil }
        if record.phase == .exited { return FileContents.exists(folder.specPath) ? record : nil }
        return folder.isShim(record.shim) ? record : nil
    }

    /// The shim is gone: so go its processes, and the folder. The caller holds the lock.
    /// - Returns: Whether all of it is gone.
    private static func cleanUp(_ folder: UnitFolder) -> Bool {
        let record = folder.readRecord()
        guard folder.killOrphans(record) else { return false }
        UnitHook.cleanUp(folder)
        if let group = record?.processGroup, group.hasSuffix("/\(folder.groupName)") { removeGroups(folder, group) }
        folder.remove()
        return true
    }

    private static func removeGroups(_ folder: UnitFolder, _ group: String) {
        ControlGroup.remove(group)
        for controller in ["memory", "cpu", "pids"] {
            ControlGroup.remove("/sys/fs/cgroup/\(controller)/roost/\(folder.groupName)")
        }
    }

    private static func stop(_ folder: UnitFolder) throws {
        guard FileContents.exists(folder.path) else { return }
        let spec = FileContents.exists(folder.specPath) ? try? folder.readSpec() : nil
        // An unreadable spec stops with the default grace: stopping must always be possible.
        let graceMs = spec?.stopTimeMs ?? 10_000
        if FileContents.exists(folder.specPath) {
            try FileContents.replace(folder.stopPath, [], mode: 0o600, durable: false)
        }
        guard let lock = try waitForShim(folder, graceMs: graceMs) else {
            throw Problem(
                .unavailable, "Unit \(folder.id) could not be stopped: its processes do not end.",
                hint: "A process in uninterruptible sleep ends only with its I/O or a reboot.")
        }
        defer { close(lock) }
        guard cleanUp(folder) else {
            throw Problem(.unavailable, "Unit \(folder.id) could not be stopped: its processes do not end.")
        }
    }

    /// Tells the shim to stop and waits until it let go of the lock; after its time is up, kills it.
    private static func waitForShim(_ folder: UnitFolder, graceMs: Int) throws -> Int32? {
        var told = false
        let deadline = Shim.nowMs() + Int64(graceMs) + 10_000
        var pauseMicroseconds: UInt32 = 500
        while Shim.nowMs() < deadline {
            if let lock = try folder.tryLock() { return lock }
            if !told, let shim = folder.readRecord()?.shim { told = signal(shim, SIGTERM, folder) }
            usleep(pauseMicroseconds)
            pauseMicroseconds = min(pauseMicroseconds * 2, 10_000)
        }
        if let shim = folder.readRecord()?.shim { _ = signal(shim, SIGKILL, folder) }
        for _ in 0..<100 {
            if let lock = try folder.tryLock() { return lock }
            usleep(10_000)
        }
        return nil
    }

    /// Signals exactly this process: the descriptor pins the number before the start time is compared.
    private static func signal(_ identity: ProcessIdentity, _ number: Int32, _ folder: UnitFolder) -> Bool {
        let descriptor = croost_pidfd_open(identity.pid)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        return folder.isShim(identity) && croost_pidfd_signal(descriptor, number) == 0
    }

    static func memoryBytes(_ record: UnitRecord) -> Int64? {
        guard record.phase == .running, let app = record.app else { return nil }
        if let folder = record.memoryGroup, let bytes = ControlGroup.memoryBytes(in: folder) { return bytes }
        return ProcessTable.residentBytes([app.pid] + ProcessTable.descendants(of: app.pid))
    }
}

/// Errors of supervision as problems.
enum UnitProblems {
    static func storage(_ error: SystemError, doing what: String) -> Problem {
        let isFull = error.code == ENOSPC || error.code == EDQUOT
        return Problem(
            .storage, "\(what) failed: \(isFull ? "the disk is full" : error.reason).", context: "\(error)")
    }
}

/// Power cuts of the tests: the process kills itself when it reaches the step that `ROOST_START_CUT` names.
enum StartCuts {
    private static let step = getenv("ROOST_START_CUT").map { String(cString: $0) }

    static func reached(_ name: String) {
        if step == name { kill(getpid(), SIGKILL) }
    }
}
