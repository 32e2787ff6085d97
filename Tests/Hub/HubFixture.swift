import AgentProtocol
import CertificateReading
import Glibc
import Host
import HubAPI
import HubCore
import HubStore
import LinuxHost
import Logging
import Model
import ResourceKit
import TestSupport
import Testing

/// A git whose every reference is at one commit.
struct OneCommitGit: Git {
    static let commit = String(repeating: "c0", count: 20)
    func resolve(url: String, ref: String?, credentials: GitCredentials, timeout: Duration) async throws -> String {
        Self.commit
    }
    func fetch(url: String, commit: String, cache: String, credentials: GitCredentials, timeout: Duration) async throws
    {}
    func checkout(cache: String, commit: String, to folder: String, timeout: Duration) async throws {}
    func submodules(url: String, commit: String, cache: String, timeout: Duration) async throws -> [GitSubmodule] { [] }
    func hasPointers(commit: String, cache: String, timeout: Duration) async throws -> Bool { false }
    func prune(cache: String) async throws {}
}

/// A hub over a database in memory, with time in our hands.
struct HubFixture: Sendable {
    let clock = ManualClock()
    let hub: Hub
    let store: SQLiteStore
    static let box = FileSecretBox(key: [UInt8](repeating: 9, count: 32), random: LiveRandom())

    init(kinds: [ResourceKind] = TestKinds.all) throws {
        store = try SQLiteStore(inMemory: kinds, clock: clock, random: LiveRandom())
        hub = Self.hub(store, kinds, clock)
    }

    static func hub(
        _ store: any Store, _ kinds: [ResourceKind], _ clock: any HostClock, logger given: Logger? = nil
    ) -> Hub {
        var logger = given ?? Logger(label: "test")
        if given == nil { logger.logLevel = .critical }
        let world = HubWorld(
            git: OneCommitGit(), uploads: SimulatedUploads(), callbacks: HTTPCallbackSender(), clock: clock,
            random: LiveRandom(), secrets: box, certificates: PEMCertificateReader())
        return Hub(store: store, world: world, kinds: kinds, logger: logger)
    }

    func kind(_ name: String) throws -> ResourceKind { try #require(hub.kind(name)) }

    /// Creates a resource that must be accepted; answers its id.
    @discardableResult
    func make(
        _ kindName: String, below parent: String? = nil, _ body: JSONValue, as principal: Principal = .local
    ) async throws -> String {
        let answer = try await hub.create(try kind(kindName), parentId: parent, body: body, as: principal)
        return try #require(answer.body["id"]?.stringValue)
    }
}

extension Principal {
    static func scoped(_ scopes: String..., brands: [String]? = nil) -> Principal {
        Principal(
            name: "key:test", scopes: Set(scopes), brands: brands.map { .only($0) } ?? .all, address: "192.0.2.1")
    }
}
