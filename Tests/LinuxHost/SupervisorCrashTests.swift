import Glibc
import Host
import LinuxHost
import Model
import Supervisor
import Testing

extension Supervision {
    /// What must hold when the starter, the shim or the machine dies.
    @Suite struct Crashes {}
}

extension Supervision.Crashes {
    @Test(arguments: Place.available, ["folder", "lock", "spec", "spawned"])
    func aStarterKilledAtAnyStepLeavesOneShim(_ place: Place, _ step: String) async throws {
        let rig = try await Rig(place)
        let mark = rig.mark
        let spec = rig.spec("once", ["sleep", mark])
        let killed = try await rig.call(["start", rig.root], input: Rig.encode([spec]), cut: step)
        #expect(!killed.succeeded, "the starter died")
        _ = try await rig.list()
        try await rig.start(spec)
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.state("once") == "running" }
        try await Task.sleep(for: .milliseconds(200))
        #expect(try await rig.count(mark) == 1)
        try await rig.stop(rig.id("once"))
        #expect(try await rig.count(mark) == 0)
        #expect(try await rig.list().isEmpty)
    }

    @Test(arguments: Place.available.filter { $0 != .systemd })
    func aDeadShimIsFoundAndItsApplicationKilled(_ place: Place) async throws {
        let rig = try await Rig(place)
        let mark = rig.mark
        let spec = rig.shell("orphan", "sleep \(mark) & setsid sleep \(mark) & sleep \(mark)")
        try await rig.start(spec)
        try await eventually("it runs") { try await rig.count(mark) == 3 }
        try await rig.kill(rig.shim("orphan"))
        #expect(try await rig.list().isEmpty, "what has no shim is no unit")
        #expect(try await rig.count(mark) == 0, "nothing runs without a shim")
        try await rig.start(spec)
        try await eventually("it runs again") { try await rig.count(mark) == 3 }
        // The same, but found by the next start rather than by a listing.
        try await rig.kill(rig.shim("orphan"))
        try await rig.start(spec)
        try await eventually("it runs again") { try await rig.state("orphan") == "running" }
        try await eventually("once") { try await rig.count(mark) == 3 }
        // And by a stop.
        try await rig.kill(rig.shim("orphan"))
        try await rig.stop(rig.id("orphan"))
        #expect(try await rig.count(mark) == 0)
        #expect(try await rig.list().isEmpty)
    }

    @Test(arguments: Place.available.filter { $0 == .systemd })
    func systemdReplacesADeadShim(_ place: Place) async throws {
        let rig = try await Rig(place)
        let mark = rig.mark
        try await rig.start(rig.shell("orphan", "setsid sleep \(mark) & sleep \(mark)"))
        try await eventually("it runs") { try await rig.count(mark) == 2 }
        let before = try await rig.shim("orphan")
        try await rig.kill(before)
        try await eventually("a new shim runs it") {
            let state = try await rig.state("orphan")
            let now = try await rig.shim("orphan")
            return state == "running" && now != before
        }
        try await eventually("once") { try await rig.count(mark) == 2 }
        try await rig.stop(rig.id("orphan"))
        #expect(try await rig.count(mark) == 0)
    }

    @Test(arguments: Place.available.filter { $0 == .systemd })
    func whatWasStoppedBehindOurBackCanBeStarted(_ place: Place) async throws {
        let rig = try await Rig(place)
        let spec = rig.spec("stopped", ["sleep", rig.mark])
        for verb in ["stop", "kill"] {
            try await rig.start(spec)
            try await eventually("it runs") { try await rig.state("stopped") == "running" }
            let service = "roost-\(rig.id("stopped")).service"
            if verb == "kill" {
                try await rig.run(["systemctl", "set-property", "--runtime", service, "CPUWeight=50"])
            }
            try await rig.run(["systemctl", "stop", service])
            #expect(try await rig.count(rig.mark) == 0)
            #expect(try await rig.list().isEmpty)
            let files = try await rig.run(["ls", "/etc/systemd/system"])
            #expect(!files.contains(rig.id("stopped")))
        }
        // A changed spec takes effect, although systemd still knows the old unit.
        var changed = spec
        changed.tasksMax = 77
        try await rig.start(changed)
        try await eventually("it runs again") { try await rig.count(rig.mark) == 1 }
        let limit = try await rig.run(["systemctl", "show", "-p", "TasksMax", "--value", "roost-\(spec.id).service"])
        #expect(limit == "78\n")
        try await rig.stop(rig.id("stopped"))
    }

    @Test(arguments: Place.available.filter { $0 == .systemd })
    func servicesComeBackAfterAReboot(_ place: Place) async throws {
        for verb in ["reboot", "kill"] {
            let rig = try await Rig(place, host: "reboot", address: "10.78.0.22")
            try await rig.start(
                rig.spec("service", ["sleep", rig.mark]), rig.shell("job", "sleep 5102", restart: .never),
                rig.shell("done", "exit 4", restart: .never))
            try await eventually("all is under way") {
                let list = try await rig.list().values.compactMap { $0["state"]?.stringValue }.sorted()
                return list == ["exited", "running", "running"]
            }
            let host = DebianHost(name: "reboot")
            try await host.power(verb)
            if verb == "kill" { try await host.power("up") }
            try await eventually("the service is back") { try await rig.state("service") == "running" }
            #expect(try await rig.count(rig.mark) == 1)
            let list = try await rig.list()
            #expect(list[rig.id("job")] == nil, "a job that was cut short has no outcome")
            #expect(list[rig.id("done")]?["exit_code"] == 4)
            try await rig.stop(["service", "job", "done"].map(rig.id))
            #expect(try await rig.list().isEmpty)
        }
    }

    @Test func startsStopsAndListingsMayRace() async throws {
        let rig = try await Rig(.builtIn)
        let supervisor = BuiltInSupervisor(root: rig.root, binary: try Rig.probe())
        let spec = rig.spec("contended", ["sleep", rig.mark])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<10 {
                        try await supervisor.start(spec)
                        _ = try await supervisor.list()
                        try await supervisor.stop(spec.id)
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await rig.count(rig.mark) == 0)
        try await supervisor.start(spec)
        try await eventually("one runs") { try await supervisor.list().first?.state == .running }
        #expect(try await rig.count(rig.mark) == 1)
        try await supervisor.stop(spec.id)
        #expect(try await supervisor.list() == [])
    }

    @Test func aReusedProcessNumberIsNotMistaken() async throws {
        let rig = try await Rig(.builtIn)
        let folder = "\(rig.root)/units/\(rig.id("reused"))"
        let bystander = Workbench()
        let pid = try bystander.start(["sleep", "5200"])
        let spec = rig.spec("reused", ["sleep", "5201"])
        try await LiveFiles().write("\(folder)/spec.json", UnitSpecJSON.encode(spec).canonicalBytes, mode: 0o600)
        // The number and the start of a living process, which is not a shim; and a number that was used again.
        let stat = try await rig.run(["cat", "/proc/\(pid)/stat"]).split(separator: " ")
        let boot = try await rig.run(["sed", "-n", "s/^btime //p", "/proc/stat"]).filter(\.isNumber)
        func identity(_ ticks: Int64) -> JSONValue {
            ["pid": .int(Int64(pid)), "start_ticks": .int(ticks), "boot_seconds": .int(Int64(boot) ?? 0)]
        }
        let record: JSONValue = [
            "id": .string(spec.id), "phase": "running", "restarts": 0, "shim": identity(Int64(stat[21]) ?? 0),
            "app": identity(1),
        ]
        try await LiveFiles().write("\(folder)/status.json", record.canonicalBytes, mode: 0o600)
        #expect(try await rig.list().isEmpty)
        #expect(kill(pid, 0) == 0, "the process that has the number now is left alone")
        try await rig.start(spec)
        try await eventually("it can be started") { try await rig.state("reused") == "running" }
        try await rig.stop(rig.id("reused"))
    }

    @Test(.enabled(if: geteuid() == 0))
    func anOutcomeIsKeptOnAFullDisk() async throws {
        let rig = try await Rig(.builtIn)
        try await rig.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", rig.root])
        defer { umount2(rig.root, Int32(MNT_DETACH)) }
        let fill = "dd if=/dev/zero of=\(rig.root)/big bs=4k 2>/dev/null; echo more; exit 6"
        try await rig.start(rig.shell("filler", fill, restart: .never))
        try await eventually("its outcome is known") {
            try await rig.list()[rig.id("filler")]?["exit_code"] == 6
        }
        let refused = try await rig.call(["start", rig.root], input: Rig.encode([rig.spec("next", ["true"])]))
        #expect(refused.outputText.contains("storage_failed") && refused.outputText.contains("disk is full"))
        try await rig.stop(rig.id("filler"))
    }
}
