public import Model

/// The spec file of a unit. Written by hand rather than by `Codable`: the shim has no Foundation.
public enum UnitSpecJSON {
    /// Members in snake case, absent ones left out.
    public static func encode(_ spec: UnitSpec) -> JSONValue {
        var members: [String: JSONValue] = [
            "id": .string(spec.id), "argv": .array(spec.argv.map { .string($0) }),
            "environment": .object(spec.environment.mapValues { .string($0) }),
            "working_directory": .string(spec.workingDirectory), "restart": .string(spec.restart.rawValue),
            "backoff_first_ms": .int(Int64(spec.backoffFirstMs)), "backoff_max_ms": .int(Int64(spec.backoffMaxMs)),
            "stable_after_ms": .int(Int64(spec.stableAfterMs)), "crash_loop_after": .int(Int64(spec.crashLoopAfter)),
            "stop_signal": .string(spec.stopSignal), "stop_grace_ms": .int(Int64(spec.stopGraceMs)),
            "log_folder": .string(spec.logFolder), "log_size_max_bytes": .int(Int64(spec.logSizeMaxBytes)),
            "log_files_max": .int(Int64(spec.logFilesMax)),
        ]
        members["user"] = spec.user.map { .string($0) }
        members["memory_max_bytes"] = spec.memoryMaxBytes.map { .int($0) }
        members["cpu_quota"] = spec.cpuQuota.map { .double($0) }
        members["tasks_max"] = spec.tasksMax.map { .int(Int64($0)) }
        members["time_limit_ms"] = spec.timeLimitMs.map { .int(Int64($0)) }
        members["prepare_argv"] = spec.prepareArgv.map { .array($0.map { .string($0) }) }
        members["cleanup_argv"] = spec.cleanupArgv.map { .array($0.map { .string($0) }) }
        if spec.hasHooks { members["hook_time_limit_ms"] = .int(Int64(spec.hookTimeLimitMs)) }
        return .object(members)
    }

    /// - Throws: `invalid`, naming the member that is missing or of the wrong type.
    public static func decode(_ value: JSONValue) throws(Problem) -> UnitSpec {
        func text(_ key: String) throws(Problem) -> String {
            guard let text = value[key]?.stringValue else { throw .invalid(key, "must be a string") }
            return text
        }
        func number(_ key: String) throws(Problem) -> Int {
            guard let number = value[key]?.intValue else { throw .invalid(key, "must be a whole number") }
            return Int(number)
        }
        guard let restart = UnitSpec.Restart(rawValue: try text("restart")) else {
            throw .invalid("restart", "must be always or never")
        }
        guard let argv = value["argv"]?.arrayValue, let members = value["environment"]?.objectValue else {
            throw .invalid("argv", "and environment must be there")
        }
        var environment: [String: String] = [:]
        for (name, member) in members {
            guard let text = member.stringValue else { throw .invalid("environment.\(name)", "must be a string") }
            environment[name] = text
        }
        var spec = UnitSpec(
            id: try text("id"), argv: argv.compactMap(\.stringValue), environment: environment,
            workingDirectory: try text("working_directory"), user: value["user"]?.stringValue, restart: restart,
            backoffFirstMs: try number("backoff_first_ms"), backoffMaxMs: try number("backoff_max_ms"),
            stableAfterMs: try number("stable_after_ms"), crashLoopAfter: try number("crash_loop_after"),
            stopSignal: try text("stop_signal"), stopGraceMs: try number("stop_grace_ms"),
            logFolder: try text("log_folder"), logSizeMaxBytes: try number("log_size_max_bytes"),
            logFilesMax: try number("log_files_max"))
        spec.memoryMaxBytes = value["memory_max_bytes"]?.intValue
        spec.cpuQuota = value["cpu_quota"]?.doubleValue
        spec.tasksMax = value["tasks_max"]?.intValue.map { Int($0) }
        spec.timeLimitMs = value["time_limit_ms"]?.intValue.map { Int($0) }
        spec.prepareArgv = value["prepare_argv"]?.arrayValue?.compactMap(\.stringValue)
        spec.cleanupArgv = value["cleanup_argv"]?.arrayValue?.compactMap(\.stringValue)
        spec.hookTimeLimitMs = value["hook_time_limit_ms"]?.intValue.map { Int($0) } ?? spec.hookTimeLimitMs
        return spec
    }
}

extension UnitSpec {
    var hasHooks: Bool { prepareArgv != nil || cleanupArgv != nil }

    /// Longest time from the stop signal until nothing is left: the grace, and a hook that may be at work or follow.
    var stopTimeMs: Int { stopGraceMs + (hasHooks ? 2 * hookTimeLimitMs : 0) }

    /// Refuses what no supervisor could run, before anything is written.
    func check() throws(Problem) {
        if let flaw = Self.idFlaw(id) { throw .invalid("id", flaw) }
        guard let program = argv.first, !program.isEmpty else { throw .invalid("argv", "must name a program") }
        let hooks = [prepareArgv, cleanupArgv].compactMap { $0 }
        guard hooks.allSatisfy({ $0.first?.isEmpty == false }), hookTimeLimitMs > 0 else {
            throw .invalid("prepareArgv", "and cleanupArgv must name a program, and have a time limit")
        }
        for text in argv + hooks.flatMap(\.self) + [workingDirectory, logFolder] where text.utf8.contains(0) {
            throw .invalid("argv", "must not contain NUL bytes")
        }
        for (name, value) in environment {
            guard !name.isEmpty, !name.utf8.contains(UInt8(ascii: "=")), !name.utf8.contains(0), !value.utf8.contains(0)
            else { throw .invalid("environment", "has a name with = or a NUL byte in it") }
        }
        guard workingDirectory.hasPrefix("/") else { throw .invalid("workingDirectory", "must be an absolute path") }
        guard logFolder.hasPrefix("/") else { throw .invalid("logFolder", "must be an absolute path") }
        guard Signals.number(stopSignal) != nil else { throw .invalid("stopSignal", "must be a signal name like TERM") }
        guard stopGraceMs >= 0, backoffFirstMs >= 0, backoffMaxMs >= 0, stableAfterMs >= 0 else {
            throw .invalid("stopGraceMs", "and the backoff times must not be negative")
        }
        guard logSizeMaxBytes >= 4096, logFilesMax >= 1 else {
            throw .invalid("logSizeMaxBytes", "must be at least 4096, and logFilesMax at least 1")
        }
        guard (memoryMaxBytes ?? 1) > 0, (cpuQuota ?? 1) > 0, (tasksMax ?? 1) > 0, (timeLimitMs ?? 1) > 0 else {
            throw .invalid("memoryMaxBytes", "and the other limits must be above 0")
        }
    }

    /// Ids become file and unit names.
    static func idFlaw(_ id: String) -> String? {
        let allowed = id.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "-")
        }
        guard !id.isEmpty, id.utf8.count <= 100, allowed, !id.hasPrefix("."), !id.hasPrefix("-") else {
            return "must have 1 to 100 of a–z, 0–9, dot and hyphen, and begin with a letter or digit"
        }
        return nil
    }
}
