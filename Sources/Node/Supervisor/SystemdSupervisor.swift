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
            try UnitFolder.ids(root: root).compactMap { try Self.observe(UnitFolder(root: root, id: $0)) }
        }
        let asleep = units.filter { $0.lock != nil }
        guard !asleep.isEmpty else { return units.map(\.status) }
        // Their locks are ours meanwhile, so nobody else starts them.
        defer { for unit in asleep { unit.lock.map { _ = close($0) } } }
        let coming = try await comingUp(asleep.map(\.status.id))
        for unit in asleep where !coming.contains(unit.status.id) {
            removeFiles(unit.status.id)
            let folder = UnitFolder(root: root, id: unit.status.id)
            try await BlockingThreads.wait {
                UnitHook.cleanUp(folder)
                folder.remove()
            }
        }
        return units.filter { $0.lock == nil || coming.contains($0.status.id) }.map(\.status)
    }

    /// - Throws: `invalid`, `storage_failed`, `command_failed` when systemd refuses the unit, `timeout`.
    public func start(_ spec: UnitSpec) async throws {
        try spec.check()
        let folder = UnitFolder(root: root, id: spec.id)
        let lock = try await BlockingThreads.wait {
            do {
                return try write(spec, folder)
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Starting \(spec.id)")
            }
        }
        guard let lock else { return }
        // Held until systemd has the job; the shim waits for it.
        defer { close(lock) }
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
        let graceMs = (try? folder.readSpec())?.stopTimeMs ?? 60_000
        let stopped = try await systemctl(["stop", "--", service], timeout: .milliseconds(graceMs + 30_000))
        // 5: systemd does not know the unit.
        guard stopped.succeeded || stopped.exitCode == 5 else { throw failed("stop", id, stopped) }
        removeFiles(id)
        try await BlockingThreads.wait {
            do {
                try folder.whileThere { try Self.forget(folder) }
            } catch let error as SystemError {
                throw UnitProblems.storage(error, doing: "Stopping \(id)")
            }
        }
    }

    // MARK: - Blocking bodies

    private struct Observation {
        var status: UnitStatus
        /// The lock of a unit that has no shim; whether it is about to have one, systemd knows.
        var lock: Int32?
    }

    private static func observe(_ folder: UnitFolder) throws -> Observation? {
        func known(_ record: UnitRecord) -> Observation {
            Observation(status: record.status(memoryBytes: BuiltInSupervisor.memoryBytes(record)), lock: nil)
        }
        if let record = BuiltInSupervisor.settled(folder) { return known(record) }
        let lock: Int32?
        do {
            lock = try folder.tryLock()
        } catch {
            // The folder went away between the listing and now.
            return nil
        }
        if let lock, let record = BuiltInSupervisor.settled(folder) {
            close(lock)
            return known(record)
        }
        return Observation(status: UnitStatus(id: folder.id, state: .backoff), lock: lock)
    }

    /// Writes spec and unit file. Returns the unit's lock, or nil when there is nothing to start.
    private func write(_ spec: UnitSpec, _ folder: UnitFolder) throws -> Int32? {
        try FileContents.makeFolders("\(root)/units", mode: 0o700)
        try FileContents.makeFolders(folder.path, mode: 0o700)
        StartCuts.reached("folder")
        guard let lock = try BuiltInSupervisor.lockForStart(folder) else { return nil }
        do {
            StartCuts.reached("lock")
            if BuiltInSupervisor.settled(folder) == nil {
                try writeFiles(spec, folder)
                return lock
            }
            close(lock)
            return nil
        } catch {
            close(lock)
            throw error
        }
    }

    private func writeFiles(_ spec: UnitSpec, _ folder: UnitFolder) throws {
        try folder.writeSpec(spec, durable: true)
        let service = SystemdUnitFile.serviceName(spec.id)
        let file = SystemdUnitFile(spec: spec, binary: binary, specPath: folder.specPath)
        let target = spec.restart == .always ? serviceFolder : jobFolder
        try FileContents.makeFolders(target, mode: 0o755)
        if FileContents.text("\(target)/\(service)") != file.text {
            try FileContents.replace("\(target)/\(service)", Array(file.text.utf8), mode: 0o644, durable: true)
        }
        guard spec.restart == .always else { return }
        let wants = "\(serviceFolder)/multi-user.target.wants"
        try FileContents.makeFolders(wants, mode: 0o755)
        guard symlink("\(serviceFolder)/\(service)", "\(wants)/\(service)") == 0 || errno == EEXIST else {
            throw SystemError("symlink", "\(wants)/\(service)")
        }
    }

    private func removeFiles(_ id: String) {
        let service = SystemdUnitFile.serviceName(id)
        unlink("\(serviceFolder)/multi-user.target.wants/\(service)")
        unlink("\(serviceFolder)/\(service)")
        unlink("\(jobFolder)/\(service)")
    }

    private static func forget(_ folder: UnitFolder) throws {
        guard FileContents.exists(folder.path) else { return }
        for _ in 0..<400 {
            if let lock = try folder.tryLock() {
                UnitHook.cleanUp(folder)
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

    /// Those of the units that run, are being started, or wait for their restart.
    private func comingUp(_ ids: [String]) async throws -> Set<String> {
        let services = ids.map(SystemdUnitFile.serviceName)
        let result = try await systemctl(["show", "--property=Id,ActiveState,Job", "--"] + services)
        guard result.succeeded else { throw failed("show", ids[0], result) }
        var coming: Set<String> = []
        for paragraph in Self.paragraphs(result.outputText) {
            guard let service = paragraph["Id"], service.hasPrefix("roost-"), service.hasSuffix(".service") else {
                continue
            }
            let isIdle = ["inactive", "failed"].contains(paragraph["ActiveState"]) && paragraph["Job"] == nil
            if !isIdle { coming.insert(String(service.dropFirst("roost-".count).dropLast(".service".count))) }
        }
        return coming
    }

    /// `NAME=VALUE` lines, one unit after the other with an empty line between.
    private static func paragraphs(_ text: String) -> [[String: String]] {
        var all: [[String: String]] = [[:]]
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.isEmpty { all.append([:]) }
            let parts = line.split(separator: "=", maxSplits: 1)
            if parts.count == 2 { all[all.count - 1][String(parts[0])] = String(parts[1]) }
        }
        return all
    }

    private func failed(_ verb: String, _ id: String, _ result: CommandResult) -> Problem {
        Problem(
            .commandFailed, "systemd could not \(verb) unit \(id).",
            hint: "systemctl status \(SystemdUnitFile.serviceName(id)) tells more.",
            context: "exit \(result.exitCode ?? -1): \(result.errorText.prefix(500))")
    }
}
