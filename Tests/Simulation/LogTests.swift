import Model
import TestSupport
import Testing

/// Output reaches the hub once, whole and in order.
@Suite struct LogTests {
    @Test(arguments: [1, 2, 3, 4, 5])
    func `lost answers and an agent's death repeat and lose nothing`(_ seed: UInt64) async throws {
        let (said, heard) = try await Simulation.withService(seed: seed) { world, machine, _, service in
            let unit = try #require(machine.unitIds.first { $0.hasPrefix("app.web.") })
            world.setLoss(0.3)
            var said = ""
            for number in 0..<200 {
                let line = "line \(number) ä€𝄞\n"
                said += line
                try await machine.print(line, unit: unit)
                try await world.clock.sleep(for: .milliseconds(70))
                if number % 40 == 30 { world.killAgent(machine) }
                if number == 100 { world.killHub() }
            }
            world.setLoss(0)
            try await world.clock.sleep(for: .seconds(60))
            let node = try await world.nodes()[0]["id"]?.stringValue ?? ""
            return (said, try await world.log("service", service, of: node))
        }
        #expect(said == heard)
    }

    @Test func `the output of a failed build is sent after the next one has begun`() async throws {
        let (log, isActive) = try await Simulation.withService(seed: 9) { world, machine, _, service in
            let slow = SimulatedApplication(buildTime: .seconds(5), buildExitCode: 2)
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), slow)
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(2))
            let unit = try #require(machine.unitIds.first { $0.hasPrefix("build.web.") })
            world.setCable(machine, isIn: false)
            try await machine.print("the last words\n", unit: unit)
            world.source.push(Simulation.url, commit: String(repeating: "c", count: 40), SimulatedApplication())
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(30))
            world.setCable(machine, isIn: true)
            try await world.clock.sleep(for: .seconds(60))
            let node = try await world.nodes()[0]["id"]?.stringValue ?? ""
            let failed = try await world.deployments(of: service).first { deployment in
                deployment["commit"]?.stringValue?.hasPrefix("bb") == true
            }
            let log = try await world.log("build", failed?["id"]?.stringValue ?? "", of: node)
            return (log, try await world.show("service", service)["status"] == "active")
        }
        #expect(log == "building\nthe last words\n")
        #expect(isActive)
    }

    @Test func `the last words of a replaced instance reach the hub, though it was away`() async throws {
        let log = try await Simulation.withService(seed: 11) { world, machine, _, service in
            let old = try #require(machine.unitIds.first { $0.hasPrefix("app.web.") })
            func isLogKept() -> Bool { machine.paths(below: "/roost/logs").contains { $0.contains(old) } }
            let slow = SimulatedApplication(buildTime: .seconds(5))
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), slow)
            try await world.deploy(service)
            try await world.clock.sleep(for: .seconds(2))
            world.setCable(machine, isIn: false)
            try await machine.print("the last words\n", unit: old)
            try await world.clock.sleep(for: .seconds(30))
            #expect(!machine.unitIds.contains(old) && isLogKept())
            world.setCable(machine, isIn: true)
            try await world.clock.sleep(for: .seconds(60))
            #expect(!isLogKept(), "what is sent goes")
            let node = try await world.nodes()[0]["id"]?.stringValue ?? ""
            return try await world.log("service", service, of: node)
        }
        #expect(log.contains("the last words\n"))
    }

    @Test func `a deployment says how large its release is`() async throws {
        let deployment = try await Simulation.withService(seed: 4) { world, _, _, service in
            try await world.deployments(of: service)[0]
        }
        #expect(deployment["files"] == 1)
        #expect((deployment["bytes"]?.intValue ?? 0) >= 40)
    }
}
