import AgentProtocol
public import Host
public import Model

/// What a kind does beyond being stored. Everything runs inside one store transaction, so it is all or nothing; no
/// behaviour performs effects there. What needs the outside world (git, a daemon) happens before, in `prepare`, or
/// after, in a worker that finds its work by looking at the stored state.
public protocol KindBehaviour: Sendable {
    /// Looks outside before the transaction, e.g. to make a key. May change the spec and state of the draft.
    func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws
    /// Looks at a changed spec before the transaction, e.g. at a certificate. Secrets may be sealed or plain; the box
    /// opens either.
    func prepareUpdate(_ spec: [String: JSONValue], of old: ResourceRecord, _ world: HubWorld) async throws
    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws
    /// Called when a caller deletes this very resource, and not one above it.
    /// - Throws: `conflict` where it goes only with what it belongs to.
    func checkDeletion(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws
    /// Called before the record is removed or marked `deleting`. Returns whether the record may go at once (true), or
    /// must stay as `deleting` until someone removes it (false).
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool
    /// Runs an action; the returned record is the answer.
    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord,
        by actor: String, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord
    /// A value shown once in the answer to a creation, e.g. a token: name → value.
    func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue]
    /// Whether the hub asks ``settle(_:_:)`` about resources that are pending or provisioning.
    var settles: Bool { get }
    /// Where a resource that is pending or provisioning has come to; nil when somebody else decides. It is asked again
    /// and again, so what it says follows from what is stored.
    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement?
    /// Whether a healthy resource that is set to `provisioning` is looked at again and becomes `active` by itself.
    func comesBack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool
    /// What a declared view of a resource shows.
    func view(
        _ name: String, of record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> JSONValue
}

/// How far the work on a resource is; each with what a person should know.
public enum Settlement: Sendable, Equatable {
    case waiting(String)
    case active(String?)
    case failed(String)
}

extension KindBehaviour {
    public func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws {}
    public func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {}
    public func prepareUpdate(_ spec: [String: JSONValue], of old: ResourceRecord, _ world: HubWorld) async throws {}
    public func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction)
        throws
    {}
    public func checkDeletion(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {}
    public func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool { true }
    public func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        throw Problem(.internalError, "\(record.kind) has no action \(action.name).")
    }
    public func revealOnce(_ record: inout ResourceRecord, _ world: HubWorld) throws -> [String: JSONValue] { [:] }
    public var settles: Bool { false }
    public func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? { nil }
    public func comesBack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        try settles && settle(record, transaction) != nil
    }
    public func view(
        _ name: String, of record: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> JSONValue {
        throw Problem(.internalError, "\(record.kind) has no view \(name).")
    }
}

/// The behaviour of a kind that is only stored.
public struct PlainBehaviour: KindBehaviour {
    public init() {}
}

/// What a behaviour may use outside a transaction.
public struct HubWorld: Sendable {
    public var git: any Git
    public var uploads: any Uploads
    public var callbacks: any CallbackSender
    public var clock: any HostClock
    public var random: any RandomSource
    public var secrets: any SecretBox
    public var certificates: any CertificateReader

    public init(
        git: any Git, uploads: any Uploads, callbacks: any CallbackSender, clock: any HostClock,
        random: any RandomSource, secrets: any SecretBox, certificates: any CertificateReader
    ) {
        self.certificates = certificates
        self.git = git
        self.uploads = uploads
        self.callbacks = callbacks
        self.clock = clock
        self.random = random
        self.secrets = secrets
    }
}

/// Encrypts secrets before they are stored.
public protocol SecretBox: Sendable {
    /// Sealed text, `sealed:…`; different each time. Sealing a sealed text returns it unchanged.
    func seal(_ plain: String) throws -> String
    /// The plain text of a sealed one; text that is not sealed is returned as it is.
    func open(_ sealed: String) throws -> String
}

/// Reads and writes of one store transaction. Synchronous: nothing outside the store may happen in the middle.
public protocol ResourceTransaction {
    /// The time of this transaction.
    var now: Timestamp { get }
    var random: any RandomSource { get }
    func get(_ kind: String, _ id: String) throws -> ResourceRecord?
    /// All of a kind, optionally below one parent, sorted by creation.
    func all(_ kind: String, parentId: String?) throws -> [ResourceRecord]
    /// All of a kind that refer to a resource in a field of their spec, sorted by creation.
    func all(_ kind: String, referringTo id: String, in field: String) throws -> [ResourceRecord]
    /// Everything that belongs to a tenant, optionally of one status, in the order of creation.
    func all(ofTenant tenantId: String, status: ResourceStatus?) throws -> [ResourceRecord]
    /// Kind → status → count of what belongs to a tenant.
    func counts(ofTenant tenantId: String) throws -> [String: [String: Int]]
    /// Id of the resource that holds a claim.
    func claimHolder(_ claim: String) throws -> String?
    /// Inserts or replaces; sets `version` and `updatedAt`. Claims are taken as the kind declares.
    /// - Throws: `conflict` when a claim is held by another resource.
    func put(_ record: ResourceRecord) throws -> ResourceRecord
    /// Removes a record and its claims.
    func remove(_ kind: String, _ id: String) throws
    /// Adds to the event timeline.
    func emit(_ event: HubEvent) throws
    /// Starts a run of a kind's workflow with this transaction, or not at all; see ``KindWorkflow``. The input is shown
    /// to operators and holds no secrets.
    /// - Returns: the id of the run.
    func startRun(of workflow: String, input: JSONValue) throws -> String
}

/// An entry of the event timeline.
public struct HubEvent: Codable, Sendable, Equatable {
    /// Given by the store; grows.
    public var id: Int64
    public var time: Timestamp
    public var kind: String
    public var nodeId: String?
    public var stackId: String?
    public var serviceId: String?
    public var deploymentId: String?
    public var message: String

    public init(
        id: Int64 = 0, time: Timestamp, kind: String, nodeId: String? = nil, stackId: String? = nil,
        serviceId: String? = nil, deploymentId: String? = nil, message: String
    ) {
        self.id = id
        self.time = time
        self.kind = kind
        self.nodeId = nodeId
        self.stackId = stackId
        self.serviceId = serviceId
        self.deploymentId = deploymentId
        self.message = message
    }
}
