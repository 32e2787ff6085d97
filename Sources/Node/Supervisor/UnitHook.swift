import CRoost
import Glibc
import Model

/// Runs a unit's `prepareArgv` and `cleanupArgv`: as its account and in its environment, for a limited time.
enum UnitHook {
    /// Most output that is kept.
    private static let outputBytesMax = 16_384

    /// Runs the program to its end, and kills what is left of it.
    ///
    /// - Parameters:
    ///   - join: files of the control group that it joins.
    /// - Returns: nil when it succeeded; else how it ended, with its output, for the log.
    static func run(_ argv: [String], of spec: UnitSpec, _ folder: UnitFolder, join: [String] = []) -> String? {
        var environment = spec.environment
        environment[folder.marker.name] = folder.marker.value
        var plan = Spawn(
            argv: argv, environment: environment.map { "\($0.key)=\($0.value)" }.sorted(),
            searchPath: spec.environment["PATH"])
        plan.workingDirectory = "/"
        plan.join = join
        plan.noNewPrivileges = true
        if let user = spec.user {
            guard let identity = UserIdentity.find(user) else { return "\(argv[0]): there is no account \(user)\n" }
            if identity.user != geteuid() { plan.identity = identity }
        }
        var ends: [Int32] = [-1, -1]
        guard croost_pipe(&ends) == 0 else { return "\(argv[0]): too many open files\n" }
        defer { close(ends[0]) }
        croost_set_nonblocking(ends[0])
        plan.output = ends[1]
        plan.errors = ends[1]
        do throws(Spawn.Failure) {
            let pid = try plan.run()
            close(ends[1])
            return finish(pid, argv[0], output: ends[0], limitMs: spec.hookTimeLimitMs)
        } catch {
            close(ends[1])
            return "\(argv[0]): \(error.reason)\n"
        }
    }

    private static func finish(_ pid: Int32, _ program: String, output: Int32, limitMs: Int) -> String? {
        let deadline = Shim.nowMs() + Int64(limitMs)
        var text: [UInt8] = []
        var status: Int32 = 0
        var isLate = false
        while true {
            var events = [pollfd(fd: output, events: Int16(POLLIN), revents: 0)]
            poll(&events, 1, 10)
            drain(output, into: &text)
            if croost_child_runs(pid) == 0 { break }
            isLate = Shim.nowMs() >= deadline
            if isLate { break }
            // At the end of its output poll returns at once.
            if events[0].revents & Int16(POLLHUP) != 0 { usleep(2000) }
        }
        // While the leader's number is still taken.
        kill(-pid, SIGKILL)
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
        drain(output, into: &text)
        let words = String(decoding: text, as: UTF8.self)
        if isLate { return "\(words)\n\(program): killed: above its time limit of \(Shim.seconds(limitMs))\n" }
        return croost_exit_code(status) == 0 ? nil : words
    }

    private static func drain(_ descriptor: Int32, into text: inout [UInt8]) {
        var chunk = [UInt8](repeating: 0, count: 4096)
        for _ in 0..<64 {
            let count = read(descriptor, &chunk, chunk.count)
            guard count > 0 else { return }
            text += chunk[0..<min(count, outputBytesMax - text.count)]
        }
    }

    /// Cleans up after a unit whose shim is gone. The caller holds the unit's lock, or knows that no shim will come.
    static func cleanUp(_ folder: UnitFolder) {
        // A shim that came to its end has done so itself.
        if let phase = folder.readRecord()?.phase, phase == .ended || phase == .exited { return }
        // Without a readable spec nothing was started that could have left anything.
        guard let spec = try? folder.readSpec(), let argv = spec.cleanupArgv else { return }
        // Nobody is left to hear of a failure; the next start's `prepareArgv` tries again.
        _ = run(argv, of: spec, folder)
    }
}

extension Shim {
    /// Runs a hook, whose words go to the log when it fails.
    mutating func runHook(_ argv: [String]?) {
        guard let argv, let words = UnitHook.run(argv, of: spec, folder, join: group?.joinFiles ?? []) else { return }
        Array(words.utf8).withUnsafeBytes { log.write($0) }
    }
}
