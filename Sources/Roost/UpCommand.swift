import AgentProtocol
import ArgumentParser
import AsyncHTTPClient
import CLI
import Glibc
import Host
import HubAPI
import HubCore
import HubStore
import LinuxHost
import Logging
import Model
import NIOSSL
import Node
import ResourceKit
import ServiceLifecycle

/// `roost hub`: the control plane alone.
struct HubCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "hub", abstract: "Run the hub: API and dashboard.")
    @Option(help: "Folder of everything that the hub keeps.")
    var data = "/var/lib/roost"
    @Option(help: "Address of API and dashboard, HOST:PORT.")
    var listen = SocketAddressText(host: "127.0.0.1", port: 7600)
    @Option(
        help: """
            PostgreSQL to keep everything in, as a URL without a password or a file that holds a URL; ROOST_STORE says \
            the same. Without it, a SQLite file in the data folder.
            """)
    var store: String?
    @Option(help: "Certificate chain in PEM; with it the hub speaks TLS.")
    var tlsCertificate: String?
    @Option(help: "Key of the certificate in PEM.")
    var tlsKey: String?
    @Option(
        name: .customLong("public-url"),
        help: "Address by which servers and browsers reach the hub, e.g. https://hub.example.org.")
    var publicURL: String?
    @Option(
        help: """
            Where callbacks may go: internet, or everywhere, which is private networks and this machine as well. \
            Without it, everywhere for a hub that listens on loopback and has no public URL, and internet for others.
            """)
    var callbacks: CallbackChoice?
    @OptionGroup var log: LogOptions

    func validate() throws {
        if (tlsCertificate == nil) != (tlsKey == nil) {
            throw ValidationError("--tls-certificate and --tls-key go together.")
        }
        if let publicURL, !publicURL.hasPrefix("https://"), !publicURL.hasPrefix("http://") {
            throw ValidationError("--public-url must begin with https:// or http://.")
        }
    }

    func run() async throws {
        let logger = log.makeLogger("hub")
        let isLocal = publicURL == nil && listen.isLoopback
        var process = try await HubProcess.open(
            dataFolder: data, address: listen, store: store,
            callbacks: callbacks?.reach ?? (isLocal ? .everywhere : .internet), logger: logger)
        if let tlsCertificate, let tlsKey {
            process.front.tls = try .hub(certificate: tlsCertificate, key: tlsKey)
        }
        process.front.publicURL = publicURL.map { $0.hasSuffix("/") ? String($0.dropLast()) : $0 }
        let scheme = process.front.tls == nil ? "http" : "https"
        say("Dashboard: \(publicURL ?? "\(scheme)\(listen.localURL.dropFirst(4))")  (key: \(data)/admin.key)")
        try await runServices(try process.services(), logger: logger)
    }
}

/// Where callbacks may go, as the command line says it.
enum CallbackChoice: String, ExpressibleByArgument, CaseIterable {
    case internet, everywhere

    var reach: CallbackReach { self == .internet ? .internet : .everywhere }
}

/// `roost up`: hub and agent in one process, for a laptop or a single server.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Run hub and agent in one process, for a laptop or a single server.",
        discussion: "TERM and INT stop applications, edge, agent and hub, in this order.")
    @Option(help: "Folder of everything that is kept.")
    var data = UpCommand.defaultFolder
    @Option(help: "Address of API and dashboard, HOST:PORT.")
    var listen = SocketAddressText(host: "127.0.0.1", port: 7600)
    @Option(help: "Public front door of the applications, HOST:PORT.")
    var edge = SocketAddressText(host: "127.0.0.1", port: 8080)
    @Option(
        name: .customLong("edge-tls"),
        help: "Front door for TLS, HOST:PORT, bound while a site wants TLS; without it, as the stack says.")
    var edgeTLS: SocketAddressText?
    @Option(help: ArgumentHelp("Loopback address of internal proxy and DNS.", visibility: .hidden))
    var internalHost = "127.53.0.1"
    @Flag(help: "Add a sample stack of three services out of git repositories that are made for it.")
    var example = false
    @OptionGroup var log: LogOptions

    private static var defaultFolder: String {
        if geteuid() == 0 { return "/var/lib/roost" }
        return "\(getenv("HOME").map { String(cString: $0) } ?? "/tmp")/.local/share/roost"
    }

    func run() async throws {
        let logger = log.makeLogger("roost")
        let folder = absolutePath(data)
        let hub = try await HubProcess.open(
            dataFolder: folder, address: listen, callbacks: listen.isLoopback ? .everywhere : .internet, logger: logger)
        let options = try AgentOptions.forThisMachine(
            dataFolder: "\(folder)/agent", edge: edge, edgeTLS: edgeTLS, internalHost: internalHost)
        // An edge that is ours has been listening since before a crash, and goes on.
        let units = "\(folder)/agent/units"
        if try await !LiveFiles().list(units).contains(where: AgentProcess.isEdge) { try edge.checkFree("--edge") }
        let local = LocalServer(hub: hub, options: options, logger: logger)
        let sample = example ? SampleStack(hub: hub.hub, folder: "\(folder)/example", edge: edge) : nil
        let listen = listen
        let services: [any Service] =
            try hub.services(edgeAddress: edge) + [
                FunctionService { try await local.run() },
                FunctionService {
                    say("Dashboard: \(listen.localURL)  (key: \(folder)/admin.key)")
                    try await sample?.run()
                    try await Task.sleep(for: .seconds(Int32.max))
                },
            ]
        try await runServices(services, logger: logger)
    }
}

