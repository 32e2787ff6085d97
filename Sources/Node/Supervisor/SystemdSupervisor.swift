import Glibc
public import Host
public import Model

/// Supervises by systemd: one service per unit, whose main process is the same shim as elsewhere, so that logs,
/// backoff and statuses do not differ. systemd adds the limits, the protections, the start at boot, and the restart of
/// the shim.
public struct SystemdSupervisor: UnitSupervisor {
    private let root: String
    private let binary: String
    private let commands: any Commands
    /// Services come back after a reboot, jobs do not.
    private let serviceFolder = "/etc/systemd/system"
    private let jobFolder = "/run/systemd/system"

    /// - Parameters:
    ///   - root: Absolute path of the data folder; units live in `units` below it.
    ///   - binary: Absolute path of the program whose `shim` command runs ``shimMain(specPath:)``.
    ///   - commands: Runs systemctl.
    public init(root: String, binary: String, commands: any Commands) {
        self.root = root
        self.binary = binary
        self.commands = commands
    }

    public func list() async throws -> [UnitStatus] {
        let root = root
        let units = try await BlockingThreads.shared.run {
            UnitFolder.ids(root: root).compactMap { Self.observe(UnitFolder(root: root, id: $0)) }
        }
        let asleep = units.filter { !$0.isSettled }.map(\.record.id)
        let states = try await activeStates(asleep)
        return units.map { unit in
            guard !unit.isSettled else { return unit.record.status(memoryBytes: unit.memoryBytes) }
            var record = unit.record
            record.app = nil
            let isComing = ["activating", "active", "reloading"].contains(states[record.id] ?? "")
            if record.phase != .ended {
                record.lastError = "ended together with its supervisor process (killed, or the machine was restarted)"
            }
            record.phase = isComing ? .backoff : .ended
            return record.status(memoryBytes: nil)
        }
    }

    /// - Throws: `invalid`, `storage_failed`, `command_failed` when systemd refuses the unit, `timeout`.
    public func start(_ spec: UnitSpec) async throws {
        try spec.check()
        let folder = UnitFolder(root: root, id: spec.id)
        let isNeeded = try await BlockingThreads.wait {
            do {
                return try write(spec, folder)
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Starting \(spec.id)")
            }
        }
        guard isNeeded else { return }
        let service = SystemdUnitFile.serviceName(spec.id)
        // A file that systemd has not seen is read without a reload, which costs tens of milliseconds.
        let stale = try await systemctl(["show", "--property=NeedDaemonReload", "--value", "--", service])
        if stale.outputText.hasPrefix("yes") {
            let reloaded = try await systemctl(["daemon-reload"])
            guard reloaded.succeeded else { throw failed("daemon-reload", spec.id, reloaded) }
        }
        StartCuts.reached("spec")
        let started = try await systemctl(["start", "--no-block", "--", service])
        guard started.succeeded else { throw failed("start", spec.id, started) }
        StartCuts.reached("spawned")
    }

    public func stop(_ id: String) async throws {
        if let flaw = UnitSpec.idFlaw(id) { throw Problem.invalid("id", flaw) }
        let folder = UnitFolder(root: root, id: id)
        let service = SystemdUnitFile.serviceName(id)
        unlink("\(serviceFolder)/multi-user.target.wants/\(service)")
        // Unreadable or missing: a generous time for systemctl to wait does no harm.
        let graceMs = (try? folder.readSpec())?.stopGraceMs ?? 60_000
        let stopped = try await systemctl(["stop", "--", service], timeout: .milliseconds(graceMs + 30_000))
        // 5: systemd does not know the unit.
        guard stopped.succeeded || stopped.exitCode == 5 else { throw failed("stop", id, stopped) }
        unlink("\(serviceFolder)/\(service)")
        unlink("\(jobFolder)/\(service)")
        try await BlockingThreads.wait {
            do {
                try Self.forget(folder)
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Stopping \(id)")
            }
        }
    }

    // MARK: - Blocking bodies

