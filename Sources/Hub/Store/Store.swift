public import Model
public import ResourceKit
public import Workflow

/// Where the hub keeps everything. SQLite today; every method is asynchronous so that a database across a network can
/// stand behind it without touching callers.
public protocol Store: Sendable {
    /// Reads one consistent snapshot.
    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result

    /// Runs a transaction: all of it or nothing. When it returns, a power cut cannot lose it. Concurrent writes may
    /// share one commit, so a body may run again and must have no effect outside the transaction.
    /// - Throws: `storage_failed` when the database is read-only, full or broken; whatever `body` throws.
    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result

    /// What other hubs on the same store commit from now on; nil for a store that no other hub can use.
    /// - Throws: `unavailable` when the system has no threads left.
    func announcements() throws(Problem) -> AsyncStream<[HubChange]>?

    /// Whether other hubs may work on the same store.
    var isShared: Bool { get }

    func close() async throws
}

extension Store {
    public var isShared: Bool { false }
    public func announcements() throws(Problem) -> AsyncStream<[HubChange]>? { nil }
}

/// One transaction. Not to be kept beyond the body that received it.
public protocol StoreTransaction: ResourceTransaction {
    /// One page of a kind, as the list endpoints answer it.
    func page(_ kind: ResourceKind, _ query: ListQuery) throws -> RecordPage
    /// Resources of any of these kinds whose id or searched fields contain the text, ignoring case.
    func search(_ query: SearchQuery) throws -> RecordPage
    /// The statuses of those of the resources that there are, by id.
    func statuses(_ kind: String, _ ids: [String]) throws -> [String: ResourceStatus]
    /// Kind → status → count.
    func counts() throws -> [String: [String: Int]]
    /// Id of the first resource of a kind whose field holds this id and that is not being deleted.
    func firstUser(_ kind: ResourceKind, field: String, id: String) throws -> String?

    /// Replaces the state of a resource, and neither its revision nor its time: for what is only noted of it, and is in
    /// no text that search looks into. Nothing happens when there is no such resource.
    func note(_ state: [String: JSONValue], of kind: String, _ id: String) throws

    /// Starts a run of a workflow with this transaction, or not at all; nothing happens when there is one with its id.
    func startWorkflow(_ run: NewRun) throws
    /// Tells other hubs on the same store, once this is committed.
    func announce(_ changes: [HubChange]) throws

    /// Small values under a space and a key: sessions, nonces, receipts, heartbeats, idempotency keys.
    func cell(_ space: String, _ key: String) throws -> JSONValue?
    /// All cells of a space, sorted by key.
    func cells(_ space: String) throws -> [(key: String, value: JSONValue)]
    func putCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws
    /// Stores the cell unless it exists; returns whether it did. The test for "never seen before".
    func insertCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws -> Bool
    /// Stores a cell without a value for each key that has none yet; returns those keys. No key may be there twice.
    func insertCells(_ space: String, _ keys: [String], expires: Timestamp) throws -> Set<String>
    func removeCell(_ space: String, _ key: String) throws
    /// Removes what has expired; returns how many.
    func removeExpiredCells() throws -> Int

    func events(_ filter: EventFilter) throws -> [HubEvent]
    /// Removes events older than this; returns how many.
    func removeEvents(before: Timestamp) throws -> Int

    func appendAudit(_ entry: AuditEntry) throws
    func audit(_ filter: AuditFilter) throws -> [AuditEntry]
    /// Entries after an id with their hashes, oldest first; for export.
    func auditChain(after id: Int64, limit: Int) throws -> [(entry: AuditEntry, hash: String)]
    /// Removes entries older than this, but for the newest; what is left is verified from there on. Returns how many.
    func removeAudit(before: Timestamp) throws -> Int
    /// Id of the first entry that was changed or removed after it was written; nil when the log is whole.
    func firstBrokenAudit() throws -> Int64?

    /// Adds text to a log, whose lines were written at this time. Text before the stored end is dropped, a gap is
    /// marked in the text; beyond `bytesMax` the oldest text goes.
    func appendLog(_ log: LogName, offset: Int64, text: String, time: Timestamp, bytesMax: Int) throws
    /// Text from `offset` (in bytes of the stream), and where it ends.
    func log(_ log: LogName, from offset: Int64, bytesMax: Int) throws -> LogText
    func removeLog(_ log: LogName) throws
    /// The logs that there are of a deployment or service: one a node.
    func logNames(source: String, id: String) throws -> [LogName]
    /// Lines of all logs that match.
    func logLines(_ filter: LogFilter) throws -> LogPage
    /// Removes what was written before a time, what is beyond a size (the oldest first, so much at once as a
    /// transaction should hold), and the logs of resources that are gone. Returns how many bytes went.
    func removeLogs(before: Timestamp, bytesMax: Int64) throws -> Int64
}

/// Which brands a caller may see.
public enum BrandFilter: Sendable, Equatable {
    case all
    case only([String])
}

/// Which records of a kind, in which order, and how many.
public struct ListQuery: Sendable, Equatable {
    public var parentId: String?
    public var limit: Int
    public var cursor: String?
    public var search: String?
    public var status: String?
    /// Only those that refer to these resources: field → id.
    public var references: [String: String] = [:]
    /// `created_at` (default), `updated_at`, `id`, `status`, or a field of the kind.
    public var sort: String
    public var descending: Bool
    public var brands: BrandFilter

