import Host
import Model
import Node
import TestSupport
import Testing

/// The security mode of a stack on its servers.
@Suite struct FirewallTests {
    private static func live<Result: Sendable>(
        _ body: @escaping @Sendable (World, SimulatedMachine, String) async throws -> Result
    ) async throws -> Result {
        try await Simulation.withServer(seed: 11) { world, machine, stack in
            try await world.clock.sleep(for: .seconds(5))
            return try await body(world, machine, stack)
        }
    }

    @Test func `a mode is put in force, put back after drift, and taken away again`() async throws {
        let (rules, node, events) = try await Self.live { world, machine, stack in
            var rules = [machine.firewall]
            try await world.updateStack(stack, ["security_mode": "daemon-port", "ssh_allow": ["192.0.2.0/24"]])
            try await world.clock.sleep(for: .seconds(5))
            rules.append(machine.firewall)
            machine.drift()
            try await world.clock.sleep(for: .seconds(15))
            rules.append(machine.firewall)
            try await world.clock.sleep(for: .seconds(30))
            let node = try await world.nodes()[0]
            try await world.updateStack(stack, ["security_mode": "open", "ssh_allow": []])
            try await world.clock.sleep(for: .seconds(5))
            rules.append(machine.firewall)
            return (rules, node, try await world.events(ofKind: "security"))
        }
        let wanted = FirewallRules(mode: .daemonPort, sshAllow: ["192.0.2.0/24"], sshPorts: [22], publicPorts: [80])
        #expect(rules == [nil, wanted, wanted, nil])
        #expect(node["security_mode"] == "daemon-port")
        #expect(node["exposure"]?.arrayValue?.first?["port"] == 80)
        #expect(
            events == [
                "Security mode daemon-port is in force: open are SSH from 192.0.2.0/24, and the ports 80.",
                "The firewall rules of the server had been changed; they were put back.",
                "Security mode open is in force: Roost closes no port.",
            ])
    }

    @Test func `blocked without networks is said to be what it is`() async throws {
        let (rules, events) = try await Self.live { world, machine, stack in
            try await world.updateStack(stack, ["security_mode": "blocked"])
            try await world.clock.sleep(for: .seconds(5))
            return (machine.firewall, try await world.events(ofKind: "security"))
        }
        #expect(rules == FirewallRules(mode: .blocked))
        #expect(events.count == 1 && events[0].hasPrefix("Warning:"))
    }

    @Test func `a server without a firewall is named by its stack until it has one`() async throws {
        let (broken, healed) = try await Self.live { world, machine, stack in
            machine.breakFirewall("nft is not installed")
            try await world.updateStack(stack, ["security_mode": "blocked"])
            try await world.clock.sleep(for: .seconds(40))
            let broken = (try await world.show("stack", stack), try await world.nodes()[0])
            machine.breakFirewall(nil)
            try await world.clock.sleep(for: .seconds(40))
            return (broken, (try await world.show("stack", stack), try await world.nodes()[0]))
        }
        #expect(broken.0["status"] == "active")
        #expect(
            broken.0["status_message"] == "Security mode blocked is not enforced on node-1: nft is not installed.")
        #expect(broken.1["security_mode"] == "open")
        #expect(broken.1["security_problem"] == "nft is not installed")
        #expect(healed.0["status_message"] ?? .null == .null)
        #expect(healed.1["security_mode"] == "blocked")
    }

    @Test func `a machine that leaves is as it was before`() async throws {
        let (machine, isJoined) = try await Self.live { world, machine, stack in
            world.source.push(Simulation.url, commit: String(repeating: "a", count: 40), SimulatedApplication())
            _ = try await world.createService("web", stackId: stack, url: Simulation.url)
            try await world.updateStack(stack, ["security_mode": "blocked"])
            try await world.clock.sleep(for: .seconds(20))
            #expect(machine.unitIds.count == 2 && machine.firewall != nil && !machine.accounts.isEmpty)
            await world.stopAgent(machine)
            let host = machine.host(gate: OpenGate())
            try await Leaving.leave(dataFolder: "/roost", host: host)
            return (machine, try await Joining.identity(dataFolder: "/roost", host: host) != nil)
        }
        #expect(machine.unitIds == [] && machine.firewall == nil && machine.accounts == [] && machine.files == [])
        #expect(!isJoined)
    }

    @Test func `a restarted agent closes its machine again without its hub`() async throws {
        let (rules, events) = try await Self.live { world, machine, stack in
            try await world.updateStack(stack, ["security_mode": "blocked"])
            try await world.clock.sleep(for: .seconds(5))
            world.killHub()
            world.killAgent(machine)
            // As after a reboot: nothing is left of the rules.
            machine.drift()
            try await world.clock.sleep(for: .milliseconds(1_200))
            let rules = machine.firewall
            try await world.clock.sleep(for: .seconds(30))
            return (rules, try await world.events(ofKind: "security"))
        }
        #expect(rules == FirewallRules(mode: .blocked))
        #expect(events.count == 1, "nobody had changed them: \(events)")
    }
}
