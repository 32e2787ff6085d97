import CRoost
import Glibc
import Model

/// Start and end of the application.
extension Shim {
    mutating func start() {
        killReason = nil
        appEnded = nil
        runHook(spec.prepareArgv)
        startedMs = Self.nowMs()
        memoryKillsBefore = group?.memoryKills ?? 0
        do throws(Problem) {
            app = try launch()
        } catch {
            app = 0
            ended(exitCode: 127, signal: nil, error: error.message, ranMs: 0)
            return
        }
        mode = .running
        deadlineMs = spec.timeLimitMs.map { startedMs + Int64($0) }
        record.phase = .running
        record.app = ProcessTable.identity(app)
        record.startedAt = Self.wallClock()
        save()
    }

    private func environment() -> [String] {
        var all = spec.environment
        all[folder.marker.name] = folder.marker.value
        return all.map { "\($0.key)=\($0.value)" }.sorted()
    }

    private mutating func launch() throws(Problem) -> Int32 {
        var plan = Spawn(argv: spec.argv, environment: environment(), searchPath: spec.environment["PATH"])
        plan.workingDirectory = spec.workingDirectory
        plan.join = group?.joinFiles ?? []
        plan.noNewPrivileges = true
        plan.openFiles = 16_384
        if let user = spec.user {
            guard let identity = UserIdentity.find(user) else {
                throw Problem(.invalid, "could not be started: there is no account \(user)")
            }
            if identity.user != geteuid() { plan.identity = identity }
        }
        var ends: [Int32] = [-1, -1]
        guard croost_pipe(&ends) == 0 else { throw Problem(.unavailable, "could not be started: too many open files") }
        plan.output = ends[1]
        plan.errors = ends[1]
        defer { close(ends[1]) }
        do throws(Spawn.Failure) {
            let pid = try plan.run()
            croost_set_nonblocking(ends[0])
            if output >= 0 { close(output) }
            output = ends[0]
            return pid
        } catch {
            close(ends[0])
            throw Problem(.commandFailed, "could not be started: \(Self.explain(error, spec: spec))")
        }
    }

    private static func explain(_ failure: Spawn.Failure, spec: UnitSpec) -> String {
        switch UInt32(failure.step) {
        case CROOST_STEP_EXEC.rawValue: "\(spec.argv[0]): \(failure.reason)"
        case CROOST_STEP_FOLDER.rawValue: "folder \(spec.workingDirectory): \(failure.reason)"
        case CROOST_STEP_IDS.rawValue: "account \(spec.user ?? "of the supervisor"): \(failure.reason)"
        case CROOST_STEP_CGROUP.rawValue: "control group: \(failure.reason)"
        default: failure.reason
        }
    }

    /// The main process ended. What it left behind goes too; when stopping, the rest of its group, which got the stop
    /// signal as well, may use up the grace period.
    mutating func applicationEnded() {
        guard let status = appEnded else { return }
        if mode == .stopping, deadlineMs != nil, kill(-app, 0) == 0 { return }
        let ranMs = Int(Self.nowMs() - startedMs)
        let killed = killEverything()
        // All writers are dead, so this ends; the bound is for one that could not be killed.
        readOutput(chunksMax: 1024)
        if output >= 0 { close(output) }
        output = -1
        let code = croost_exit_code(status)
        let signal = croost_end_signal(status)
        var error = describeEnd(code: code, signal: signal)
        if !killed { error = (error ?? "stopped") + "; some of its processes cannot be killed" }
        if mode == .stopping {
            if spec.restart == .never { error = "stopped before it ended" }
            finish(.ended, exitCode: code, signal: signal, error: error)
        } else {
            ended(exitCode: code >= 0 ? code : nil, signal: signal > 0 ? signal : nil, error: error, ranMs: ranMs)
        }
    }

