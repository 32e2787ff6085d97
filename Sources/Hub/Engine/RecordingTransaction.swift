import Host
import HubStore
import Model
import ResourceKit
import Workflow

/// A transaction that remembers what was changed through it: for the change feed, and for plans.
final class RecordingTransaction: StoreTransaction {
    /// A record before the transaction and after it.
    struct Image {
        var kind: String
        var id: String
        var before: ResourceRecord?
        var after: ResourceRecord?
    }

    private let inner: any StoreTransaction
    private let keepsImages: Bool
    private(set) var images: [Image] = []
    private(set) var published: [HubChange] = []

    init(_ inner: any StoreTransaction, keepsImages: Bool = false) {
        self.inner = inner
        self.keepsImages = keepsImages
    }

    private func note(_ change: HubChange) {
        if !published.contains(change) { published.append(change) }
    }

    private func noteImage(_ kind: String, _ id: String, after: ResourceRecord?, before: () throws -> ResourceRecord?)
        throws
    {
        guard keepsImages else { return }
        if let index = images.firstIndex(where: { $0.kind == kind && $0.id == id }) {
            images[index].after = after
        } else {
            images.append(Image(kind: kind, id: id, before: try before(), after: after))
        }
    }

    var now: Timestamp { inner.now }
    var random: any RandomSource { inner.random }

    func get(_ kind: String, _ id: String) throws -> ResourceRecord? { try inner.get(kind, id) }
    func all(_ kind: String, parentId: String?) throws -> [ResourceRecord] { try inner.all(kind, parentId: parentId) }
    func all(_ kind: String, referringTo id: String, in field: String) throws -> [ResourceRecord] {
        try inner.all(kind, referringTo: id, in: field)
    }

    func all(ofTenant tenantId: String, status: ResourceStatus?) throws -> [ResourceRecord] {
        try inner.all(ofTenant: tenantId, status: status)
    }
    func counts(ofTenant tenantId: String) throws -> [String: [String: Int]] {
        try inner.counts(ofTenant: tenantId)
    }
    func firstUser(_ kind: ResourceKind, field: String, id: String) throws -> String? {
        try inner.firstUser(kind, field: field, id: id)
    }

    func put(_ record: ResourceRecord) throws -> ResourceRecord {
        let before = keepsImages ? try inner.get(record.kind, record.id) : nil
        let stored = try inner.put(record)
        try noteImage(record.kind, record.id, after: stored) { before }
        note(HubChange(kind: record.kind, id: record.id))
        return stored
    }

    func note(_ state: [String: JSONValue], of kind: String, _ id: String) throws {
        try inner.note(state, of: kind, id)
        note(HubChange(kind: kind, id: id))
    }

    func remove(_ kind: String, _ id: String) throws {
        try noteImage(kind, id, after: nil) { try inner.get(kind, id) }
        try inner.remove(kind, id)
        note(HubChange(kind: kind, id: id))
    }

    func emit(_ event: HubEvent) throws {
        try inner.emit(event)
        note(HubChange(kind: "event", id: event.nodeId ?? event.serviceId ?? event.stackId ?? ""))
    }

    func page(_ kind: ResourceKind, _ query: ListQuery) throws -> RecordPage { try inner.page(kind, query) }
    func search(_ query: SearchQuery) throws -> RecordPage { try inner.search(query) }
    func statuses(_ kind: String, _ ids: [String]) throws -> [String: ResourceStatus] {
        try inner.statuses(kind, ids)
    }
    func counts() throws -> [String: [String: Int]] { try inner.counts() }
    func claimHolder(_ claim: String) throws -> String? { try inner.claimHolder(claim) }

    func startWorkflow(_ run: NewRun) throws {
        try inner.startWorkflow(run)
        note(HubChange(kind: HubChange.workflowRun, id: run.id))
    }
    func startRun(of workflow: String, input: JSONValue) throws -> String {
        let id = try inner.startRun(of: workflow, input: input)
        note(HubChange(kind: HubChange.workflowRun, id: id))
        return id
    }
    func announce(_ changes: [HubChange]) throws { try inner.announce(changes) }

    func cell(_ space: String, _ key: String) throws -> JSONValue? { try inner.cell(space, key) }
    func cells(_ space: String) throws -> [(key: String, value: JSONValue)] { try inner.cells(space) }
    func putCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws {
        try inner.putCell(space, key, value, expires: expires)
        if space == "heartbeat" { note(HubChange(kind: "heartbeat", id: key)) }
    }
    func insertCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws -> Bool {
        try inner.insertCell(space, key, value, expires: expires)
    }
    func insertCells(_ space: String, _ keys: [String], expires: Timestamp) throws -> Set<String> {
        try inner.insertCells(space, keys, expires: expires)
    }
    func removeCell(_ space: String, _ key: String) throws { try inner.removeCell(space, key) }
    func removeExpiredCells() throws -> Int { try inner.removeExpiredCells() }

    func events(_ filter: EventFilter) throws -> [HubEvent] { try inner.events(filter) }
    func removeEvents(before: Timestamp) throws -> Int { try inner.removeEvents(before: before) }

    func appendAudit(_ entry: AuditEntry) throws { try inner.appendAudit(entry) }
    func audit(_ filter: AuditFilter) throws -> [AuditEntry] { try inner.audit(filter) }
    func auditChain(after id: Int64, limit: Int) throws -> [(entry: AuditEntry, hash: String)] {
        try inner.auditChain(after: id, limit: limit)
    }
    func removeAudit(before: Timestamp) throws -> Int { try inner.removeAudit(before: before) }
    func firstBrokenAudit() throws -> Int64? { try inner.firstBrokenAudit() }

    func logLines(_ filter: LogFilter) throws -> LogPage { try inner.logLines(filter) }
    func removeLogs(before: Timestamp, bytesMax: Int64) throws -> Int64 {
        try inner.removeLogs(before: before, bytesMax: bytesMax)
    }
    func appendLog(_ log: LogName, offset: Int64, text: String, time: Timestamp, bytesMax: Int) throws {
        try inner.appendLog(log, offset: offset, text: text, time: time, bytesMax: bytesMax)
        note(HubChange(kind: "log", id: log.id))
    }
    func log(_ log: LogName, from offset: Int64, bytesMax: Int) throws -> LogText {
        try inner.log(log, from: offset, bytesMax: bytesMax)
    }
    func removeLog(_ log: LogName) throws { try inner.removeLog(log) }
    func logNames(source: String, id: String) throws -> [LogName] { try inner.logNames(source: source, id: id) }
}
