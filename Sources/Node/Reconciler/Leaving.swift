public import Host
import Model

/// Undoes what an agent did to its machine.
public enum Leaving {
    /// Stops every application and the edge, takes names and firewall back, removes the accounts and releases of
    /// services and the certificates of sites, and forgets the hub. The agent itself must not run any more: it would
    /// start again what is stopped.
    ///
    /// The identity goes last, so that what was interrupted can be done once more. Logs and repositories stay.
    public static func leave(dataFolder: String, host: Host) async throws {
        let paths = AgentPaths(root: dataFolder)
        let units = try await host.supervisor.list().map(\.id)
        // Routes end with the edge, and not before what they lead to: whoever asks meanwhile gets an answer or none.
        for unit in units.filter({ EdgeUnit($0) == nil }) + units.filter({ EdgeUnit($0) != nil }) {
            try await host.effect("leave.stop") { try await host.supervisor.stop(unit) }
        }
        try await host.effect("leave.names") { try await host.names.remove() }
        try await openFirewall(host)
        for name in try await host.files.list(paths.services) {
            let memory = try await JSONFile.read(ServiceMemory.self, paths.service(name).memory, host.files)
            if let account = memory?.account {
                try await host.effect("leave.account") { try await host.accounts.remove(account) }
            }
            let root = paths.service(name).root
            try await host.effect("leave.service") { try await host.files.remove(root) }
        }
        let folders = ["\(paths.root)/edge", paths.certificates, paths.challenges]
        for folder in folders { try await host.effect("leave.edge") { try await host.files.remove(folder) } }
        for path in [paths.firewall, paths.outbox, paths.desired, paths.identity] {
            try await host.effect("leave.forget") { try await host.files.remove(path) }
        }
    }

    /// Takes the rules back; fine where there can be none.
    public static func openFirewall(_ host: Host) async throws {
        do {
            guard try await host.firewall.content() != nil else { return }
        } catch let problem as Problem where problem.code == .unavailable {
            return
        }
        try await host.effect("leave.firewall") { try await host.firewall.remove() }
    }
}
