import CRoost
import Glibc
import Model

/// Body of `roost shim SPECFILE`: the parent of one application. Starts it, takes its output, starts it again, stops
/// it, and writes down what it sees. Never returns.
///
/// Call it before anything else is initialised: it wants one thread and no runtime.
public func shimMain(specPath: String) -> Never {
    croost_name_thread("roost-shim")
    do {
        var shim = try Shim(specPath: specPath)
        shim.run()
        exit(0)
    } catch {
        let text = "roost shim: \((error as? Problem)?.message ?? "\(error)")\n"
        // Its stderr is the unit's shim.log or the journal; there is nobody else to tell.
        text.utf8CString.withUnsafeBytes { _ = write(2, $0.baseAddress!, $0.count - 1) }
        exit(70)
    }
}

/// One unit's shim: a loop over signals, the application's output, and one deadline.
struct Shim {
    enum Mode: Equatable {
        case running
        /// Until the next start.
        case waiting
        /// The stop signal was sent; SIGKILL at the deadline.
        case stopping
        case done
    }

    let folder: UnitFolder
    let spec: UnitSpec
    let group: ControlGroup?
    let signals: Int32
    var record: UnitRecord
    var policy: RestartPolicy
    var log: LogWriter
    var mode = Mode.waiting
    /// Of the backoff's end, of the time limit, or of the grace period; monotonic milliseconds.
    var deadlineMs: Int64?
    var output: Int32 = -1
    var app: Int32 = 0
    var appEnded: Int32?
    var startedMs: Int64 = 0
    var memoryKillsBefore: Int64 = 0
    /// Why we killed the application ourselves.
    var killReason: String?
    var recordIsDirty = false
    private var buffer = [UInt8](repeating: 0, count: 65_536)

    init(specPath: String) throws {
        signals = croost_signal_descriptor()
        guard let folder = UnitFolder(specPath: specPath), signals >= 0 else {
            throw Problem(.invalid, "A shim needs the path of a unit's spec.json.")
        }
        self.folder = folder
        try Self.takeLock(folder)
        guard let spec = try folder.readSpec() else { throw Problem(.notFound, "\(specPath) does not exist.") }
        try spec.check()
        self.spec = spec
        guard croost_become_subreaper("roost-shim") == 0 else { throw SystemError("prctl", "subreaper") }
        let previous = folder.readRecord()
        if previous != nil, !folder.killOrphans(previous) {
            throw Problem(.conflict, "Processes of the last run of \(spec.id) cannot be killed.")
        }
        group =
            ControlGroup.ofService("roost-\(spec.id).service")
            ?? ControlGroup.make(name: folder.groupName, spec: spec)
        record = UnitRecord(id: spec.id, phase: .backoff)
        record.shim = ProcessTable.identity(getpid())
        record.memoryGroup = group?.memoryFolder
        record.processGroup = group?.processFolder
        policy = RestartPolicy(spec)
        log = LogWriter(folder: spec.logFolder, sizeMaxBytes: spec.logSizeMaxBytes, filesMax: spec.logFilesMax)
        try folder.writeRecord(record)
    }

    /// Keeps the lock that the starter handed over as descriptor 3, or takes it.
    private static func takeLock(_ folder: UnitFolder) throws {
        if folder.isLockFile(3), fcntl(3, F_SETFD, FD_CLOEXEC) == 0 { return }
        for _ in 0..<400 {
            if try folder.tryLock() != nil { return }
            usleep(5000)
        }
        throw Problem(.conflict, "Another supervisor holds unit \(folder.id).")
    }

    mutating func run() {
        start()
        if FileContents.exists(folder.stopPath) { stop() }
        while mode != .done {
            waitForEvents()
            readSignals()
            readOutput(chunksMax: 16)
            checkMemory()
            if let deadlineMs, Self.nowMs() >= deadlineMs { deadlineReached() }
            if appEnded != nil, mode == .running || mode == .stopping { applicationEnded() }
            if recordIsDirty { save() }
        }
        runHook(spec.cleanupArgv)
        group?.remove()
        save()
    }

    static func nowMs() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_BOOTTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    private mutating func waitForEvents() {
        var timeout: Int64 = 60_000
        if let deadlineMs { timeout = min(timeout, max(0, deadlineMs - Self.nowMs())) }
        // A full disk is tried again.
        if recordIsDirty { timeout = min(timeout, 1000) }
        if mode == .running, watchesMemory { timeout = min(timeout, 250) }
        if mode == .stopping { timeout = min(timeout, 20) }
        var events = [
            pollfd(fd: signals, events: Int16(POLLIN), revents: 0),
            pollfd(fd: output, events: Int16(POLLIN), revents: 0),
        ]
        poll(&events, output >= 0 ? 2 : 1, Int32(timeout))
    }

    private mutating func readSignals() {
        while true {
            switch croost_next_signal(signals) {
            case 0: return
            case SIGTERM, SIGINT: stop()
            case SIGCHLD: reap()
            default: break
            }
        }
    }

    /// Collects the application and every orphan that became our child.
    mutating func reap() {
        var status: Int32 = 0
        while true {
            let pid = waitpid(-1, &status, WNOHANG)
            guard pid > 0 else { return }
            if pid == app, appEnded == nil { appEnded = status }
        }
    }

    mutating func readOutput(chunksMax: Int) {
        for _ in 0..<chunksMax {
            guard output >= 0 else { return }
            let count = read(output, &buffer, buffer.count)
            if count > 0 {
                buffer.withUnsafeBytes { log.write(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
                continue
            }
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            close(output)
            output = -1
        }
    }

    private mutating func deadlineReached() {
        deadlineMs = nil
        switch mode {
        case .waiting:
            record.restarts += 1
            start()
        case .running:
            killReason = "killed: above its time limit of \(Self.seconds(spec.timeLimitMs ?? 0))"
            killEverything()
        case .stopping:
            killEverything()
            // Not collected: it hangs in the kernel. Waiting for it any longer would help nobody.
            if appEnded == nil { appEnded = SIGKILL }
        case .done: break
        }
    }

    mutating func save() {
        do {
            try folder.writeRecord(record)
            recordIsDirty = false
        } catch {
            // A full disk or the like: the next round of the loop tries again, and so does the end.
            recordIsDirty = true
        }
    }

    static func seconds(_ milliseconds: Int) -> String {
        milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }
}
