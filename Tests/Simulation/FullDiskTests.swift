import Model
import TestSupport
import Testing

/// A server whose disk is full says so, though it can write nothing down.
@Suite struct FullDiskTests {
    private static let url = "https://git.example.org/app.git"

    @Test func `a deployment that waits for room names the disk`() throws {
        let random = SeededRandom(21)
        let clock = VirtualTime(random: random.fork())
        let (full, healed) = try clock.run {
            let world = try World(clock: clock, random: random)
            try await world.startHub()
            let stack = try await world.createStack("default")
            let machine = try await world.addMachine(stackId: stack)
            world.startAgent(machine)
            world.source.push(Self.url, commit: String(repeating: "a", count: 40), SimulatedApplication())
            let service = try await world.createService("web", stackId: stack, url: Self.url)
            try await clock.sleep(for: .seconds(20))
            machine.setDiskFull(true)
            world.source.push(Self.url, commit: String(repeating: "b", count: 40), SimulatedApplication())
            try await world.deploy(service)
            try await clock.sleep(for: .seconds(30))
            func state() async throws -> [JSONValue?] {
                let deployment = try await world.deployments(of: service).first {
                    $0["commit"]?.stringValue?.hasPrefix("b") == true
                }
                let shownStack = try await world.show("stack", stack)
                let node = try await world.nodes()[0]
                return [
                    deployment?["status"], deployment?["status_message"], shownStack["status_message"],
                    node["status_message"],
                ]
            }
            let full = try await state()
            machine.setDiskFull(false)
            try await clock.sleep(for: .seconds(60))
            let healed = try await state()
            await world.shutDown()
            return (full, healed)
        }
        #expect(full[0] == "provisioning")
        let sentence = "The disk that holds /roost/desired.json is full."
        #expect(full[1]?.stringValue?.hasSuffix("On server node-1: \(sentence)") == true, "\(full)")
        #expect(full[2] == .string("Waiting for node-1. \(sentence)"))
        #expect(full[3] == .string(sentence))
        #expect(healed[0] == "active")
        #expect([nil, JSONValue.null].contains(healed[3]))
    }
}
