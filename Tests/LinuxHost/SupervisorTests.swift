import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Testing

/// One suite for every supervisor, against real processes. One after the other: they measure times.
@Suite(.serialized, .timeLimit(.minutes(5)))
enum Supervision {}

extension Supervision {
    @Suite struct Behaviour {}
}

extension Supervision.Behaviour {
    @Test(arguments: Place.available)
    func startsListsAndStops(_ place: Place) async throws {
        let rig = try await Rig(place)
        try await rig.start(rig.shell("web", "echo hello; exec sleep 4711"), rig.spec("other", ["sleep", "4712"]))
        try await eventually("both run") {
            try await rig.list().values.filter { $0["state"] == "running" }.count == 2
        }
        let pid = try await rig.pid("web")
        try await rig.start(rig.shell("web", "exec sleep 1"))
        #expect(try await rig.pid("web") == pid, "a unit that exists is left alone")
        try await eventually("output is kept") { try await rig.log("web") == "hello\n" }
        #expect(try await rig.list()[rig.id("web")]?["memory_bytes"]?.intValue ?? 0 > 0)
        try await rig.stop(rig.id("web"))
        #expect(try await rig.list().keys.sorted() == [rig.id("other")])
        #expect(try await rig.log("web") == "hello\n", "logs outlive the unit")
        try await rig.stop(rig.id("web"), rig.id("never"))
        try await rig.start(rig.spec("web", ["sleep", "4713"]))
        try await eventually("it runs again") { try await rig.state("web") == "running" }
        try await rig.stop(rig.id("web"), rig.id("other"))
        #expect(try await rig.list().isEmpty)
        #expect(try await rig.run(["ls", "\(rig.root)/units"]) == "")
    }

    @Test(arguments: Place.available)
    func givesExactlyTheEnvironmentAndFolder(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("env", "env; pwd; ulimit -c; cat /proc/self/stat | cut -d' ' -f5,6", restart: .never)
        spec.environment["VALUE"] = "a b\"c'd$e%f"
        spec.workingDirectory = "/usr/share"
        try await rig.start(spec)
        try await eventually("it ends") { try await rig.state("env") == "exited" }
        let lines = Set(try await rig.log("env").split(separator: "\n").map(String.init))
        #expect(lines.contains("VALUE=a b\"c'd$e%f"))
        #expect(lines.contains("/usr/share"))
        let names = lines.filter { $0.contains("=") }.map { $0.prefix { $0 != "=" } }.sorted()
        #expect(names == ["PATH", "PWD", "ROOST_UNIT", "VALUE"])
        try await rig.stop(rig.id("env"))
    }

    @Test(arguments: Place.withLimits)
    func runsAsItsUser(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("user", "id -un; id -G; grep NoNewPrivs /proc/self/status", restart: .never)
        spec.user = "nobody"
        try await rig.start(spec)
        try await eventually("it ends") { try await rig.state("user") == "exited" }
        #expect(try await rig.log("user") == "nobody\n65534\nNoNewPrivs:\t1\n")
        var missing = rig.spec("ghost", ["true"])
        missing.user = "no-such-account"
        try await rig.start(missing)
        try await eventually("it says so") {
            try await rig.list()[rig.id("ghost")]?["last_error"]
                == "could not be started: there is no account no-such-account"
        }
        try await rig.stop(rig.id("user"), rig.id("ghost"))
    }

