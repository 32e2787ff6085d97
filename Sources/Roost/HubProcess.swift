import AgentProtocol
import Catalog
import CertificateReading
import Dashboard
import Glibc
import Host
import HubAPI
import HubCore
import HubNames
import HubStore
import Hummingbird
import LinuxHost
import Logging
import Model
import NIOSSL
import ResourceKit
import ServiceLifecycle

/// The hub as it runs: store, keys and server in one data folder.
struct HubProcess: Sendable {
    let hub: Hub
    /// Names this hub in leases.
    let name: String
    let publicKey: String
    let address: SocketAddressText
    let logger: Logger
    /// How the hub is reached from outside.
    var front = HubFront()

    /// Opens or makes everything below `DIR/hub`, and `DIR/admin.key` when there is none.
    ///
    /// - Parameters:
    ///   - store: a PostgreSQL URL, or a file that holds one; else `ROOST_STORE` says, else it is SQLite.
    ///   - callbacks: which machines callbacks may reach.
    static func open(
        dataFolder: String, address: SocketAddressText, store choice: String? = nil,
        callbacks: CallbackReach = .everywhere, logger: Logger
    ) async throws -> HubProcess {
        let clock = LiveClock()
        let random = LiveRandom()
        let folder = "\(dataFolder)/hub"
        try await LiveFiles().makeFolder(dataFolder, mode: 0o755)
        try await LiveFiles().makeFolder(folder, mode: 0o700)
        try await FolderLock.take(folder, what: "hub")
        try address.checkFree("--listen")
        let place = try StoreChoice(
            option: choice, environment: getenv("ROOST_STORE").map { String(cString: $0) },
            sqlitePath: "\(folder)/roost.db")
        if case .postgres(let address) = place { logger.info("the store is \(address)") }
        let store = try place.open(kinds: Catalog.kinds, clock: clock, random: random)
        let world = HubWorld(
            git: LiveGit(dataFolder: folder), uploads: UploadFolder(folder: "\(folder)/uploads"),
            callbacks: HTTPCallbackSender(reach: callbacks), clock: clock,
            random: random,
            secrets: try FileSecretBox(keyFile: "\(folder)/master.key", random: random),
            certificates: PEMCertificateReader())
        let hub = Hub(store: store, world: world, kinds: Catalog.kinds, logger: logger)
        let name = try Self.name(in: folder, random)
        hub.openWorkflows(journal: store, name: name)
        let publicKey = try await hub.ensureSigningKey()
        try await hub.ensureAdministratorKey(writeTo: "\(dataFolder)/admin.key")
        return HubProcess(hub: hub, name: name, publicKey: publicKey, address: address, logger: logger)
    }
}

extension HubProcess {
    /// Server, upkeep and fleet work, in the order in which they start.
    func services(edgeAddress: SocketAddressText? = nil) throws -> [any Service] {
        let router = Router(context: HubRequestContext.self)
        try addDashboard(
            to: router, hub: hub,
            configuration: DashboardConfiguration(
                isTLS: front.tls != nil || front.publicURL?.hasPrefix("https://") == true,
                publicURL: front.publicURL, edgeAddress: edgeAddress?.description,
                joinCommand: { hub, token in InstallLine.text(hubURL: hub, token: token) }),
            address: { $1.remoteAddress?.ipAddress ?? "unknown" })
        let api = HubAPI(
            hub: hub,
            options: .init(
                publicURL: front.publicURL, isTLS: front.tls != nil, executablePath: try FilePaths.ownProgram(),
                hubPublicKey: publicKey),
            logger: logger)
        var quiet = logger
        quiet.logLevel = max(logger.logLevel, .notice)
        let server = HubServer(
            api: api, router: router, host: address.host, port: address.port, logger: quiet,
            tls: front.tls)
        let (hub, name) = (hub, name)
        return [
            FunctionService { await hub.runUpkeep() }, FunctionService { await hub.runCallbacks() },
            FunctionService { await hub.runFleet() }, FunctionService { await hub.runSettling() },
            FunctionService { await hub.runWorkflows() },
            FunctionService { await NameService(hub: hub, holder: name).run() },
            FunctionService { try await server.run() },
        ]
    }
}

extension HubProcess {
    /// The name of this hub in leases: made once for its folder, so that after a restart it takes up its own runs at
    /// once. Not the machine's name alone, which several containers may share.
    private static func name(in folder: String, _ random: any RandomSource) throws -> String {
        let path = "\(folder)/name"
        if let kept = try SecretFile.read(path)?.prefix(while: { !$0.isNewline }), !kept.isEmpty {
            return String(kept.prefix(100))
        }
        var host = [CChar](repeating: 0, count: 65)
        let isNamed = gethostname(&host, 64) == 0
        let words =
            isNamed ? String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self) : "hub"
        let name = "\(words.isEmpty ? "hub" : words)-\(random.hex(4))"
        try SecretFile.write(path, name + "\n")
        return name
    }
}

/// What browsers and servers see of a hub.
struct HubFront: Sendable {
    /// Certificate and key of the hub itself; nil for plain HTTP.
    var tls: TLSConfiguration?
    /// `https://hub.example.org`; nil for what a request says.
    var publicURL: String?
}
