import AgentProtocol
import Host
import Logging
import Model

/// The machine's firewall, as part of the agent's work.
extension Agent {
    /// How often the rules in force are compared with those that should be.
    private static let firewallPause: Duration = .seconds(10)

    /// Until the hub has said what should be, whatever holds goes on to hold.
    func keepFirewall() async {
        guard let document = await keeper.current else { return }
        let tell: @Sendable (String) async throws -> Void = { [outbox] in try await outbox.add("security", $0) }
        do {
            let wish = try await firewallRules(document)
            let before = await (firewall.mode, firewall.problem)
            await firewall.keep(wish, tell: tell)
            if await (firewall.mode, firewall.problem) != before { changed.notify() }
        } catch {
            let problem = Problem(wrapping: error, doing: "Reading what the firewall should be")
            await firewall.refuse(document.securityMode, problem, tell: tell)
        }
    }

    func firewallRules(_ document: DesiredState) async throws -> FirewallRules {
        let listeners = edgeListeners(document)
        return try FirewallRules(
            document, sshPorts: try await host.firewall.sshPorts(),
            publicPorts: listeners.addresses.compactMap(FirewallRules.reachablePort), hubUrl: identity.hubUrl)
    }

    func watchFirewall() async {
        while !Task.isCancelled {
            await firewallChanged.wait(atMost: Self.firewallPause, host.clock)
            await keepFirewall()
        }
    }

    func securityReport() async throws -> SecurityReport {
        SecurityReport(
            mode: await firewall.mode, problem: await firewall.problem,
            exposure: try await host.facts.listeningPorts())
    }
}
