import Model
import ResourceKit

/// Tables of the hub's database on PostgreSQL: those of SQLite, in its own words.
enum PostgresSchema {
    static let version = 1

    /// Makes what is missing, in one transaction that only one hub at a time is in.
    static func install(in connection: PostgresConnection, kinds: [ResourceKind]) throws {
        try connection.run("BEGIN; SELECT pg_advisory_xact_lock(\(PostgresLocks.schema))")
        do {
            try connection.run("CREATE TABLE IF NOT EXISTS roost_schema (version bigint NOT NULL)")
            let found = try connection.query("SELECT max(version) FROM roost_schema", []).rows.first
            let old: Int? = found?[0]
            guard (old ?? 0) <= version else {
                throw Problem(
                    .storage, "The database was written by a newer version of Roost.",
                    hint: "Start the newer program, or restore a backup of this version.")
            }
            for statement in tables + workflowTables { try connection.run(statement) }
            try moveLogsWithoutTimes(in: connection)
            for kind in kinds { try installIndexes(of: kind, in: connection) }
            if old == nil {
                try connection.run(
                    "INSERT INTO roost_schema VALUES (\(version)); INSERT INTO audit_count VALUES (0)")
            }
            try connection.run("COMMIT")
        } catch {
            if !connection.isBroken { try connection.run("ROLLBACK") }
            throw error
        }
        try installTrigrams(in: connection)
    }

    /// Logs were pieces without times once. What there is of them came before now.
    private static func moveLogsWithoutTimes(in connection: PostgresConnection) throws {
        let found = try connection.query("SELECT to_regclass('log_chunks')::text", []).rows.first
        guard let old: String? = found?[0], old != nil else { return }
        try connection.run(
            """
            ALTER TABLE logs ADD COLUMN IF NOT EXISTS bytes bigint NOT NULL DEFAULT 0;
            INSERT INTO log_pieces (log, start, gap, time, levels, text)
            SELECT log, start, gap, floor(extract(epoch FROM now()))::bigint * 1000, \(LogLines.anyLevel), text
            FROM log_chunks ORDER BY log, start;
            UPDATE logs SET bytes =
            (SELECT coalesce(sum(length(text)), 0) FROM log_pieces p WHERE p.log = logs.log);
            DROP TABLE log_chunks
            """)
    }

    /// Search works without them, only slower; an administrator may have to allow the extension.
    private static func installTrigrams(in connection: PostgresConnection) throws {
        do {
            try connection.run(
                """
                CREATE EXTENSION IF NOT EXISTS pg_trgm;
                CREATE INDEX IF NOT EXISTS resources_text ON resources USING gin (search_text gin_trgm_ops)
                """)
        } catch let error as PostgresError where !error.isConnectionLoss {
            // Nothing to do: lists are searched row by row then.
        }
    }

    private static func installIndexes(of kind: ResourceKind, in connection: PostgresConnection) throws {
        precondition(SQLSorting.isPlain(kind.name), "a kind's name must be plain")
        for (field, isAlsoByParent) in SQLSorting.indexes(of: kind) {
            guard let expression = SQLSorting.expression(kind, field, .postgres) else { continue }
            try connection.run(
                """
                CREATE INDEX IF NOT EXISTS \(SQLSorting.indexName(kind, field, byParent: false))
                ON resources ((\(expression)), seq) WHERE kind = '\(kind.name)'
                """)
            guard isAlsoByParent else { continue }
            try connection.run(
                """
                CREATE INDEX IF NOT EXISTS \(SQLSorting.indexName(kind, field, byParent: true))
                ON resources (parent_id, (\(expression)), seq) WHERE kind = '\(kind.name)'
                """)
        }
    }

