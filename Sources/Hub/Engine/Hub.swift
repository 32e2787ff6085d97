import Crypto
public import HubStore
public import Logging
public import ResourceKit
import Synchronization

/// The control plane: every rule that holds for resources, over a store and the declared kinds. API, dashboard and
/// agents' endpoints stand on it; nothing but it writes to the store.
public final class Hub: Sendable {
    public let store: any Store
    public let world: HubWorld
    /// In the order of the catalogue.
    public let kinds: [ResourceKind]
    public let logger: Logger
    /// What was committed, as it happens.
    public let changes = ChangeFeed()

    let kindsByName: [String: ResourceKind]
    let loginLimits = LoginLimits()
    let requestLimits = RequestLimits()
    let passwords = PasswordHashing()
    let keyUse = KeyUse()
    let documents = DocumentCache()
    /// Stacks whose statuses must be looked at again; a hub that starts looks at all of them.
    let dirtyStacks = MarkedIds()
    let contacts = NodeContacts()
    let gate = SignedRequestGate(pause: .milliseconds(50))
    /// Nobody waits for the answer to a heartbeat, so that many share a look at the store.
    let heartbeatGate = SignedRequestGate(pause: .milliseconds(250))
    let nodeKeys = NodeKeys()
    let sessions = AgentSessions()
    /// What the hub's half of a session is signed with, once it was read.
    let sessionKey = Mutex<Curve25519.Signing.PrivateKey?>(nil)
    /// Servers whose last sign of life is to be written.
    let dueNodes = MarkedIds()
    let workflows = OpenedWorkflows()

    public init(store: any Store, world: HubWorld, kinds: [ResourceKind], logger: Logger) {
        self.store = store
        self.world = world
        self.kinds = kinds
        self.logger = logger
        kindsByName = Dictionary(uniqueKeysWithValues: kinds.map { ($0.name, $0) })
    }

    /// The declared kind of this name.
    public func kind(_ name: String) -> ResourceKind? { kindsByName[name] }

    /// Reads one snapshot of the store.
    /// - Throws: `storage_failed`; whatever `body` throws.
    public func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try await store.read(body)
    }

    /// Runs a transaction and then tells ``changes`` what it changed.
    /// - Throws: `storage_failed`; whatever `body` throws.
    public func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        let (result, published) = try await store.write { transaction in
            let recording = RecordingTransaction(transaction)
            let result = try body(recording)
            try transaction.announce(recording.published)
            return (result, recording.published)
        }
        changes.publish(published)
        return result
    }
}
