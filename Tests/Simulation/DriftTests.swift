import Model
import TestSupport
import Testing

/// What changes behind the agent's back is put back, and what is removed leaves nothing.
@Suite struct DriftTests {
    @Test func `a vanished unit and a forgotten table come back`() async throws {
        let (units, tables) = try await Simulation.withService(seed: 5) { world, machine, _, _ in
            let before = (machine.unitIds, machine.table)
            machine.drift()
            try await world.clock.sleep(for: .seconds(20))
            return ([before.0, machine.unitIds], [before.1, machine.table])
        }
        #expect(units[0] == units[1])
        #expect(tables[0].routes == tables[1].routes)
        #expect(tables[1].upstreams.first?.mode == .serve)
        #expect(tables[1].upstreams.first?.endpoints.count == 1)
    }

    @Test func `what runs as declared is left alone`() async throws {
        let (before, after) = try await Simulation.withService(seed: 5) { world, machine, _, _ in
            let before = world.effects(machine).count
            try await world.clock.sleep(for: .seconds(300))
            return (before, world.effects(machine).count)
        }
        #expect(before == after, "an agent with nothing to do has no effects")
    }

    @Test func `a removed service leaves nothing`() async throws {
        let (units, files, accounts, upstreams) = try await Simulation.withService(seed: 5) { world, machine, _, id in
            try await world.deleteService(id)
            try await world.clock.sleep(for: .seconds(20))
            return (machine.unitIds, machine.files, machine.accounts, machine.table.upstreams.count)
        }
        #expect(units == ["edge"])
        #expect(files == [])
        #expect(accounts == [])
        #expect(upstreams == 0)
    }

    @Test func `another port is another edge, and the former one goes`() async throws {
        let (during, after, table, files) = try await Simulation.withService(seed: 5) { world, machine, stack, _ in
            try await world.updateStack(stack, ["proxy": ["bind": "0.0.0.0", "port": 8080]])
            var during: Set<String> = []
            for _ in 0..<4000 where !(during.contains("edge.2") && machine.unitIds.allSatisfy { $0 != "edge" }) {
                during.formUnion(machine.unitIds.filter { $0.hasPrefix("edge") && machine.unitIds.contains("edge.2") })
                try await world.clock.sleep(for: .milliseconds(5))
            }
            try await world.clock.sleep(for: .seconds(20))
            return (during, machine.unitIds, machine.table, machine.paths(below: "/roost/edge"))
        }
        #expect(during == ["edge", "edge.2"], "both run for a while")
        #expect(after.filter { $0.hasPrefix("edge") } == ["edge.2"])
        #expect(table.upstreams.first?.mode == .serve)
        #expect(files.contains("/roost/edge/edge.2.json") && !files.contains("/roost/edge/edge.json"))
    }
}
