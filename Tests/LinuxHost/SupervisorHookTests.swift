import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Testing

extension Supervision {
    /// Commands before each start and after the end. They stand for what lives outside of the unit's processes: here a
    /// file, which the application makes and nobody but a hook removes.
    @Suite struct Hooks {}
}

extension Supervision.Hooks {
    /// An application that refuses to start while the file of an earlier run is there.
    private static func spec(_ rig: Rig, _ name: String, then rest: String) -> UnitSpec {
        let file = "\(rig.root)/\(name).left"
        var spec = rig.shell(name, "[ -e \(file) ] && { echo found a leftover; exit 9; }; echo > \(file); \(rest)")
        spec.environment["WORD"] = "helped"
        spec.backoffFirstMs = 50
        spec.prepareArgv = ["sh", "-c", "rm -f \(file); echo $WORD prepare >> \(file).calls"]
        spec.cleanupArgv = ["sh", "-c", "rm -f \(file); echo $WORD cleanup >> \(file).calls"]
        return spec
    }

    private static func calls(_ rig: Rig, _ name: String) async throws -> [String] {
        let text = try await rig.run(["sh", "-c", "cat \(rig.root)/\(name).left.calls 2>/dev/null || true"])
        return text.split(separator: "\n").map(String.init)
    }

    private static func isLeft(_ rig: Rig, _ name: String) async throws -> Bool {
        try await rig.result(["test", "-e", "\(rig.root)/\(name).left"]).succeeded
    }

    @Test(arguments: Place.available)
    func runBeforeEachStartAndAfterTheStop(_ place: Place) async throws {
        let rig = try await Rig(place)
        try await rig.start(Self.spec(rig, "steady", then: "exec sleep \(rig.mark)"))
        try await eventually("it runs") { try await rig.count(rig.mark) == 1 }
        #expect(try await Self.calls(rig, "steady") == ["helped prepare"])
        try await rig.stop(rig.id("steady"))
        #expect(try await Self.calls(rig, "steady") == ["helped prepare", "helped cleanup"])
        #expect(try await !Self.isLeft(rig, "steady"))
        try await rig.stop(rig.id("steady"))
        #expect(try await Self.calls(rig, "steady").count == 2, "a unit that is gone needs no cleaning")
        // Each restart is prepared.
        try await rig.start(Self.spec(rig, "crash", then: "exit 3"))
        try await eventually("it was restarted") {
            try await rig.list()[rig.id("crash")]?["restarts"]?.intValue ?? 0 >= 3
        }
        #expect(try await rig.list()[rig.id("crash")]?["exit_code"] == 3, "never 9: no run found a leftover")
        try await rig.stop(rig.id("crash"))
        #expect(try await Self.calls(rig, "crash").last == "helped cleanup")
        #expect(try await !Self.isLeft(rig, "crash"))
    }

    @Test(arguments: Place.available)
    func runForJobsAsWell(_ place: Place) async throws {
        let rig = try await Rig(place)
        var job = Self.spec(rig, "job", then: "exit 4")
        job.restart = .never
        try await rig.start(job)
        try await eventually("it ends") { try await rig.state("job") == "exited" }
        #expect(try await Self.calls(rig, "job") == ["helped prepare", "helped cleanup"])
        #expect(try await rig.list()[rig.id("job")]?["exit_code"] == 4)
        try await rig.stop(rig.id("job"))
        #expect(try await Self.calls(rig, "job").count == 2)
    }

    @Test(arguments: Place.available)
    func aShimThatWasKilledLeavesNothing(_ place: Place) async throws {
        let rig = try await Rig(place)
        let spec = Self.spec(rig, "orphan", then: "exec sleep \(rig.mark)")
        for _ in 0..<3 {
            try await rig.start(spec)
            try await eventually("it runs") { try await rig.count(rig.mark) == 1 }
            let before = try await rig.shim("orphan")
            try await rig.kill(before)
            // systemd starts another shim, which prepares; elsewhere whoever looks first cleans up.
            if place == .systemd {
                try await eventually("a new shim runs it") {
                    let now = try await rig.shim("orphan")
                    let state = try await rig.state("orphan")
                    return now != before && state == "running"
                }
            } else {
                try await eventually("the shim is dead") { try await rig.list().isEmpty }
                #expect(try await !Self.isLeft(rig, "orphan"))
            }
        }
        try await rig.stop(rig.id("orphan"))
        #expect(try await !Self.isLeft(rig, "orphan"))
        #expect(try await !rig.log("orphan").contains("found a leftover"))
    }

    @Test(arguments: Place.available)
    func aShimKilledDuringTheStopIsCleanedUpAfter(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = Self.spec(rig, "deaf", then: "trap '' TERM; while :; do sleep \(rig.mark); done")
        spec.stopGraceMs = 20_000
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.count(rig.mark) == 1 }
        let shim = try await rig.shim("deaf")
        async let stopped: Void = rig.stop(rig.id("deaf"))
        try await Task.sleep(for: .milliseconds(700))
        try await rig.kill(shim)
        try await stopped
        #expect(try await !Self.isLeft(rig, "deaf"))
        #expect(try await rig.count(rig.mark) == 0)
        #expect(try await rig.list().isEmpty)
    }

    @Test(arguments: Place.available)
    func areLimitedInTimeAndTheirFailureIsLogged(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("slow", "echo runs; exec sleep \(rig.mark)")
        spec.prepareArgv = ["sh", "-c", "echo cannot clear; exec sleep 9\(rig.mark)"]
        spec.cleanupArgv = ["/no/such/program"]
        spec.hookTimeLimitMs = 2000
        try await rig.start(spec)
        try await eventually("it runs all the same") { try await rig.count(rig.mark) == 1 }
        try await eventually("its output is there") { try await rig.log("slow").hasSuffix("runs\n") }
        let log = try await rig.log("slow")
        #expect(log.hasPrefix("cannot clear\n"))
        #expect(log.contains("killed: above its time limit of 2 s"))
        #expect(try await rig.count("9\(rig.mark)") == 0)
        try await rig.stop(rig.id("slow"))
        #expect(try await rig.log("slow").contains("/no/such/program: No such file or directory"))
        #expect(try await rig.list().isEmpty)
    }

    @Test(arguments: Place.withLimits)
    func runAsTheUnitsUser(_ place: Place) async throws {
        let rig = try await Rig(place)
        var spec = rig.shell("user", "exec sleep \(rig.mark)")
        spec.user = "nobody"
        // A failure is logged, and with it who failed.
        spec.prepareArgv = ["sh", "-c", "id -un; grep NoNewPrivs /proc/self/status; exit 1"]
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.count(rig.mark) == 1 }
        #expect(try await rig.log("user") == "nobody\nNoNewPrivs:\t1\n")
        try await rig.stop(rig.id("user"))
    }
}
