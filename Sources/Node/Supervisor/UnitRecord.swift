import Model

/// Content of `status.json`: what the shim observed, and who the shim is.
struct UnitRecord: Equatable {
    enum Phase: String {
        case running, backoff
        case crashLoop = "crash_loop"
        /// A job's outcome; final.
        case exited
        /// The shim was told to stop, or died: there is no process left, and the unit can be started again.
        case ended
    }

    var id: String
    var phase: Phase
    var shim: ProcessIdentity?
    var app: ProcessIdentity?
    var restarts = 0
    var exitCode: Int?
    var signal: Int?
    var lastError: String?
    var startedAt: Timestamp?
    /// Folder of the control group whose memory use is the unit's.
    var memoryGroup: String?
    /// Folder of the control group that holds exactly the unit's processes (in systemd mode: and the shim).
    var processGroup: String?

    init(id: String, phase: Phase) {
        self.id = id
        self.phase = phase
    }

    var json: JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(id), "phase": .string(phase.rawValue), "restarts": .int(Int64(restarts)),
        ]
        members["shim"] = shim?.json
        members["app"] = app?.json
        members["exit_code"] = exitCode.map { .int(Int64($0)) }
        members["signal"] = signal.map { .int(Int64($0)) }
        members["last_error"] = lastError.map { .string($0) }
        members["started_at"] = startedAt.map { .string($0.rfc3339) }
        members["memory_group"] = memoryGroup.map { .string($0) }
        members["process_group"] = processGroup.map { .string($0) }
        return .object(members)
    }

    /// Nil when the text is not a record of ours.
    init?(json value: JSONValue) {
        guard let id = value["id"]?.stringValue, let phase = value["phase"]?.stringValue.flatMap(Phase.init(rawValue:))
        else { return nil }
        self.init(id: id, phase: phase)
        shim = value["shim"].flatMap(ProcessIdentity.init(json:))
        app = value["app"].flatMap(ProcessIdentity.init(json:))
        restarts = Int(value["restarts"]?.intValue ?? 0)
        exitCode = value["exit_code"]?.intValue.map { Int($0) }
        signal = value["signal"]?.intValue.map { Int($0) }
        lastError = value["last_error"]?.stringValue
        startedAt = value["started_at"]?.stringValue.flatMap(Timestamp.init(rfc3339:))
        memoryGroup = value["memory_group"]?.stringValue
        processGroup = value["process_group"]?.stringValue
    }

    /// The record as the rest of the program sees it.
    func status(memoryBytes: Int64?) -> UnitStatus {
        let state: UnitStatus.State =
            switch phase {
            case .running: .running
            case .backoff: .backoff
            case .crashLoop: .crashLoop
            case .exited, .ended: .exited
            }
        return UnitStatus(
            id: id, state: state, pid: phase == .running ? app.map { Int($0.pid) } : nil, restarts: restarts,
            exitCode: exitCode, signal: signal, lastError: lastError, startedAt: startedAt,
            memoryBytes: phase == .running ? memoryBytes : nil)
    }
}

/// A process, safe against reuse of its number: a number and a start time.
///
/// The kernel's boot id is of no use here: containers and `ProtectKernelTunables` show different ones to processes of
/// the same machine.
struct ProcessIdentity: Equatable {
    var pid: Int32
    /// Clock ticks from boot to the start; field 22 of proc_pid_stat(5).
    var startTicks: Int64
    /// When the machine booted, by the clock on its wall; moves when that clock is set.
    var bootSeconds: Int64

    var json: JSONValue {
        ["pid": .int(Int64(pid)), "start_ticks": .int(startTicks), "boot_seconds": .int(bootSeconds)]
    }

    init(pid: Int32, startTicks: Int64, bootSeconds: Int64) {
        self.pid = pid
        self.startTicks = startTicks
        self.bootSeconds = bootSeconds
    }

    init?(json value: JSONValue) {
        guard let pid = value["pid"]?.intValue.flatMap({ Int32(exactly: $0) }),
            let ticks = value["start_ticks"]?.intValue, let boot = value["boot_seconds"]?.intValue
        else { return nil }
        self.init(pid: pid, startTicks: ticks, bootSeconds: boot)
    }
}
