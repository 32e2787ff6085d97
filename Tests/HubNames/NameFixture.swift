import Catalog
import CertificateReading
import Host
import HubAPI
import HubCore
import HubNames
import HubStore
import LinuxHost
import Logging
import Model
import ResourceKit
import TestSupport
import Testing

/// A hub over a database in a file, and a real PowerDNS.
struct NameFixture: Sendable {
    let server: PowerDNSServer
    let store: SQLiteStore
    let hub: Hub
    private let folder: TemporaryFolder

    init(isConfigured: Bool = true) async throws {
        server = try PowerDNSServer()
        folder = TemporaryFolder()
        store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        hub = Self.hub(store)
        if isConfigured { try await configure() }
    }

    static func hub(_ store: any Store) -> Hub {
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let world = HubWorld(
            git: LiveGit(dataFolder: "/nowhere"), uploads: SimulatedUploads(), callbacks: HTTPCallbackSender(),
            clock: LiveClock(), random: LiveRandom(),
            secrets: FileSecretBox(key: [UInt8](repeating: 9, count: 32), random: LiveRandom()),
            certificates: PEMCertificateReader())
        return Hub(
            store: store, world: world, kinds: Catalog.kinds, logger: logger)
    }

    func configure() async throws {
        _ = try await hub.update(
            try kind("platform-config"), id: "platform-config",
            body: [
                "dns_api_url": .string(server.url), "dns_api_key": .string(PowerDNSServer.key),
                "primary_ns": "ns1.provider.example", "secondary_ns": "ns2.provider.example.",
                "base_domain": "provider.example",
            ], as: .local)
    }

    func kind(_ name: String) throws -> ResourceKind { try #require(Catalog.kind(named: name)) }

    /// Creates a resource that must be accepted; answers its id.
    @discardableResult
    func make(_ kindName: String, below parent: String? = nil, _ body: JSONValue) async throws -> String {
        let answer = try await hub.create(try kind(kindName), parentId: parent, body: body, as: .local)
        return try #require(answer.body["id"]?.stringValue)
    }

    func read(_ kindName: String, _ id: String) async throws -> JSONValue {
        try await hub.read(try kind(kindName), id: id, as: .local)
    }

    func all(_ kindName: String, below parent: String? = nil) async throws -> [ResourceRecord] {
        try await store.read { try $0.all(kindName, parentId: parent) }
    }

    /// Waits until a resource has a status; answers it. Fails after a long time.
    @discardableResult
    func wait(_ kindName: String, _ id: String, _ status: String) async throws -> JSONValue {
        var last: JSONValue = .null
        for _ in 0..<1200 {
            last = try await read(kindName, id)
            if last["status"]?.stringValue == status { return last }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("\(kindName) is not \(status): \(last.canonicalText)")
        return last
    }

    /// Waits until something holds. Fails after a long time.
    func wait(_ what: String, until holds: () async throws -> Bool) async throws {
        for _ in 0..<1200 {
            if try await holds() { return }
            try await Task.sleep(for: .milliseconds(25))
        }
        Issue.record("it never happens that \(what)")
    }

    /// Runs the body while the worker works.
    func working(
        lookInterval: Duration = .seconds(300), _ body: () async throws -> Void
    ) async throws {
        let service = NameService(hub: hub, lookInterval: lookInterval)
        let task = Task { await service.run() }
        defer { task.cancel() }
        try await body()
    }

    /// A tenant on a cluster with two load balancer addresses.
    func tenant(_ addresses: [String] = ["192.0.2.10", "2001:db8::10"]) async throws -> (id: String, cluster: String) {
        let brand = try await make(
            "brand",
            [
                "name": "acme", "base_hostname": "acme.example", "primary_ns": "ns1.acme.example",
                "secondary_ns": "ns2.acme.example", "hostmaster_email": "dns.master@acme.example",
            ])
        let region = try await make("region", ["name": "eu"])
        let cluster = try await make("cluster", below: region, ["name": "eu-a"])
        let shard = try await make("shard", below: cluster, ["name": "web", "role": "web"])
        for address in addresses { try await make("lb-address", below: cluster, ["address": .string(address)]) }
        let tenant = try await make(
            "tenant",
            [
                "brand_id": .string(brand), "region_id": .string(region), "cluster_id": .string(cluster),
                "shard_id": .string(shard),
            ])
        return (tenant, cluster)
    }
}
