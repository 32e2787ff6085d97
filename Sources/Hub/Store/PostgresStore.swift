public import Host
public import Model
public import ResourceKit
import Synchronization

typealias PostgresJob = any TransactionJob<PostgresConnection>

/// The hub's database on PostgreSQL, for one hub or several.
///
/// Writes of all hubs come one after the other, as SQLite's do: each batch of them is one transaction under an advisory
/// lock, committed with one sync of the disk. Reads see snapshots on connections of their own. A connection that breaks
/// is opened anew; whether a commit that was under way then came through is told by a mark that its
/// transaction leaves, so that nothing is done twice.
public final class PostgresStore: RowStore {
    private static let readers = 4
    private static let journalLanes = 2
    private static let patience: Duration = .seconds(8)
    static let batchMax = 64

    public let isShared = true
    let kinds: [String: ResourceKind]
    let clock: any HostClock
    let random: any RandomSource
    private let writes = WorkQueue<PostgresJob>()
    private let reads = WorkQueue<PostgresJob>()
    let journal = WorkQueue<JournalJob>()
    /// Tells this hub's announcements from those of others.
    let instance: String
    let parsed = ParsedRecords()
    let feed: PostgresFeed

    /// Connects, and makes the tables that are missing.
    /// - Throws: `unavailable`, `storage_failed`.
    public init(
        address: PostgresAddress, kinds: [ResourceKind], clock: any HostClock, random: any RandomSource
    ) throws {
        self.kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.name, $0) })
        self.clock = clock
        self.random = random
        instance = random.hex(8)
        feed = PostgresFeed(address, instance: instance)
        let link = PostgresLink(address, patience: Self.patience)
        try link.retrying { try PostgresSchema.install(in: $0, kinds: kinds) }
        let (writes, reads, journal) = (writes, reads, journal)
        try NativeThread.detached("pg-writes") { PostgresWriter(address, Self.patience).work(writes) }
        for _ in 0..<Self.readers {
            try NativeThread.detached("pg-reads") { PostgresReader(address, Self.patience).work(reads) }
        }
        for _ in 0..<Self.journalLanes {
            try NativeThread.detached("pg-journal") { PostgresJournalLane(address, Self.patience).work(journal) }
        }
    }

    func readRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result {
        try await submit(to: reads, body)
    }

    func writeRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result {
        try await submit(to: writes, body)
    }

    private func submit<Result: Sendable>(
        to queue: WorkQueue<PostgresJob>, _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result {
        do {
            return try await withCheckedThrowingContinuation { continuation in
                let job = BodyJob(continuation: continuation) { [self] (connection: PostgresConnection) in
                    try body(
                        SQLTransaction(
                            database: PostgresDatabase(connection: connection), now: clock.now(), random: random,
                            kinds: kinds, announcer: instance, parsed: parsed))
                }
                if !queue.submit(job) { job.finish(Problem(.unavailable, "The hub is shutting down.")) }
            }
        } catch let error as PostgresError {
            throw error.problem
        }
    }

    deinit { closeQueues() }

    private func closeQueues() {
        feed.close()
        for queue in [writes, reads] { queue.close() }
        journal.close()
    }

    public func announcements() throws(Problem) -> AsyncStream<[HubChange]>? { try feed.stream() }

    public func close() async throws {
        closeQueues()
    }
}
