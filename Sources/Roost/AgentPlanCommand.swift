import ArgumentParser
import CLI
import Host
import Logging
import Model
import Node

extension AgentCommand {
    /// `roost agent plan`: looks, and changes nothing.
    struct Plan: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Show what the agent of this machine still has to do.",
            discussion: """
                Reads what the agent keeps and looks at units, releases, routes and firewall; nothing is changed, and \
                an agent that runs is not disturbed. Give it the same --data, --edge and --edge-tls as the agent.
                """)
        @OptionGroup var shared: Shared
        @Option(help: "Public front door as HOST:PORT; without it, as the stack says.")
        var edge: SocketAddressText?
        @Option(name: .customLong("edge-tls"), help: "Front door for TLS as HOST:PORT; without it, as the stack says.")
        var edgeTLS: SocketAddressText?
        @Option(help: ArgumentHelp("Loopback address of internal proxy and DNS.", visibility: .hidden))
        var internalHost = "127.53.0.1"
        @Flag(help: "Print JSON.")
        var json = false

        func run() async throws {
            let options = try AgentOptions.forThisMachine(
                dataFolder: shared.data, edge: edge, edgeTLS: edgeTLS, internalHost: internalHost)
            var logger = Logger(label: "plan")
            logger.logLevel = .critical
            let process = try await AgentProcess.open(options, logger: logger)
            try show(try await process.plan())
        }

        private func show(_ plan: AgentPlan) throws {
            if json { return say(try plan.json().canonicalText) }
            let stack = plan.stack.map { "stack \($0), version \(plan.generation)" } ?? "no document yet"
            say("\(plan.server): \(stack)")
            for part in plan.parts {
                for step in part.steps { say("  \(part.name): \(step)") }
            }
            if plan.parts.isEmpty { say("Nothing to do.") }
        }
    }
}
