import AgentProtocol
import Host
import Model
import TestSupport
import Testing

@testable import Node

@Suite struct OutboxTests {
    private let host: Host

    init() {
        let random = SeededRandom(1)
        host = SimulatedMachine(
            name: "node", source: SimulatedSource(), clock: VirtualTime(random: random), random: random
        ).host(gate: OpenGate())
    }

    private func open() async throws -> Outbox {
        let outbox = Outbox(host: host, path: "/roost/outbox.jsonl")
        try await outbox.load()
        return outbox
    }

    @Test func `numbers go on without a gap over restarts and deliveries`() async throws {
        let first = try await open()
        for number in 1...3 { try await first.add("run", "event \(number)") }
        try await first.acknowledge(2)
        let second = try await open()
        // A receipt need not be on the disk: the hub drops by its number what is delivered twice.
        #expect(await second.batch(10).map(\.sequence) == [1, 2, 3])
        try await second.acknowledge(3)
        let third = try await open()
        #expect(await third.pending == 0)
        try await third.add("run", "event 4")
        #expect(await third.batch(10).map(\.sequence) == [4])
    }

    @Test func `a torn last line is dropped, and only that`() async throws {
        let first = try await open()
        try await first.add("run", "whole")
        try await host.files.append("/roost/outbox.jsonl", Array("{\"event\":{\"sequ".utf8), mode: 0o600)
        let second = try await open()
        #expect(await second.batch(10).map(\.message) == ["whole"])
        try await second.add("run", "next")
        let third = try await open()
        #expect(await third.batch(10).map(\.sequence) == [1, 2])
    }
}