    private static let tables = [
        """
        CREATE TABLE IF NOT EXISTS resources (
            seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, kind text COLLATE "C" NOT NULL,
            id text COLLATE "C" NOT NULL, parent_id text COLLATE "C", brand_id text COLLATE "C",
            tenant_id text COLLATE "C", status text COLLATE "C" NOT NULL, status_message text, spec text NOT NULL,
            state text NOT NULL, version bigint NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL,
            search_text text NOT NULL, sort_keys jsonb NOT NULL)
        """,
        "CREATE UNIQUE INDEX IF NOT EXISTS resources_id ON resources (kind, id)",
        "CREATE INDEX IF NOT EXISTS resources_created ON resources (kind, created_at, seq)",
        "CREATE INDEX IF NOT EXISTS resources_updated ON resources (kind, updated_at, seq)",
        "CREATE INDEX IF NOT EXISTS resources_parent ON resources (kind, parent_id, created_at, seq)",
        "CREATE INDEX IF NOT EXISTS resources_status ON resources (kind, status, created_at, seq)",
        "CREATE INDEX IF NOT EXISTS resources_brand ON resources (kind, brand_id, created_at, seq)",
        """
        CREATE INDEX IF NOT EXISTS resources_tenant ON resources(tenant_id, status) WHERE tenant_id IS NOT NULL
        """,
        """
        CREATE TABLE IF NOT EXISTS claims (
            claim text COLLATE "C" PRIMARY KEY, kind text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS claims_holder ON claims (kind, id)",
        """
        CREATE TABLE IF NOT EXISTS cells (
            space text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, value text NOT NULL, expires bigint,
            PRIMARY KEY (space, key))
        """,
        "CREATE INDEX IF NOT EXISTS cells_expires ON cells (expires) WHERE expires IS NOT NULL",
        """
        CREATE TABLE IF NOT EXISTS events (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, time bigint NOT NULL, kind text NOT NULL,
            node_id text, stack_id text, service_id text, deployment_id text, message text NOT NULL)
        """,
        "CREATE INDEX IF NOT EXISTS events_time ON events (time)",
        "CREATE INDEX IF NOT EXISTS events_node ON events (node_id, id)",
        "CREATE INDEX IF NOT EXISTS events_stack ON events (stack_id, id)",
        "CREATE INDEX IF NOT EXISTS events_service ON events (service_id, id)",
        "CREATE INDEX IF NOT EXISTS events_deployment ON events (deployment_id, id)",
        """
        CREATE TABLE IF NOT EXISTS audit (
            id bigint PRIMARY KEY, time bigint NOT NULL, actor text NOT NULL, action text NOT NULL,
            resource_kind text NOT NULL, resource_id text, address text NOT NULL, outcome text NOT NULL,
            body text NOT NULL, hash text NOT NULL, actor_id text)
        """,
        // It had only names once.
        "ALTER TABLE audit ADD COLUMN IF NOT EXISTS actor_id text",
        "CREATE INDEX IF NOT EXISTS audit_time ON audit (time)",
        "CREATE INDEX IF NOT EXISTS audit_actor ON audit (actor, id)",
        "CREATE INDEX IF NOT EXISTS audit_actor_id ON audit (actor_id, id) WHERE actor_id IS NOT NULL",
        "CREATE INDEX IF NOT EXISTS audit_resource ON audit (resource_id, id)",
        "CREATE TABLE IF NOT EXISTS audit_count (count bigint NOT NULL)",
        """
        CREATE TABLE IF NOT EXISTS logs (
            log bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, id text NOT NULL,
            node_id text COLLATE "C" NOT NULL, stream_end bigint NOT NULL, bytes bigint NOT NULL DEFAULT 0,
            UNIQUE (source, id, node_id))
        """,
        """
        CREATE TABLE IF NOT EXISTS log_pieces (
            id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            log bigint NOT NULL REFERENCES logs ON DELETE CASCADE, start bigint NOT NULL, gap bigint NOT NULL,
            time bigint NOT NULL, levels bigint NOT NULL, text bytea NOT NULL)
        """,
        "CREATE UNIQUE INDEX IF NOT EXISTS log_pieces_start ON log_pieces(log, start)",
        "CREATE INDEX IF NOT EXISTS log_pieces_time ON log_pieces(time, id, levels)",
        "CREATE INDEX IF NOT EXISTS log_pieces_log_time ON log_pieces(log, time, id, levels)",
    ]

    /// Steps and signals do not refer to their runs by a foreign key: its check would lock the run's row once more for
    /// each step. Runs are removed together with them.
    private static let workflowTables = [
        """
        CREATE TABLE IF NOT EXISTS workflow_runs (
            id text COLLATE "C" PRIMARY KEY, workflow text NOT NULL, version bigint NOT NULL, state text NOT NULL,
            input text NOT NULL, output text, error text, owner text COLLATE "C", fence bigint NOT NULL,
            wake_at bigint, mailbox bigint NOT NULL, cancel bigint NOT NULL, idle_starts bigint NOT NULL,
            seed bigint NOT NULL, round bigint NOT NULL, created_at bigint NOT NULL, started_at bigint,
            updated_at bigint NOT NULL, finished_at bigint) WITH (fillfactor = 70)
        """,
        "CREATE INDEX IF NOT EXISTS workflow_runs_created ON workflow_runs (created_at, id)",
        "CREATE INDEX IF NOT EXISTS workflow_runs_owner ON workflow_runs (owner) WHERE owner IS NOT NULL",
        """
        CREATE INDEX IF NOT EXISTS workflow_runs_wake ON workflow_runs (wake_at)
        WHERE owner IS NULL AND wake_at IS NOT NULL
        """,
        """
        CREATE INDEX IF NOT EXISTS workflow_runs_finished ON workflow_runs (finished_at) WHERE finished_at IS NOT NULL
        """,
        """
        CREATE TABLE IF NOT EXISTS workflow_steps (
            run text COLLATE "C" NOT NULL, path text COLLATE "C" NOT NULL, sequence bigint NOT NULL,
            kind text NOT NULL, name text NOT NULL, state text NOT NULL, attempts bigint NOT NULL, result text,
            error text, wake_at bigint, started_at bigint NOT NULL, finished_at bigint, undo text,
            undo_attempts bigint NOT NULL, undo_error text, PRIMARY KEY (run, path))
        """,
        """
        CREATE TABLE IF NOT EXISTS workflow_signals (
            run text COLLATE "C" NOT NULL, id text COLLATE "C" NOT NULL, number bigint NOT NULL, name text NOT NULL,
            payload text NOT NULL, sent_at bigint NOT NULL, taken_by text COLLATE "C", PRIMARY KEY (run, id))
        """,
        """
        CREATE TABLE IF NOT EXISTS workflow_hubs (
            hub text COLLATE "C" PRIMARY KEY, lease_until bigint NOT NULL)
        """,
    ]
}

/// Keys of the advisory locks: "roost" in ASCII, and a number.
enum PostgresLocks {
    static let schema: Int64 = 0x726F_6F73_7400_0001
    /// Held by the transaction that writes: what SQLite does by itself, one writer at a time.
    static let writer: Int64 = 0x726F_6F73_7400_0002
}
