import Certificates
import Edge
import Glibc
import Host
import LinuxHost
import Model
import Synchronization
import TestSupport
import Testing

/// What happens to certificates when something else goes wrong: files, accounts, orders, hooks, and ends of the agent.
@Suite(.serialized, .exclusive, .timeLimit(.minutes(5)))
struct ACMERecoveryTests {
    private static func wanted(_ names: String...) -> [WantedCertificate] {
        names.map { WantedCertificate(names: [$0], source: .acme) }
    }

    private func recordPaths(_ folder: String) async throws -> [String] {
        try await LiveFiles().list(folder).filter { $0 != "account.key" }.map { "\(folder)/\($0)/record.json" }
    }

    @Test func aRecordThatCannotBeReadKeepsNobodyWaiting() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock)
            try await keeper.want(Self.wanted("one.test", "two.test"))
            _ = await keeper.step()
            #expect(await keeper.report().statuses.map(\.state) == [.active, .active])
            for path in try await recordPaths(pebble.folder) { try writeFile(path, "{\"names\":") }
            let successor = pebble.keeper(clock)
            // One of them is wanted, the other one is not.
            try await successor.want(Self.wanted("one.test"))
            _ = await successor.step()
            #expect(await successor.report().statuses.map(\.state) == [.active])
            #expect(try await recordPaths(pebble.folder).count == 1)
        }
    }

    @Test func aCertificateWhoseFilesAreGoneIsGotAnew() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock)
            try await keeper.want(Self.wanted("one.test"))
            _ = await keeper.step()
            let first = try #require(await keeper.report().entries.first)
            unlink(first.keyPath)
            let successor = pebble.keeper(clock)
            try await successor.want(Self.wanted("one.test"))
            #expect(await successor.report().statuses.map(\.state) == [.pending])
            _ = await successor.step()
            let second = try #require(await successor.report().entries.first)
            #expect(second != first && access(second.keyPath, F_OK) == 0)
        }
    }

    @Test func anOrderThatTheAuthorityForgotIsMadeAnewAtOnce() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let keeper = pebble.keeper(clock, gate: WatchingGate(stopsAfter: "certificate-challenge.write"))
            try await keeper.want(Self.wanted("one.test"))
            _ = await keeper.step()
            let path = try #require(try await recordPaths(pebble.folder).first)
            let bytes = try #require(try await LiveFiles().read(path, bytesMax: 100_000))
            guard case .object(var record) = try JSONParser.parse(bytes), case .object(var order) = record["order"]
            else {
                Issue.record("there is no order")
                return
            }
            order["url"] = .string(pebble.directoryURL.replacing("/dir", with: "/my-order/forgotten"))
            record["order"] = .object(order)
            try writeFile(path, String(decoding: JSONValue.object(record).canonicalBytes, as: UTF8.self))
            let successor = pebble.keeper(clock)
            try await successor.want(Self.wanted("one.test"))
            _ = await successor.step()
            #expect(await successor.report().statuses.map(\.state) == [.active])
        }
    }

    @Test(arguments: ["certificate-challenge.write", "certificate-challenge.respond"])
    func anAgentThatIsStoppedLeavesItsChallengeToTheNext(label: String) async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let gate = WatchingGate(stopsAfter: label)
            let keeper = pebble.keeper(clock, gate: gate)
            try await keeper.want(Self.wanted("one.test"))
            _ = await keeper.step()
            #expect(await keeper.report().statuses.first?.lastError == nil, "stopping is no failure")
            let later = WatchingGate()
            let successor = pebble.keeper(clock, gate: later)
            try await successor.want(Self.wanted("one.test"))
            _ = await successor.step()
            #expect(await successor.report().statuses.map(\.state) == [.active])
            #expect(gate.count("certificate-order.create") == 1 && later.count("certificate-order.create") == 0)
        }
    }

    @Test func severalOrdersAtOnceShareOneAccount() async throws {
        try await PebbleFixture.with { pebble in
            let clock = ShiftedClock()
            let gate = WatchingGate()
            let keeper = pebble.keeper(clock, gate: gate)
            try await keeper.want(Self.wanted("one.test", "two.test", "three.test", "four.test", "five.test"))
            _ = await keeper.step()
            #expect(await keeper.report().statuses.allSatisfy { $0.state == .active })
            #expect(gate.count("certificate-account.write") == 1)
        }
    }

    @Test func aSlowHookKeepsNoOtherNameWaiting() async throws {
        try await PebbleFixture.with { pebble in
            let (hook, free) = (pebble.edge.folder + "/hook", pebble.edge.folder + "/free")
            try writeFile(
                hook,
                "#!/bin/sh\ntouch \(pebble.edge.folder)/begun\nuntil [ -e \(free) ]; do sleep 0.05; done\nexit 1\n")
            chmod(hook, 0o700)
            let dns = CommandDNSChallenges(argv: [hook], commands: LiveCommands())
            let keeper = pebble.keeper(ShiftedClock(), dns: dns)
            let slow = WantedCertificate(names: ["*.slow.test"], source: .acme)
            try await keeper.want([slow])
            let work = Task { try await keeper.run { _ in } }
            #expect(try await eventually { access(pebble.edge.folder + "/begun", F_OK) == 0 })
            try await keeper.want([slow, WantedCertificate(names: ["own.test"], source: .selfSigned)])
            let isThere = try await eventually {
                await keeper.report().statuses.contains { $0.names == ["own.test"] && $0.state == .active }
            }
            #expect(isThere)
            #expect(await keeper.report().statuses.first { $0.names == slow.names }?.state == .pending)
            try writeFile(free, "")
            let isTold = try await eventually {
                await keeper.report().statuses.first { $0.names == slow.names }?.state == .failed
            }
            #expect(isTold)
            work.cancel()
            try await work.value
        }
    }
}

/// Counts effects, and stops the task that did a certain one, as the end of an agent does.
private final class WatchingGate: EffectGate {
    private let stopsAfter: String?
    private let labels = Mutex<[String]>([])

    init(stopsAfter label: String? = nil) { stopsAfter = label }

    func count(_ label: String) -> Int { labels.withLock { $0.count { $0 == label } } }

    func before(_ label: EffectLabel) async throws {}

    func after(_ label: EffectLabel) async throws {
        labels.withLock { $0.append(label.text) }
        if label.text == stopsAfter { withUnsafeCurrentTask { $0?.cancel() } }
    }
}