    public init(
        parentId: String? = nil, limit: Int = 50, cursor: String? = nil, search: String? = nil, status: String? = nil,
        sort: String = "created_at", descending: Bool = false, brands: BrandFilter = .all
    ) {
        self.parentId = parentId
        self.limit = limit
        self.cursor = cursor
        self.search = search
        self.status = status
        self.sort = sort
        self.descending = descending
        self.brands = brands
    }
}

extension ListQuery {
    /// Fields whose ids a list of this kind can be asked for: the parent's, and those that refer to others.
    public static func references(of kind: ResourceKind) -> [String] {
        let declared = SQLSorting.referenceFields(of: kind)
        let parent = kind.parent.map { [$0.field] } ?? []
        return parent.filter { !declared.contains($0) } + declared
    }
}

/// What is looked for across kinds.
public struct SearchQuery: Sendable {
    public var text: String
    public var kinds: [ResourceKind]
    public var brands: BrandFilter
    public var limit: Int
    public var cursor: String?

    public init(
        _ text: String, kinds: [ResourceKind], brands: BrandFilter = .all, limit: Int = 50, cursor: String? = nil
    ) {
        self.text = text
        self.kinds = kinds
        self.brands = brands
        self.limit = limit
        self.cursor = cursor
    }
}

/// One page of records.
public struct RecordPage: Sendable, Equatable {
    public var records: [ResourceRecord]
    public var nextCursor: String?

    public init(records: [ResourceRecord], nextCursor: String?) {
        self.records = records
        self.nextCursor = nextCursor
    }
}

/// Which events of the timeline.
public struct EventFilter: Sendable, Equatable {
    public var nodeId: String?
    public var stackId: String?
    public var serviceId: String?
    public var deploymentId: String?
    public var kind: String?
    /// Only events with a greater id, oldest first; nil: the newest `limit`, newest first.
    public var afterId: Int64?
    /// Only events with a smaller id (paging back); newest first.
    public var beforeId: Int64?
    public var limit: Int

    public init(
        nodeId: String? = nil, stackId: String? = nil, serviceId: String? = nil, deploymentId: String? = nil,
        kind: String? = nil, afterId: Int64? = nil, beforeId: Int64? = nil, limit: Int = 100
    ) {
        self.nodeId = nodeId
        self.stackId = stackId
        self.serviceId = serviceId
        self.deploymentId = deploymentId
        self.kind = kind
        self.afterId = afterId
        self.beforeId = beforeId
        self.limit = limit
    }
}

/// Who did what. The body has its secrets replaced already.
public struct AuditEntry: Codable, Sendable, Equatable {
    /// Given by the store; grows.
    public var id: Int64
    public var time: Timestamp
    public var actor: String
    /// Id of the key or user, because two keys may have one name; nil for the program itself.
    public var actorId: String?
    public var action: String
    public var resourceKind: String
    public var resourceId: String?
    public var address: String
    /// `ok`, or the code of the problem.
    public var outcome: String
    public var body: JSONValue

    public init(
        id: Int64 = 0, time: Timestamp, actor: String, actorId: String? = nil, action: String, resourceKind: String,
        resourceId: String?, address: String, outcome: String, body: JSONValue
    ) {
        self.id = id
        self.time = time
        self.actor = actor
        self.actorId = actorId
        self.action = action
        self.resourceKind = resourceKind
        self.resourceId = resourceId
        self.address = address
        self.outcome = outcome
        self.body = body
    }
}

/// Which entries of the audit log, newest first.
public struct AuditFilter: Sendable, Equatable {
    /// A name, or the id of a key or user.
    public var actor: String?
    public var resource: String?
    public var action: String?
    public var outcome: String?
    public var since: Timestamp?
    public var until: Timestamp?
    public var beforeId: Int64?
    public var limit: Int

    public init(
        actor: String? = nil, resource: String? = nil, action: String? = nil, outcome: String? = nil,
        since: Timestamp? = nil, until: Timestamp? = nil, beforeId: Int64? = nil, limit: Int = 50
    ) {
        self.actor = actor
        self.resource = resource
        self.action = action
        self.outcome = outcome
        self.since = since
        self.until = until
        self.beforeId = beforeId
        self.limit = limit
    }
}

/// Names a log: the output of a deployment's build on a node, or of a service on a node.
public struct LogName: Sendable, Hashable {
    /// `build` or `service`.
    public var source: String
    /// Deployment or service id.
    public var id: String
    public var nodeId: String

    public init(source: String, id: String, nodeId: String) {
        self.source = source
        self.id = id
        self.nodeId = nodeId
    }
}

/// A piece of a log.
public struct LogText: Sendable, Equatable {
    /// Where `text` begins, in bytes of the stream; later than asked for when older text is gone.
    public var offset: Int64
    public var text: String
    /// Where the next read goes on.
    public var end: Int64

    public init(offset: Int64, text: String, end: Int64) {
        self.offset = offset
        self.text = text
        self.end = end
    }
}
