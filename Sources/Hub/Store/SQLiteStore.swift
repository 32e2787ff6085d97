import GRDB
public import Host
import Model
public import ResourceKit

/// The hub's database in one SQLite file, or in memory.
///
/// In a file, writes go through ``GroupCommit`` and are on the disk when they return; reads see snapshots on
/// connections of their own. In memory, everything runs on the calling thread and no other thread or queue takes part,
/// so that a simulation on virtual time stays deterministic.
public final class SQLiteStore: RowStore {
    private let database: any DatabaseWriter
    private let commits: GroupCommit?
    private let kinds: [String: ResourceKind]
    private let parsed = ParsedRecords()
    private let clock: any HostClock
    private let random: any RandomSource

    /// Opens the database file, and makes it (mode 0600, as are its companions) when it is missing.
    /// - Throws: `storage_failed`.
    public init(path: String, kinds: [ResourceKind], clock: any HostClock, random: any RandomSource) throws {
        self.kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.name, $0) })
        self.clock = clock
        self.random = random
        do {
            try DataFile.create(path)
            let pool = try DatabasePool(path: path, configuration: Self.configuration())
            // GRDB sets NORMAL on the writer of a pool, which could lose the last commits in a power cut.
            try pool.writeWithoutTransaction { db in
                try db.execute(sql: "PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216")
            }
            try pool.write { db in try SQLiteSchema.install(in: db, kinds: kinds) }
            database = pool
            commits = try GroupCommit(pool)
        } catch {
            throw Problem(storage: error)
        }
    }

    /// A database in memory that runs every body on the calling thread.
    public init(inMemory kinds: [ResourceKind], clock: any HostClock, random: any RandomSource) throws {
        self.kinds = Dictionary(uniqueKeysWithValues: kinds.map { ($0.name, $0) })
        self.clock = clock
        self.random = random
        do {
            let queue = try DatabaseQueue(configuration: Self.configuration())
            try queue.write { db in try SQLiteSchema.install(in: db, kinds: kinds) }
            database = queue
            commits = nil
        } catch {
            throw Problem(storage: error)
        }
    }

    private static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.foreignKeysEnabled = true
        configuration.busyMode = .timeout(5)
        configuration.maximumReaderCount = 4
        configuration.label = "roost"
        // In KiB: what thousands of servers report is read and written again and again, and does not fit into 2 MB.
        configuration.prepareDatabase { db in try db.execute(sql: "PRAGMA cache_size = -16384") }
        return configuration
    }

    func readRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result {
        do {
            guard commits != nil else { return try readHere(body) }
            return try await database.read { [self] db in try body(transaction(db)) }
        } catch let error as DatabaseError {
            throw Problem(storage: error)
        }
    }

    func writeRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result {
        do {
            guard let commits else { return try writeHere(body) }
            return try await withCheckedThrowingContinuation { continuation in
                commits.submit(
                    BodyJob(continuation: continuation) { [self] (db: Database) in try body(transaction(db)) })
            }
        } catch let error as DatabaseError {
            throw Problem(storage: error)
        }
    }

    public func close() async throws {
        commits?.close()
        do { try closeHere() } catch { throw Problem(storage: error) }
    }

    /// How SQLite would answer a list query; for tests that hold the cost of a page.
    package func queryPlan(_ kind: ResourceKind, _ query: ListQuery) throws -> [String] {
        try database.read { db in try transaction(db).pagePlan(kind, query) }
    }

    private func transaction(_ db: Database) -> SQLTransaction {
        SQLTransaction(
            database: SQLiteDatabase(db: db), now: clock.now(), random: random, kinds: kinds, parsed: parsed)
    }

    // These call GRDB's synchronous variants, which an asynchronous function cannot name.
    private func readHere<Result>(_ body: (SQLTransaction) throws -> Result) throws -> Result {
        // GRDB's `read` guards with PRAGMA query_only, after which SQLite compiles every statement anew.
        try database.unsafeRead { db in
            let before = db.totalChangesCount
            let result = try body(transaction(db))
            guard db.totalChangesCount == before else { throw Problem(.internalError, "A read has written.") }
            return result
        }
    }

    private func writeHere<Result>(_ body: (SQLTransaction) throws -> Result) throws -> Result {
        try database.writeWithoutTransaction { db in try db.inWholeTransaction { try body(transaction(db)) } }
    }

    private func closeHere() throws { try database.close() }
}
