import Host
import Model
import Synchronization

/// A machine's firewall: rules are in force whole or not at all.
struct SimulatedFirewall: Firewall {
    let machine: SimulatedMachine

    func apply(_ rules: FirewallRules) async throws {
        try machine.state.withLock { state in
            if let flaw = state.firewallFlaw { throw Problem(.unavailable, flaw) }
            state.firewall = rules.isEmpty ? nil : rules
        }
    }

    func remove() async throws { machine.state.withLock { $0.firewall = nil } }

    func content() async throws -> String? {
        try machine.state.withLock { state in
            if let flaw = state.firewallFlaw { throw Problem(.unavailable, flaw) }
            return state.firewall.map { "\($0)" }
        }
    }

    func sshPorts() async throws -> [Int] { [22] }
}