    @Test(arguments: Place.available)
    func hidesSecrets(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.spec("secret", ["sleep", "4720"])
        spec.environment["TOKEN"] = "hunter2" + "-\(rig.id("x"))"
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.state("secret") == "running" }
        let value = spec.environment["TOKEN"]!.dropFirst(8)
        // In halves, so that the search does not find itself.
        let search =
            "cat /proc/[0-9]*/cmdline /etc/systemd/system/roost-* >/tmp/$2 2>/dev/null; "
            + "grep -c \"$1$2\" /tmp/$2; rm /tmp/$2"
        #expect(try await rig.run(["sh", "-c", search, "sh", "hunter2-", String(value)]) == "0\n")
        let folder = "\(rig.root)/units/\(rig.id("secret"))"
        let modes = try await rig.run(["stat", "-c", "%a", folder, "\(folder)/spec.json"])
        #expect(modes == "700\n600\n")
        try await rig.stop(rig.id("secret"))
    }

    @Test(arguments: Place.available)
    func killsWhatIsAboveItsMemoryLimit(_ place: Place) async throws {
        let rig = try await Rig(place)
        var greedy = rig.spec("greedy", ["python3", "-c", "x = bytearray(300_000_000)\nwhile True: pass"])
        greedy.memoryMaxBytes = 64 * 1_048_576
        var child = rig.shell(
            "child", "python3 -c 'x = bytearray(300_000_000)\nwhile True: pass'; exit 5", restart: .never)
        child.memoryMaxBytes = 64 * 1_048_576
        try await rig.start(greedy, child, rig.spec("modest", ["sleep", "4730"]))
        try await eventually("the limit is enforced, and said", within: .seconds(20)) {
            let status = try await rig.list()[rig.id("greedy")]
            return status?["last_error"] == "killed: above its memory limit of 64 MiB"
                && status?["restarts"]?.intValue ?? 0 >= 1
        }
        try await eventually("of children as well", within: .seconds(20)) {
            try await rig.list()[rig.id("child")]?["last_error"]?.stringValue?
                .contains("above its memory limit of 64 MiB") == true
        }
        let modest = try await rig.list()[rig.id("modest")]
        #expect(modest?["state"] == "running")
        #expect(modest?["restarts"] == 0)
        try await rig.stop(rig.id("greedy"), rig.id("modest"), rig.id("child"))
    }

    @Test(arguments: Place.withLimits)
    func holdsTheCPULimit(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("busy", "while :; do :; done")
        spec.cpuQuota = 0.2
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.state("busy") == "running" }
        let pid = try await rig.pid("busy") ?? 0
        // Ticks used (100 a second) beside the time that passed, both from the machine itself.
        let script =
            "t() { cut -d' ' -f14,15 /proc/\(pid)/stat | tr ' ' +; }; a=$(($(t))); "
            + "u=$(cut -d' ' -f1 /proc/uptime); sleep 3; v=$(cut -d' ' -f1 /proc/uptime); b=$(($(t))); "
            + "echo $((b - a)) $u $v"
        let numbers = try await rig.run(["sh", "-c", script]).split(separator: " ")
            .compactMap { Double($0.filter { $0 != "\n" }) }
        let share = numbers[0] / 100 / (numbers[2] - numbers[1])
        #expect(share > 0.02 && share < 0.3, "used \(share) CPUs")
        try await rig.stop(rig.id("busy"))
    }

    @Test(arguments: Place.withLimits)
    func holdsTheTaskLimit(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("forks", "for i in $(seq 100); do sleep \(rig.mark) & done; wait")
        spec.tasksMax = 20
        try await rig.start(spec)
        try await eventually("forking fails") { try await rig.log("forks").contains("fork") }
        #expect(try await rig.count(rig.mark) <= 20)
        try await rig.stop(rig.id("forks"))
        #expect(try await rig.count(rig.mark) == 0)
    }

    @Test(arguments: Place.available)
    func stopsGently(_ place: Place) async throws {
        let rig = try await Rig(place)
        // The shell dies of TERM at once; its child, which got the signal as well, takes its time.
        let term = rig.shell(
            "term",
            "sh -c 'trap \"sleep 0.3; echo bye; exit 0\" TERM; sleep 0.1; echo up; while :; do sleep 0.05; done'; :")
        var int = rig.shell("int", "trap 'echo interrupted; exit 0' INT; echo up; while :; do sleep 0.05; done")
        int.stopSignal = "INT"
        try await rig.start(term, int)
        try await eventually("both are up") {
            let logs = try await [rig.log("term"), rig.log("int")]
            return logs == ["up\n", "up\n"]
        }
        let clock = ContinuousClock()
        let began = clock.now
        try await rig.stop(rig.id("term"), rig.id("int"))
        #expect(clock.now - began < .seconds(8), "the grace period need not be used up")
        #expect(try await rig.log("term").hasSuffix("bye\n"))
        #expect(try await rig.log("int") == "up\ninterrupted\n")
    }

    @Test(arguments: Place.available)
    func killsWhatIgnoresItsStopSignal(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("deaf", "trap '' TERM; echo up; while :; do sleep \(rig.mark); done")
        spec.stopGraceMs = 500
        try await rig.start(spec)
        try await eventually("it is up") { try await rig.log("deaf") == "up\n" }
        let clock = ContinuousClock()
        let began = clock.now
        try await rig.stop(rig.id("deaf"))
        let took = clock.now - began
        #expect(took > .milliseconds(450) && took < .seconds(20))
        #expect(try await rig.count(rig.mark) == 0)
    }

    @Test(arguments: Place.available)
    func leavesNoChildBehind(_ place: Place) async throws {
        let rig = try await Rig(place)
        let mark = rig.mark
        let daemons =
            "sleep \(mark) & setsid sleep \(mark) & "
            + "(setsid sh -c 'env -i setsid sleep \(mark) & sleep 0.01' &); "
        try await rig.start(rig.shell("parent", daemons + "echo up; wait"))
        try await eventually("all children are there") { try await rig.count(mark) >= 3 }
        try await rig.stop(rig.id("parent"))
        #expect(try await rig.count(mark) == 0)
        // A main process that ends takes its children along before the next start.
        try await rig.start(rig.shell("flighty", daemons + "sleep 0.2"))
        try await eventually("it was started three times") {
            try await rig.list()[rig.id("flighty")]?["restarts"]?.intValue ?? 0 >= 2
        }
        #expect(try await rig.count(mark) <= 4)
        try await rig.stop(rig.id("flighty"))
        #expect(try await rig.count(mark) == 0)
    }

    @Test(arguments: Place.available)
    func backsOffAndNamesTheCrashLoop(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("crash", "cut -d' ' -f1 /proc/uptime; exit 3")
        spec.backoffFirstMs = 200
        spec.backoffMaxMs = 1500
        spec.crashLoopAfter = 4
        var missing = rig.spec("missing", ["/no/such/program"])
        missing.crashLoopAfter = 2
        try await rig.start(spec, missing)
        try await eventually("the crash loop has a name", within: .seconds(20)) {
            try await rig.state("crash") == "crash_loop"
        }
        let status = try await rig.list()[rig.id("crash")]
        #expect(status?["exit_code"] == 3)
        #expect(status?["last_error"] == "exited with code 3")
        #expect(status?["restarts"]?.intValue ?? 0 >= 3)
        try await eventually("it is still tried") {
            try await rig.list()[rig.id("crash")]?["restarts"]?.intValue ?? 0 >= 5
        }
        let times = try await rig.log("crash").split(separator: "\n").compactMap { Double($0) }
        let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
        // 0.2, 0.4, 0.8, then the maximum.
        for (gap, least) in zip(gaps, [0.18, 0.38, 0.78, 1.45]) { #expect(gap >= least) }
        let other = try await rig.list()[rig.id("missing")]
        #expect(other?["last_error"] == "could not be started: /no/such/program: No such file or directory")
        #expect(other?["exit_code"] == 127)
        try await rig.stop(rig.id("crash"), rig.id("missing"))
    }

    @Test(arguments: Place.available)
    func boundsTheLog(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell(
            "loud", "yes 'a line of the log' | head -c 1000000000; echo; echo the end", restart: .never)
        spec.logSizeMaxBytes = 1_000_000
        spec.logFilesMax = 3
        try await rig.start(spec, rig.spec("quiet", ["sleep", "4770"]))
        try await eventually("1 GB is written", within: .seconds(60)) { try await rig.state("loud") == "exited" }
        let sizes = try await rig.run(["sh", "-c", "cd \(rig.root)/logs/loud; stat -c '%n %s' *"])
        let files = sizes.split(separator: "\n").map { $0.split(separator: " ") }
        #expect(files.map { String($0[0]) } == ["1.log", "2.log", "current.log"])
        #expect(files.allSatisfy { Int($0[1]) ?? .max <= 1_000_000 })
        let rotated = try await rig.run(["tail", "-n", "1", "\(rig.root)/logs/loud/1.log"])
        #expect(rotated == "a line of the log\n", "rotation falls between lines")
        #expect(try await rig.run(["tail", "-n", "1", "\(rig.root)/logs/loud/current.log"]) == "the end\n")
        #expect(try await rig.state("quiet") == "running")
        try await rig.stop(rig.id("loud"), rig.id("quiet"))
    }

    @Test(arguments: Place.available)
    func keepsTheOutcomeOfJobs(_ place: Place) async throws {
        let rig = try await Rig(place)
        var slow = rig.shell("slow", "sleep \(rig.mark) & sleep \(rig.mark)", restart: .never)
        slow.timeLimitMs = 300
        try await rig.start(
            rig.shell("good", "echo ran", restart: .never), rig.shell("bad", "exit 7", restart: .never),
            rig.shell("shot", "kill -KILL $$", restart: .never), slow)
        try await eventually("all end") {
            try await rig.list().values.filter { $0["state"] == "exited" }.count == 4
        }
        let list = try await rig.list()
        #expect(list[rig.id("good")]?["exit_code"] == 0)
        #expect(list[rig.id("good")]?["last_error"] == nil)
        #expect(list[rig.id("bad")]?["exit_code"] == 7)
        #expect(list[rig.id("shot")]?["signal"] == 9)
        #expect(list[rig.id("shot")]?["last_error"] == "killed by SIGKILL")
        #expect(list[rig.id("slow")]?["last_error"] == "killed: above its time limit of 300 ms")
        #expect(try await rig.count(rig.mark) == 0)
        try await rig.start(rig.shell("good", "echo ran", restart: .never))
        try await Task.sleep(for: .milliseconds(300))
        #expect(try await rig.log("good") == "ran\n", "a job that has an outcome does not run again")
        try await rig.stop(["good", "bad", "shot", "slow"].map(rig.id))
        #expect(try await rig.list().isEmpty)
    }

    @Test(arguments: Place.available)
    func startsThirtyAtOnce(_ place: Place) async throws {
        let rig = try await Rig(place)
        let names = (0..<30).map { "n\($0)" }
        try await rig.start(names.map { rig.spec($0, ["sleep", rig.mark]) })
        try await eventually("all run", within: .seconds(20)) {
            try await rig.list().values.filter { $0["state"] == "running" }.count == 30
        }
        #expect(try await rig.count(rig.mark) == 30)
        try await rig.stop(names.map(rig.id))
        #expect(try await rig.list().isEmpty)
        #expect(try await rig.count(rig.mark) == 0)
    }

    @Test(arguments: [
        ("id", "../x"), ("id", ""), ("id", "A"), ("argv", ""), ("argv", "a\0b"), ("signal", "NOPE"), ("folder", "x"),
        ("env", "A=B"),
    ])
    func refusesHostileSpecs(_ field: String, _ value: String) async throws {
        var spec = UnitSpec(id: "x", argv: ["true"], logFolder: "/tmp/x")
        switch field {
        case "id": spec.id = value
        case "argv": spec.argv = [value]
        case "signal": spec.stopSignal = value
        case "folder": spec.workingDirectory = value
        default: spec.environment[value] = "x"
        }
        let supervisor = BuiltInSupervisor(root: "/nonexistent/root", binary: "/bin/false")
        let refused = spec
        #expect(await problemCode { try await supervisor.start(refused) } == .invalid)
    }
}