    private func describeEnd(code: Int32, signal: Int32) -> String? {
        if let killReason { return killReason }
        let ranOut = (group?.memoryKills ?? 0) > memoryKillsBefore
        let limit = spec.memoryMaxBytes.map { "its memory limit of \(Self.size($0))" } ?? "the machine's memory"
        if signal == SIGKILL, ranOut { return "killed: above \(limit)" }
        let extra = ranOut ? " (one of its processes was killed: above \(limit))" : ""
        if signal > 0 { return "killed by \(Signals.name(signal))\(extra)" }
        if code != 0 || ranOut { return "exited with code \(code)\(extra)" }
        return spec.restart == .always ? "exited with code 0" : nil
    }

    private mutating func ended(exitCode: Int32?, signal: Int32?, error: String?, ranMs: Int) {
        guard spec.restart == .always else {
            finish(.exited, exitCode: exitCode ?? -1, signal: signal ?? 0, error: error)
            return
        }
        let (pauseMs, phase) = policy.ended(afterMs: ranMs)
        note(phase, exitCode: exitCode ?? -1, signal: signal ?? 0, error: error)
        mode = .waiting
        deadlineMs = Self.nowMs() + Int64(pauseMs)
        save()
    }

    private mutating func note(_ phase: UnitRecord.Phase, exitCode: Int32, signal: Int32, error: String?) {
        record.phase = phase
        record.app = nil
        record.exitCode = exitCode >= 0 ? Int(exitCode) : nil
        record.signal = signal > 0 ? Int(signal) : nil
        record.lastError = error
        app = 0
        appEnded = nil
    }

    private mutating func finish(_ phase: UnitRecord.Phase, exitCode: Int32, signal: Int32, error: String?) {
        note(phase, exitCode: exitCode, signal: signal, error: error)
        deadlineMs = nil
        mode = .done
    }

    /// Answers SIGTERM.
    mutating func stop() {
        switch mode {
        case .waiting: finish(.ended, exitCode: -1, signal: 0, error: record.lastError)
        case .running:
            mode = .stopping
            deadlineMs = Self.nowMs() + Int64(spec.stopGraceMs)
            kill(-app, Signals.number(spec.stopSignal) ?? SIGTERM)
            // A stopped process could not answer.
            kill(-app, SIGCONT)
        case .stopping, .done: break
        }
    }

    /// SIGKILL to everything of the unit until nothing is left; false when something survives 4 s of that.
    @discardableResult
    mutating func killEverything() -> Bool {
        for attempt in 0..<400 {
            reap()
            let pids = livingProcesses()
            if pids.isEmpty { return true }
            // Who forks faster than we kill is stopped first.
            if attempt > 3 { for pid in pids { kill(pid, SIGSTOP) } }
            for pid in pids { kill(pid, SIGKILL) }
            usleep(attempt < 10 ? 1000 : 10_000)
        }
        return false
    }

    private func livingProcesses() -> Set<Int32> {
        Set(group?.processes ?? []).union(ProcessTable.descendants(of: getpid()))
            .filter { ProcessTable.entry($0).map { !$0.isDead } ?? false }
    }

    /// Whether memory is limited by us: there is a limit, and no control group that holds it.
    var watchesMemory: Bool { spec.memoryMaxBytes != nil && group?.limitsMemory != true }

    mutating func checkMemory() {
        guard mode == .running, watchesMemory, let limit = spec.memoryMaxBytes, killReason == nil else { return }
        guard ProcessTable.residentBytes(ProcessTable.descendants(of: getpid())) > limit else { return }
        killReason = "killed: above its memory limit of \(Self.size(limit))"
        killEverything()
    }

    static func size(_ bytes: Int64) -> String {
        if bytes % 1_073_741_824 == 0 { return "\(bytes / 1_073_741_824) GiB" }
        if bytes % 1_048_576 == 0 { return "\(bytes / 1_048_576) MiB" }
        return "\(bytes) bytes"
    }

    static func wallClock() -> Timestamp {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Timestamp(millisecondsSinceEpoch: Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000)
    }
}
