import GRDB
import Model
import ResourceKit

/// Tables of the hub's database, and the indexes that lists need.
enum SQLiteSchema {
    /// What `PRAGMA user_version` says after ``install(in:kinds:)``.
    static let version = 1

    /// Makes what is missing. Safe to repeat.
    /// - Throws: `storage_failed` when the database was written by a newer program.
    static func install(in db: Database, kinds: [ResourceKind]) throws {
        let found = try Int.fetchOne(db, sql: "PRAGMA user_version") ?? 0
        guard found <= version else {
            throw Problem(
                .storage, "The database was written by a newer version of Roost.",
                hint: "Start the newer program, or restore a backup of this version.", context: "schema \(found)")
        }
        try addActorIds(in: db)
        for statement in tables + workflowTables { try db.execute(sql: statement) }
        try moveLogsWithoutTimes(in: db)
        try db.execute(sql: "PRAGMA user_version = \(version)")
        for kind in kinds { try installIndexes(of: kind, in: db) }
    }

    /// `seq` numbers resources in the order of their creation, which breaks ties of equal times. `search_text` is the
    /// lower-case text that search looks into; `resource_text` indexes its trigrams.
    private static let tables = [
        """
        CREATE TABLE IF NOT EXISTS resources (
            seq INTEGER PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL, parent_id TEXT, brand_id TEXT,
            tenant_id TEXT, status TEXT NOT NULL, status_message TEXT, spec TEXT NOT NULL, state TEXT NOT NULL,
            version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
            search_text TEXT NOT NULL) STRICT
        """,
        "CREATE UNIQUE INDEX IF NOT EXISTS resources_id ON resources(kind, id)",
        "CREATE INDEX IF NOT EXISTS resources_created ON resources(kind, created_at)",
        "CREATE INDEX IF NOT EXISTS resources_updated ON resources(kind, updated_at)",
        "CREATE INDEX IF NOT EXISTS resources_parent ON resources(kind, parent_id, created_at)",
        "CREATE INDEX IF NOT EXISTS resources_status ON resources(kind, status, created_at)",
        "CREATE INDEX IF NOT EXISTS resources_parent_status ON resources(kind, parent_id, status, created_at)",
        "CREATE INDEX IF NOT EXISTS resources_brand ON resources(kind, brand_id, created_at)",
        """
        CREATE INDEX IF NOT EXISTS resources_tenant ON resources(tenant_id, status) WHERE tenant_id IS NOT NULL
        """,
        "CREATE VIRTUAL TABLE IF NOT EXISTS resource_text USING fts5(text, tokenize = 'trigram')",
        """
        CREATE TABLE IF NOT EXISTS claims (
            claim TEXT PRIMARY KEY, kind TEXT NOT NULL, id TEXT NOT NULL) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX IF NOT EXISTS claims_holder ON claims(kind, id)",
        """
        CREATE TABLE IF NOT EXISTS cells (
            space TEXT NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL, expires INTEGER,
            PRIMARY KEY (space, key)) STRICT, WITHOUT ROWID
        """,
        "CREATE INDEX IF NOT EXISTS cells_expires ON cells(expires) WHERE expires IS NOT NULL",
        """
        CREATE TABLE IF NOT EXISTS events (
            id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, kind TEXT NOT NULL, node_id TEXT,
            stack_id TEXT, service_id TEXT, deployment_id TEXT, message TEXT NOT NULL) STRICT
        """,
        "CREATE INDEX IF NOT EXISTS events_time ON events(time)",
        "CREATE INDEX IF NOT EXISTS events_node ON events(node_id, id)",
        "CREATE INDEX IF NOT EXISTS events_stack ON events(stack_id, id)",
        "CREATE INDEX IF NOT EXISTS events_service ON events(service_id, id)",
        "CREATE INDEX IF NOT EXISTS events_deployment ON events(deployment_id, id)",
        """
        CREATE TABLE IF NOT EXISTS audit (
            id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,
            resource_kind TEXT NOT NULL, resource_id TEXT, address TEXT NOT NULL, outcome TEXT NOT NULL,
            body TEXT NOT NULL, hash TEXT NOT NULL, actor_id TEXT) STRICT
        """,
        "CREATE INDEX IF NOT EXISTS audit_time ON audit(time)",
        "CREATE INDEX IF NOT EXISTS audit_actor ON audit(actor, id)",
        "CREATE INDEX IF NOT EXISTS audit_actor_id ON audit(actor_id, id) WHERE actor_id IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS audit_resource ON audit(resource_id, id)",
        """
        CREATE TABLE IF NOT EXISTS logs (
            log INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, node_id TEXT NOT NULL,
            stream_end INTEGER NOT NULL, bytes INTEGER NOT NULL DEFAULT 0, UNIQUE (source, id, node_id)) STRICT
        """,
        """
        CREATE TABLE IF NOT EXISTS log_pieces (
            id INTEGER PRIMARY KEY AUTOINCREMENT, log INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE,
            start INTEGER NOT NULL, gap INTEGER NOT NULL, time INTEGER NOT NULL, levels INTEGER NOT NULL,
            text BLOB NOT NULL) STRICT
        """,
        "CREATE UNIQUE INDEX IF NOT EXISTS log_pieces_start ON log_pieces(log, start)",
        "CREATE INDEX IF NOT EXISTS log_pieces_time ON log_pieces(time, id, levels)",
        "CREATE INDEX IF NOT EXISTS log_pieces_log_time ON log_pieces(log, time, id, levels)",
    ]

    /// The audit log had only names once.
    private static func addActorIds(in db: Database) throws {
        guard try db.tableExists("audit"), try !db.columns(in: "audit").contains(where: { $0.name == "actor_id" })
        else { return }
        try db.execute(sql: "ALTER TABLE audit ADD COLUMN actor_id TEXT")
    }

    /// Logs were pieces without times once. What there is of them came before now.
    private static func moveLogsWithoutTimes(in db: Database) throws {
        guard try db.tableExists("log_chunks") else { return }
        if try !db.columns(in: "logs").contains(where: { $0.name == "bytes" }) {
            try db.execute(sql: "ALTER TABLE logs ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0")
        }
        try db.execute(
            sql: """
                INSERT INTO log_pieces (log, start, gap, time, levels, text)
                SELECT log, start, gap, CAST(strftime('%s', 'now') AS INTEGER) * 1000, \(LogLines.anyLevel), text
                FROM log_chunks ORDER BY log, start;
                UPDATE logs SET bytes =
                (SELECT coalesce(sum(length(text)), 0) FROM log_pieces p WHERE p.log = logs.log);
                DROP TABLE log_chunks
                """)
    }

    private static func installIndexes(of kind: ResourceKind, in db: Database) throws {
        precondition(SQLSorting.isPlain(kind.name), "a kind's name must be plain")
        for (field, isAlsoByParent) in SQLSorting.indexes(of: kind) {
            guard let expression = SQLSorting.expression(kind, field, .sqlite) else { continue }
            try db.execute(
                sql: """
                    CREATE INDEX IF NOT EXISTS \(SQLSorting.indexName(kind, field, byParent: false))
                    ON resources(\(expression)) WHERE kind = '\(kind.name)'
                    """)
            guard isAlsoByParent else { continue }
            try db.execute(
                sql: """
                    CREATE INDEX IF NOT EXISTS \(SQLSorting.indexName(kind, field, byParent: true))
                    ON resources(parent_id, \(expression)) WHERE kind = '\(kind.name)'
                    """)
        }
    }
}
