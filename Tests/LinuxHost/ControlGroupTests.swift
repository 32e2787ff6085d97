import Glibc
import Host
import Model
import Testing

@testable import Supervisor

/// Control groups of version 2, on files that look like the kernel's: which limits are written where, and what is read.
/// That the kernel keeps them is not shown here; membership is tested on a real hierarchy, below.
@Suite struct ControlGroupTests {
    let bench = Workbench()

    private var root: String { "\(bench.path)/cgroup" }

    private static func spec(memory: Int64? = nil, cpu: Double? = nil, tasks: Int? = nil) -> UnitSpec {
        UnitSpec(
            id: "app.web.0", argv: ["/bin/true"], environment: [:], workingDirectory: "/", memoryMaxBytes: memory,
            cpuQuota: cpu, tasksMax: tasks, logFolder: "/tmp")
    }

    private func write(_ files: [String: String]) async throws {
        for (name, text) in files { try await bench.write("cgroup/\(name)", text) }
    }

    private func unified() async throws {
        try await write([
            "cgroup.controllers": "cpu memory pids\n", "cgroup.subtree_control": "", "roost/cgroup.subtree_control": "",
            "roost/cpu.weight": "100\n", "roost/u/cgroup.procs": "", "roost/u/memory.max": "max\n",
            "roost/u/memory.swap.max": "max\n", "roost/u/cpu.max": "max 100000\n", "roost/u/pids.max": "max\n",
        ])
    }

    private func text(_ name: String) async throws -> String { try await bench.read("\(root)/\(name)") }

    @Test(.enabled(if: geteuid() == 0)) func limitsAreWritten() async throws {
        try await unified()
        let spec = Self.spec(memory: 64 << 20, cpu: 1.5, tasks: 50)
        let group = try #require(ControlGroup.make(name: "u", spec: spec, root: root))
        #expect(group.folders == ["\(root)/roost/u"] && group.limitsMemory && group.isOurs)
        #expect(group.joinFiles == ["\(root)/roost/u/cgroup.procs"])
        // A regular file keeps what a shorter write leaves of it; the kernel's do not.
        #expect(try await text("roost/u/memory.max").hasPrefix("67108864"))
        #expect(try await text("roost/u/memory.swap.max").hasPrefix("0"))
        #expect(try await text("roost/u/cpu.max").hasPrefix("150000 100000"))
        #expect(try await text("roost/u/pids.max").hasPrefix("50"))
        #expect(try await text("roost/cpu.weight").hasPrefix("800"))
        for name in ["cgroup.subtree_control", "roost/cgroup.subtree_control"] {
            #expect(try await text(name).hasPrefix("+"), "controllers are handed down")
        }
    }

    @Test(.enabled(if: geteuid() == 0)) func withoutLimitsNoneAreWritten() async throws {
        try await unified()
        let group = try #require(ControlGroup.make(name: "u", spec: Self.spec(), root: root))
        #expect(!group.limitsMemory && group.memoryFolder == "\(root)/roost/u")
        #expect(try await text("roost/u/memory.max") == "max\n")
        #expect(try await text("roost/u/cpu.max") == "max 100000\n")
    }

    @Test func memoryIsCountedWithoutCache() async throws {
        try await write([
            "g/memory.current": "50000000\n",
            "g/memory.stat": "anon 30000000\nfile 20000000\ninactive_anon 7\ninactive_file 15000000\n",
        ])
        #expect(ControlGroup.memoryBytes(in: "\(root)/g") == 35_000_000)
        #expect(ControlGroup.memoryBytes(in: "\(root)/none") == nil)
    }

    @Test(.enabled(if: geteuid() == 0)) func killsForWantOfMemoryAreRead() async throws {
        try await unified()
        try await write(["roost/u/memory.events": "low 0\nhigh 0\nmax 7\noom 3\noom_kill 2\noom_group_kill 0\n"])
        let group = try #require(ControlGroup.make(name: "u", spec: Self.spec(memory: 1 << 20), root: root))
        #expect(group.memoryKills == 2)
    }

    @Test func theGroupOfAServiceIsFound() async throws {
        let service = "roost-app.web.0.service"
        try await write([
            "cgroup.controllers": "memory\n", "system.slice/\(service)/cgroup.procs": "12\n\(getpid())\n34\n0\n",
            "system.slice/\(service)/memory.max": "max\n",
        ])
        let group = try #require(
            ControlGroup.ofService(service, root: root, membership: "0::/system.slice/\(service)\n"))
        #expect(group.processFolder == "\(root)/system.slice/\(service)" && group.limitsMemory && !group.isOurs)
        #expect(group.processes == [12, 34])
        #expect(group.joinFiles == [])
        #expect(ControlGroup.ofService(service, root: root, membership: "0::/user.slice\n") == nil)
    }

    /// Where the machine runs on version 1, version 2 can be mounted beside it, without the controllers.
    @Test(.enabled(if: geteuid() == 0)) func aRealHierarchyHoldsProcesses() async throws {
        try await bench.run(["mkdir", root])
        try await bench.run(["mount", "-t", "cgroup2", "none", root])
        let name = "test-\(getpid())"
        let made = ControlGroup.make(name: name, spec: Self.spec(tasks: 50), root: root)
        let sleeper = try bench.start(["sleep", "60"])
        let group = try #require(made)
        try FileContents.put(group.joinFiles[0], "\(sleeper)")
        #expect(group.processes == [sleeper])
        kill(sleeper, SIGKILL)
        try await eventually("the group empties") { group.processes == [] }
        group.remove()
        #expect(!FileContents.exists("\(root)/roost/\(name)"))
        try await bench.run(["umount", root])
    }

    /// On whichever version the machine has; where it has none, that is what must be said.
    @Test(.enabled(if: geteuid() == 0)) func whatAnEngineRunsBelowItsGroupIsLimited() async throws {
        let name = "test-\(getpid())"
        let memory = ["/sys/fs/cgroup", "/sys/fs/cgroup/memory"].first {
            FileContents.exists("\($0)/memory.limit_in_bytes")
                || (FileContents.text("\($0)/cgroup.controllers") ?? "").contains("memory")
        }
        guard let memory else {
            let code = await problemCode { _ = try EngineGroup.make(name: name, memoryMaxBytes: 32 << 20) }
            #expect(code == .unavailable)
            return
        }
        #expect(try EngineGroup.make(name: name, memoryMaxBytes: 32 << 20) == "/roost-builds/\(name)")
        let leaf = "\(memory)/roost-builds/\(name)/buildkit/step"
        try await bench.run(["mkdir", "-p", leaf])
        #expect(!EngineGroup.hasReachedLimit(name: name))
        let eater = try bench.start(["sh", "-c", "echo $$ > \(leaf)/cgroup.procs; exec tail /dev/zero"])
        try await eventually("the eater is killed") {
            var status: Int32 = 0
            return waitpid(eater, &status, WNOHANG) == eater || kill(eater, 0) != 0
        }
        #expect(EngineGroup.hasReachedLimit(name: name))
        try await eventually("the group is gone") {
            EngineGroup.remove(name: name)
            return !FileContents.exists("\(memory)/roost-builds/\(name)")
        }
    }
}
