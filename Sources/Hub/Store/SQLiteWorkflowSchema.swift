extension SQLiteSchema {
    /// `wake_at` is set while a run waits for a hub; `owner` while a hub has it.
    static let workflowTables = [
        """
        CREATE TABLE IF NOT EXISTS workflow_runs (
            id TEXT PRIMARY KEY, workflow TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
            input TEXT NOT NULL, output TEXT, error TEXT, owner TEXT, fence INTEGER NOT NULL, wake_at INTEGER,
            mailbox INTEGER NOT NULL, cancel INTEGER NOT NULL, idle_starts INTEGER NOT NULL, seed INTEGER NOT NULL,
            round INTEGER NOT NULL, created_at INTEGER NOT NULL, started_at INTEGER, updated_at INTEGER NOT NULL,
            finished_at INTEGER) STRICT
        """,
        "CREATE INDEX IF NOT EXISTS workflow_runs_created ON workflow_runs(created_at, id)",
        """
        CREATE INDEX IF NOT EXISTS workflow_runs_open ON workflow_runs(state, created_at)
        WHERE state NOT IN ('succeeded', 'running')
        """,
        "CREATE INDEX IF NOT EXISTS workflow_runs_owner ON workflow_runs(owner) WHERE owner IS NOT NULL",
        """
        CREATE INDEX IF NOT EXISTS workflow_runs_wake ON workflow_runs(wake_at)
        WHERE owner IS NULL AND wake_at IS NOT NULL
        """,
        """
        CREATE INDEX IF NOT EXISTS workflow_runs_finished ON workflow_runs(finished_at) WHERE finished_at IS NOT NULL
        """,
        """
        CREATE TABLE IF NOT EXISTS workflow_steps (
            run TEXT NOT NULL REFERENCES workflow_runs ON DELETE CASCADE, path TEXT NOT NULL,
            sequence INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL,
            attempts INTEGER NOT NULL, result TEXT, error TEXT, wake_at INTEGER, started_at INTEGER NOT NULL,
            finished_at INTEGER, undo TEXT, undo_attempts INTEGER NOT NULL, undo_error TEXT,
            PRIMARY KEY (run, path)) STRICT, WITHOUT ROWID
        """,
        """
        CREATE TABLE IF NOT EXISTS workflow_signals (
            run TEXT NOT NULL REFERENCES workflow_runs ON DELETE CASCADE, id TEXT NOT NULL, number INTEGER NOT NULL,
            name TEXT NOT NULL, payload TEXT NOT NULL, sent_at INTEGER NOT NULL, taken_by TEXT,
            PRIMARY KEY (run, id)) STRICT, WITHOUT ROWID
        """,
        "CREATE TABLE IF NOT EXISTS workflow_hubs (hub TEXT PRIMARY KEY, lease_until INTEGER NOT NULL) STRICT",
    ]
}
