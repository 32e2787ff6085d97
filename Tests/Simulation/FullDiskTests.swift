import Model
import TestSupport
import Testing

/// A server whose disk is full says so, though it can write nothing down.
@Suite struct FullDiskTests {
    @Test func `a deployment that waits for room names the disk`() async throws {
        let (full, healed) = try await Simulation.withService(seed: 21, [:]) { world, machine, stack, service in
            machine.setDiskFull(true)
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), SimulatedApplication())
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(30))
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
            try await world.clock.sleep(for: .seconds(60))
            let healed = try await state()
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
