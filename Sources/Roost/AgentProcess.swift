import AgentProtocol
import AsyncHTTPClient
import Certificates
import Edge
import Glibc
import Host
import LinuxHost
import Logging
import Model
import NIOCore
import Node

/// The agent as it runs: the live host, the way to its hub, and one agent on a data folder.
struct AgentProcess: Sendable {
    let options: AgentOptions
    let host: Host
    let identity: AgentIdentity
    let client: HTTPClient
    let transports = HTTPACMETransports()
    let logger: Logger

    /// - Throws: `not_found` when this machine has not joined a hub.
    static func open(_ options: AgentOptions, logger: Logger) async throws -> AgentProcess {
        let host = try liveHost(options)
        guard let identity = try await Joining.identity(dataFolder: options.dataFolder, host: host),
            !identity.nodeId.isEmpty
        else {
            throw Problem(
                .notFound, "This machine has not joined a hub.",
                hint: "On the hub, run `roost server add`, and run the line that it prints here.")
        }
        return AgentProcess(
            options: options, host: host, identity: identity, client: makeClient(), logger: logger)
    }

    static func liveHost(_ options: AgentOptions) throws -> Host {
        Host(
            files: LiveFiles(), git: LiveGit(dataFolder: options.dataFolder), archives: LiveArchives(),
            supervisor: liveSupervisor(root: options.dataFolder, binary: options.program),
            edge: EdgeControlClient(socket: AgentPaths(root: options.dataFolder).edgeSocket),
            accounts: LiveAccounts(), names: LiveNames(), firewall: LiveFirewall(), probes: LiveProbes(),
            facts: LiveFacts(dataFolder: options.dataFolder), clock: LiveClock(), random: LiveRandom(),
            effects: FaultGate.fromEnvironment(), containers: LiveContainers())
    }

    static func makeClient() -> HTTPClient {
        var configuration = HTTPClient.Configuration()
        configuration.timeout.connect = .seconds(5)
        configuration.connectionPool.idleTimeout = .seconds(50)
        return HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    /// Runs until cancelled. Applications and edge go on.
    func run() async throws {
        do {
            try await FolderLock.take(options.dataFolder, what: "agent")
            try await agent(host).run()
        } catch {
            try await shutDown()
            throw error
        }
        try await shutDown()
    }

    private func shutDown() async throws {
        try await client.shutdown()
        try await transports.shutdown()
    }

    private func agent(_ host: Host) -> Agent {
        // A program that the operator has put there; see docs/edge.md.
        let hook = "\(options.dataFolder)/dns-hook"
        let dns = CommandDNSChallenges(argv: [hook], commands: LiveCommands())
        return Agent(
            options: options, identity: identity, host: host,
            link: HTTPHubLink(client: client, base: identity.hubUrl),
            authorities: AuthorityAccess(transports: transports, dns: dns), logger: logger)
    }

    /// What the agent still has to do; changes nothing.
    func plan() async throws -> AgentPlan {
        var host = host
        host.effects = LookOnlyGate()
        let agent = agent(host)
        let outcome: Result<AgentPlan, any Error>
        do {
            outcome = .success(try await agent.plan())
        } catch {
            outcome = .failure(error)
        }
        try await shutDown()
        return try outcome.get()
    }

    static func isEdge(_ unit: String) -> Bool { unit == "edge" || unit.hasPrefix("edge.") }

    /// Stops every application and then the edge; for `roost up`, which ends with all that it began.
    func stopUnits() async throws {
        let units = try await host.supervisor.list().map(\.id)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for unit in units where !Self.isEdge(unit) { group.addTask { try await host.supervisor.stop(unit) } }
            try await group.waitForAll()
        }
        for unit in units where Self.isEdge(unit) { try await host.supervisor.stop(unit) }
        try await host.names.remove()
        try await Leaving.openFirewall(host)
    }
}

extension AgentOptions {
    /// Options with what this machine allows: low ports need root.
    static func forThisMachine(
        dataFolder: String, edge: SocketAddressText?, edgeTLS: SocketAddressText? = nil, internalHost: String
    ) throws -> AgentOptions {
        let isRoot = geteuid() == 0
        return AgentOptions(
            dataFolder: dataFolder, program: try FilePaths.ownProgram(), edgeAddress: edge?.description,
            edgeTLSAddress: edgeTLS?.description, internalHost: internalHost, internalPort: isRoot ? 80 : 8053,
            dnsPort: isRoot ? 53 : 8054,
            agentVersion: Roost.version)
    }
}
