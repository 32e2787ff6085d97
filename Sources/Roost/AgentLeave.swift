import ArgumentParser
import CLI
import Glibc
import Model
import Node

extension AgentCommand {
    /// `roost agent leave`: what the agent brought to this machine goes.
    struct Leave: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Stop the agent and all that it runs here, open its firewall, and forget its hub.",
            discussion: "Repositories and logs stay below the data folder; remove it to be rid of them.")
        @OptionGroup var shared: Shared
        @Flag(name: .shortAndLong, help: "Do it. Without this nothing happens.")
        var yes = false

        func run() async throws {
            let options = try AgentOptions.forThisMachine(
                dataFolder: shared.data, edge: nil, internalHost: "127.53.0.1")
            let host = try AgentProcess.liveHost(options)
            guard access(shared.data, W_OK) == 0,
                let identity = try await Joining.identity(dataFolder: shared.data, host: host)
            else {
                throw Problem(.notFound, "There is no agent of yours in \(shared.data).")
            }
            guard yes else {
                throw Problem(
                    .invalid, "This stops every application of Roost on this machine.", hint: "To do it, add --yes.")
            }
            if geteuid() == 0 { try await Install.uninstall() }
            try await Leaving.leave(dataFolder: shared.data, host: host)
            say("This machine has left. On the hub: roost server remove \(identity.nodeName)")
        }
    }
}