    private struct Observation {
        var record: UnitRecord
        var memoryBytes: Int64?
        /// Whether the record alone says it all; else systemd is asked.
        var isSettled: Bool
    }

    private static func observe(_ folder: UnitFolder) -> Observation? {
        guard FileContents.exists(folder.specPath) else { return nil }
        guard let record = folder.readRecord() else {
            return Observation(record: UnitRecord(id: folder.id, phase: .ended), isSettled: false)
        }
        let isSettled = record.phase == .exited || folder.isShim(record.shim)
        return Observation(
            record: record, memoryBytes: isSettled ? BuiltInSupervisor.memoryBytes(record) : nil, isSettled: isSettled)
    }

    /// Writes spec and unit file. False when there is nothing to start.
    private func write(_ spec: UnitSpec, _ folder: UnitFolder) throws -> Bool {
        try FileContents.makeFolders("\(root)/units", mode: 0o700)
        try FileContents.makeFolders(folder.path, mode: 0o700)
        StartCuts.reached("folder")
        guard let lock = try BuiltInSupervisor.lockForStart(folder) else { return false }
        defer { close(lock) }
        StartCuts.reached("lock")
        if folder.readRecord()?.phase == .exited, FileContents.exists(folder.specPath) { return false }
        unlink(folder.stopPath)
        try folder.writeSpec(spec, durable: true)
        let service = SystemdUnitFile.serviceName(spec.id)
        let file = SystemdUnitFile(spec: spec, binary: binary, specPath: folder.specPath)
        let target = spec.restart == .always ? serviceFolder : jobFolder
        try FileContents.makeFolders(target, mode: 0o755)
        if FileContents.text("\(target)/\(service)") != file.text {
            try FileContents.replace("\(target)/\(service)", Array(file.text.utf8), mode: 0o644, durable: true)
        }
        guard spec.restart == .always else { return true }
        let wants = "\(serviceFolder)/multi-user.target.wants"
        try FileContents.makeFolders(wants, mode: 0o755)
        guard symlink("\(serviceFolder)/\(service)", "\(wants)/\(service)") == 0 || errno == EEXIST else {
            throw SystemError("symlink", "\(wants)/\(service)")
        }
        return true
    }

    private static func forget(_ folder: UnitFolder) throws {
        guard FileContents.exists(folder.path) else { return }
        for _ in 0..<400 {
            if let lock = try folder.tryLock() {
                folder.remove()
                close(lock)
                return
            }
            usleep(5000)
        }
        throw Problem(.unavailable, "Unit \(folder.id) could not be stopped: its processes do not end.")
    }

    // MARK: - systemctl

    private func systemctl(_ arguments: [String], timeout: Duration = .seconds(60)) async throws -> CommandResult {
        try await commands.run(Command(["systemctl", "--no-ask-password"] + arguments, timeout: timeout))
    }

    /// ActiveState of each unit.
    private func activeStates(_ ids: [String]) async throws -> [String: String] {
        guard !ids.isEmpty else { return [:] }
        let services = ids.map(SystemdUnitFile.serviceName)
        let result = try await systemctl(["show", "--property=Id,ActiveState", "--"] + services)
        guard result.succeeded else { throw failed("show", ids[0], result) }
        var states: [String: String] = [:]
        var id = ""
        var state = ""
        for line in result.outputText.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix("Id=roost-") { id = String(line.dropFirst("Id=roost-".count).dropLast(".service".count)) }
            if line.hasPrefix("ActiveState=") { state = String(line.dropFirst("ActiveState=".count)) }
            if line.isEmpty, !id.isEmpty { states[id] = state }
        }
        return states
    }

    private func failed(_ verb: String, _ id: String, _ result: CommandResult) -> Problem {
        Problem(
            .commandFailed, "systemd could not \(verb) unit \(id).",
            hint: "systemctl status \(SystemdUnitFile.serviceName(id)) tells more.",
            context: "exit \(result.exitCode ?? -1): \(result.errorText.prefix(500))")
    }
}
