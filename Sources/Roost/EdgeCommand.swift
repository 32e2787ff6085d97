import AgentProtocol
import ArgumentParser
import CLI
import Edge
import LinuxHost
import Logging
import Model
import ServiceLifecycle

/// `roost edge`: the data plane, a process of its own so that the agent can die without a request failing.
struct EdgeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "edge", abstract: "The reverse proxy and DNS responder of this machine; the agent starts it.",
        shouldDisplay: false)

    @Option(help: "File with its listeners.")
    var config: String
    @OptionGroup var log: LogOptions

    func run() async throws {
        guard let bytes = try await LiveFiles().read(config, bytesMax: 65_536) else {
            throw Problem(.notFound, "There is no file \(config).")
        }
        let listeners = try WireCoding.decode(EdgeListeners.self, from: try JSONParser.parse(bytes))
        let logger = log.makeLogger("edge")
        let server = EdgeServer(listeners: listeners, logger: logger)
        try await runServices([FunctionService { try await server.run() }], logger: logger)
    }
}
