import Glibc
import Host
import LinuxHost
import Model
import Testing

/// Commands, probes, accounts, names, facts and clocks of the live host.
@Suite(.timeLimit(.minutes(2)))
struct HostTests {
    let bench = Workbench()
    let commands = LiveCommands()

    @Test func commandsGetTheirInputAndGiveTheirOutput() async throws {
        let input = [UInt8](repeating: 65, count: 500_000)
        let echoed = try await commands.run(Command(["cat"], input: input, timeout: .seconds(10)))
        #expect(echoed.succeeded && echoed.output == input && !echoed.truncated)
        let cut = try await commands.run(
            Command(["cat"], input: input, timeout: .seconds(10), outputBytesMax: 1000))
        #expect(cut.output.count == 1000 && cut.truncated)
        let failed = try await commands.run(Command(["sh", "-c", "echo no >&2; exit 3"], timeout: .seconds(10)))
        #expect(failed.exitCode == 3 && failed.errorText == "no\n")
        let shot = try await commands.run(Command(["sh", "-c", "kill -9 $$"], timeout: .seconds(10)))
        #expect(shot.exitCode == nil && shot.signal == 9)
        #expect(
            await problemCode { _ = try await commands.run(Command(["/no/such"], timeout: .seconds(1))) }
                == .commandFailed)
        let environment = try await commands.run(
            Command(["env"], environment: ["PATH": "/usr/bin", "A": "b"], timeout: .seconds(10)))
        #expect(environment.outputText.split(separator: "\n").sorted() == ["A=b", "PATH=/usr/bin"])
    }

    @Test func commandsAreKilledAsAGroup() async throws {
        let script = "sleep 300.5 & sleep 300.5 & echo up; wait"
        let clock = ContinuousClock()
        let began = clock.now
        #expect(
            await problemCode {
                _ = try await commands.run(Command(["sh", "-c", script], timeout: .milliseconds(300)))
            } == .timeout)
        let task = Task { try await commands.run(Command(["sh", "-c", script], timeout: .seconds(60))) }
        try await Task.sleep(for: .milliseconds(200))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        // What a command leaves in the background does not outlive it.
        _ = try await commands.run(Command(["sh", "-c", "sleep 300.5 & exit 0"], timeout: .seconds(60)))
        #expect(clock.now - began < .seconds(200))
        try await eventually("it is gone") {
            try await commands.run(Command(["pgrep", "-fx", "sleep 300.5"], timeout: .seconds(10))).outputText == ""
        }
    }

    @Test func commandsCanDieWithTheirCaller() async throws {
        await #expect(processExitsWith: .signal(SIGKILL)) {
            var command = Command(["sleep", "300.75"], timeout: .seconds(60))
            command.diesWithCaller = true
            let endless = command
            Task.detached { try await LiveCommands().run(endless) }
            try await Task.sleep(for: .milliseconds(300))
            kill(getpid(), SIGKILL)
        }
        try await eventually("it is gone") {
            try await commands.run(Command(["pgrep", "-fx", "sleep 300.75"], timeout: .seconds(10))).outputText == ""
        }
    }

    @Test func probesTellWhatAnswers() async throws {
        let probes = LiveProbes()
        let port = try await probes.freePort(excluding: [])
        #expect(port > 1024)
        #expect(
            await problemCode { try await probes.tcp(host: "127.0.0.1", port: port, timeout: .seconds(1)) }
                == .unavailable)
        let server =
            "import http.server\nclass H(http.server.BaseHTTPRequestHandler):\n  def do_GET(s):\n"
            + "    s.send_response(int(s.path[1:])); s.send_header('Content-Length', '0'); s.end_headers()\n"
            + "http.server.ThreadingHTTPServer(('127.0.0.1', \(port)), H).serve_forever()"
        try bench.start(["python3", "-c", server])
        try await eventually("the server listens") {
            await problemCode { try await probes.tcp(host: "localhost", port: port, timeout: .seconds(1)) } == nil
        }
        for status in [200, 404, 503] {
            let answer = try await probes.http(
                host: "127.0.0.1", port: port, path: "/\(status)", timeout: .seconds(5))
            #expect(answer == status)
        }
        #expect(try await probes.freePort(excluding: Set(20_000..<31_900)) >= 31_900)
        #expect(try await probes.freePort(excluding: Set(20_000..<32_000).subtracting([port, 31_999])) == 31_999)
        #expect(
            await problemCode {
                _ = try await probes.http(host: "127.0.0.1", port: port, path: "/a b\r\n", timeout: .seconds(1))
            } == .invalid)
    }

    @Test func probesEndAtTheirTimeout() async throws {
        let probes = LiveProbes()
        let port = try await probes.freePort(excluding: [])
        let server =
            "import socket, time\ns = socket.socket(); s.bind(('127.0.0.1', \(port))); s.listen()\n"
            + "while True:\n  c = s.accept()[0]\n  try:\n    while True: c.send(b'H'); time.sleep(0.05)\n"
            + "  except OSError: pass"
        try bench.start(["python3", "-c", server])
        try await eventually("the server listens") {
            await problemCode { try await probes.tcp(host: "127.0.0.1", port: port, timeout: .seconds(1)) } == nil
        }
        let clock = ContinuousClock()
        let began = clock.now
        let code = await problemCode {
            _ = try await probes.http(host: "127.0.0.1", port: port, path: "/", timeout: .milliseconds(500))
        }
        // A server that drips bytes must not stretch the time.
        #expect(code == .timeout)
        #expect(clock.now - began < .seconds(30))
    }

    @Test(.enabled(if: geteuid() == 0)) func accountsComeAndGo() async throws {
        let accounts = LiveAccounts()
        let name = "rtest-\(LiveRandom().hex(4))"
        #expect(try await accounts.ensure(name) == name)
        #expect(try await accounts.ensure(name) == name)
        let record = try await bench.run(["getent", "passwd", name]).split(separator: ":")
        #expect((Int(record[2]) ?? 1000) < 1000, "a system account")
        #expect(record.last == "/usr/sbin/nologin\n")
        try await accounts.remove(name)
        try await accounts.remove(name)
        let gone = try await commands.run(Command(["getent", "passwd", name], timeout: .seconds(10)))
        #expect(!gone.succeeded)
    }

    @Test(arguments: ["root", "-x-", "a b-", "A-b", "", "x:y-", "1-a", "a-\n", "nobody"])
    func hostileAccountNamesAreRefused(_ name: String) async throws {
        #expect(await problemCode { _ = try await LiveAccounts().ensure(name) } == .invalid)
        #expect(await problemCode { try await LiveAccounts().remove(name) } == .invalid)
    }

    @Test func theHostsBlockIsOursAlone() async throws {
        let path = "\(bench.path)/hosts"
        let original = "127.0.0.1 localhost\n# mine\n10.0.0.1 other # BEGIN\n"
        try await bench.write("hosts", original)
        let names = LiveNames(hostsPath: path, dropInPath: "\(bench.path)/none.conf")
        func apply(_ list: [String]) async throws {
            try await names.apply(
                names: list, suffix: "svc.internal", address: "127.0.0.1", dnsAddress: "127.0.0.1:5399")
        }
        try await apply(["web", "api.svc.internal"])
        let first = try await bench.read(path)
        #expect(first.hasPrefix(original))
        #expect(first.contains("127.0.0.1 web.svc.internal\n127.0.0.1 api.svc.internal\n"))
        let time = try await bench.run(["stat", "-c", "%y %i", path])
        try await apply(["web", "api.svc.internal"])
        #expect(try await bench.run(["stat", "-c", "%y %i", path]) == time, "nothing to do, nothing written")
        try await bench.write("hosts", first + "10.0.0.2 late\n")
        try await apply(["web"])
        #expect(try await bench.read(path).contains("10.0.0.2 late\n"))
        try await names.remove()
        #expect(try await bench.read(path) == original + "10.0.0.2 late\n")
        #expect(await problemCode { try await apply(["a b"]) } == .invalid)
        #expect(await problemCode { try await apply(["x\n1.2.3.4 bank"]) } == .invalid)
    }

    /// As /etc/hosts is in containers.
    @Test(.enabled(if: geteuid() == 0)) func aMountedHostsFileIsWrittenInPlace() async throws {
        try await bench.write("outer", "127.0.0.1 localhost\n")
        try await bench.write("hosts", "")
        try await bench.run(["mount", "--bind", "\(bench.path)/outer", "\(bench.path)/hosts"])
        defer { umount2("\(bench.path)/hosts", Int32(MNT_DETACH)) }
        let names = LiveNames(hostsPath: "\(bench.path)/hosts", dropInPath: "\(bench.path)/none.conf")
        try await names.apply(
            names: ["web"], suffix: "svc.internal", address: "127.0.0.1", dnsAddress: "127.0.0.1:5399")
        #expect(try await bench.read("\(bench.path)/outer").contains("127.0.0.1 web.svc.internal\n"))
        try await names.remove()
        #expect(try await bench.read("\(bench.path)/outer") == "127.0.0.1 localhost\n")
    }

    @Test func factsAreOfThisMachine() async throws {
        let facts = try await LiveFacts(dataFolder: bench.path).machine()
        #expect(facts.hostname + "\n" == (try await bench.run(["uname", "-n"])))
        #expect(facts.kernel + "\n" == (try await bench.run(["uname", "-r"])))
        #expect("\(facts.cpus)\n" == (try await bench.run(["nproc", "--all"])))
        #expect(facts.memoryTotalBytes > facts.memoryAvailableBytes && facts.memoryAvailableBytes > 0)
        #expect(facts.diskTotalBytes >= facts.diskFreeBytes && facts.diskFreeBytes > 0)
        #expect(facts.uptimeSeconds > 0)
        #expect(["systemd", "built-in"].contains(facts.supervisor))
    }

    @Test func clocksAndRandomness() async throws {
        let clock = LiveClock()
        let began = clock.monotonic()
        try await clock.sleep(for: .milliseconds(20))
        #expect(clock.monotonic() - began >= .milliseconds(20))
        #expect(clock.now().millisecondsSinceEpoch > 1_700_000_000_000)
        #expect(LiveRandom().bytes(32) != LiveRandom().bytes(32))
        #expect(LiveRandom().bytes(0) == [])
    }

    @Test func theFaultGateKillsAtTheNthEffect() async throws {
        #expect(FaultGate("unit.start") == nil)
        #expect(FaultGate("unit.start:0:before") == nil)
        #expect(FaultGate("unit.start:1:during") == nil)
        await #expect(processExitsWith: .signal(SIGKILL)) {
            let gate = FaultGate("unit.start:2:after")!
            for _ in 0..<2 {
                try await gate.before("unit.start")
                try await gate.before("unit.stop")
                try await gate.after("unit.start")
            }
        }
        await #expect(processExitsWith: .success) {
            let gate = FaultGate("unit.start:2:before")!
            try await gate.before("unit.start")
            try await gate.after("unit.start")
            try await gate.before("unit.stop")
        }
    }
}