/// The agent of the machine that the hub runs on.
struct LocalServer: Sendable {
    let hub: HubProcess
    let options: AgentOptions
    let logger: Logger

    /// Joins when needed, runs the agent until cancelled, and then stops what it began.
    func run() async throws {
        try await join()
        let agent = try await AgentProcess.open(options, logger: logger)
        do {
            try await agent.run()
        } catch is CancellationError {}  // asked to end
        // The task is cancelled; stopping needs one that is not.
        try await Task.detached { try await agent.stopUnits() }.value
    }

    private func join() async throws {
        let host = try AgentProcess.liveHost(options)
        let known = try await Joining.identity(dataFolder: options.dataFolder, host: host)
        if let known, !known.nodeId.isEmpty, try await hub.hub.nodeKey(known.nodeId) != nil { return }
        if known?.nodeId.isEmpty == false {
            throw Problem(
                .conflict, "The agent in \(options.dataFolder) belongs to a server that this hub does not know.",
                hint: "Remove \(options.dataFolder)/identity.json to join it again.")
        }
        let stackId = try await hub.hub.ensureStack("default")
        let tokens = try hub.hub.declared("install-token")
        let answer = try await hub.hub.create(
            tokens, parentId: nil, body: ["stack_id": .string(stackId)], options: MutationOptions(), as: .local)
        let client = AgentProcess.makeClient()
        let outcome: Result<AgentIdentity, any Error>
        do {
            outcome = .success(
                try await Joining.join(
                    hubURL: hub.address.localURL, token: answer.body["token"]?.stringValue ?? "",
                    hubKey: hub.publicKey, hostname: "local", agentVersion: Roost.version,
                    dataFolder: options.dataFolder, host: host,
                    link: RetryingLink(HTTPHubLink(client: client, base: hub.address.localURL))))
        } catch {
            outcome = .failure(error)
        }
        try await client.shutdown()
        _ = try outcome.get()
    }
}

/// Waits for a hub that is about to listen.
private struct RetryingLink: HubLink {
    let link: HTTPHubLink
    init(_ link: HTTPHubLink) { self.link = link }

    func exchange(_ request: HubRequest) async throws -> HubReply {
        var attempts = 0
        while true {
            do {
                return try await link.exchange(request)
            } catch let problem as Problem where problem.code == .unavailable && attempts < 200 {
                attempts += 1
                try await Task.sleep(for: .milliseconds(50))
            }
        }
    }
}

extension Hub {
    func declared(_ name: String) throws -> ResourceKind {
        guard let kind = kind(name) else { throw Problem(.internalError, "There is no kind \(name).") }
        return kind
    }

    /// The stack of this name; made when there is none.
    func ensureStack(_ name: String) async throws -> String {
        let kind = try declared("stack")
        let known = try await list(kind, ListQuery(limit: 200, search: name), as: .local).items
        if let stack = known.first(where: { $0["name"]?.stringValue == name }), let id = stack["id"]?.stringValue {
            return id
        }
        // The front door is the one that the command line gives; the stack's own is for other servers.
        let answer = try await create(
            kind, parentId: nil, body: ["name": .string(name)], options: MutationOptions(), as: .local)
        return answer.body["id"]?.stringValue ?? ""
    }
}

/// Seen from where the program was started.
private func absolutePath(_ path: String) -> String {
    guard !path.hasPrefix("/"), let folder = getcwd(nil, 0) else { return path }
    defer { free(folder) }
    return "\(String(cString: folder))/\(path)"
}
