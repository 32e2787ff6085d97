import AgentProtocol
import ArgumentParser
import AsyncHTTPClient
import CLI
import Glibc
import Host
import LinuxHost
import Logging
import Model
import Node
import ServiceLifecycle

/// `roost agent …`.
struct AgentCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "agent", abstract: "The server agent: run it, or join a hub.",
        subcommands: [Run.self, Plan.self, Join.self, Install.self, Leave.self], defaultSubcommand: Run.self)

    struct Shared: ParsableArguments {
        @Option(help: "Folder of everything that the agent keeps.")
        var data = "/var/lib/roost/agent"
    }

    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Run the agent of this machine. It ends on TERM and INT; applications and edge go on.")
        @OptionGroup var shared: Shared
        @Option(help: "Public front door as HOST:PORT; without it, as the stack says.")
        var edge: SocketAddressText?
        @Option(
            name: .customLong("edge-tls"),
            help: "Front door for TLS as HOST:PORT, bound while a site wants TLS; without it, as the stack says.")
        var edgeTLS: SocketAddressText?
        @Option(help: ArgumentHelp("Loopback address of internal proxy and DNS.", visibility: .hidden))
        var internalHost = "127.53.0.1"
        @Option(
            help: ArgumentHelp(
                "Resolver, ADDRESS:PORT, that the DNS responder asks for names outside its zone; may be repeated.",
                valueName: "address"))
        var dnsResolver: [String] = []
        @OptionGroup var log: LogOptions

        func run() async throws {
            let logger = log.makeLogger("agent")
            var options = try AgentOptions.forThisMachine(
                dataFolder: shared.data, edge: edge, edgeTLS: edgeTLS, internalHost: internalHost)
            if !dnsResolver.isEmpty { options.dnsResolvers = dnsResolver }
            let agent = try await AgentProcess.open(options, logger: logger)
            logger.info(
                "agent runs", metadata: ["server": "\(agent.identity.nodeName)", "hub": "\(agent.identity.hubUrl)"])
            try await runServices([FunctionService { try await agent.run() }], logger: logger)
        }
    }

    struct Join: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Join a hub with an install token. The token is read from standard input or ROOST_TOKEN.")
        @Argument(help: "Address of the hub, e.g. https://hub.example.org:7600.")
        var hub: String
        @Option(help: "Public key of the hub, as the install line gives it.")
        var hubKey: String?
        @OptionGroup var shared: Shared

        func run() async throws {
            let token = getenv("ROOST_TOKEN").map { String(cString: $0) } ?? readLine(strippingNewline: true) ?? ""
            let options = try AgentOptions.forThisMachine(
                dataFolder: shared.data, edge: nil, internalHost: "127.53.0.1")
            let host = try AgentProcess.liveHost(options)
            try await host.files.makeFolder(shared.data, mode: 0o755)
            let client = AgentProcess.makeClient()
            let outcome: Result<AgentIdentity, any Error>
            do {
                outcome = .success(
                    try await Joining.join(
                        hubURL: hub, token: token.filter { !$0.isWhitespace }, hubKey: hubKey,
                        hostname: try await host.facts.machine().hostname, agentVersion: Roost.version,
                        dataFolder: shared.data, host: host, link: HTTPHubLink(client: client, base: hub)))
            } catch {
                outcome = .failure(error)
            }
            try await client.shutdown()
            say("This machine is now the server \(try outcome.get().nodeName). Its agent starts with: roost agent run")
        }
    }
}
