import Model

extension SQLTransaction {
    func cell(_ space: String, _ key: String) throws -> JSONValue? {
        try row(
            "SELECT value FROM cells WHERE space = ? AND key = ? AND (expires IS NULL OR expires > ?)",
            [space, key, now.millisecondsSinceEpoch]
        ).map { try Self.json($0[0]) }
    }

    func cells(_ space: String) throws -> [(key: String, value: JSONValue)] {
        try rows(
            "SELECT key, value FROM cells WHERE space = ? AND (expires IS NULL OR expires > ?) ORDER BY key",
            [space, now.millisecondsSinceEpoch]
        ).map { ($0[0], try Self.json($0[1])) }
    }

    func putCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws {
        try execute(
            """
            INSERT INTO cells (space, key, value, expires) VALUES (?, ?, ?, ?)
            ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
            """,
            [space, key, value.canonicalText, expires?.millisecondsSinceEpoch])
    }

    func insertCell(_ space: String, _ key: String, _ value: JSONValue, expires: Timestamp?) throws -> Bool {
        // An expired cell counts as none, whether or not it was removed already.
        try execute(
            """
            INSERT INTO cells (space, key, value, expires) VALUES (?, ?, ?, ?)
            ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
            WHERE cells.expires <= ?
            """,
            [space, key, value.canonicalText, expires?.millisecondsSinceEpoch, now.millisecondsSinceEpoch]) > 0
    }

    func insertCells(_ space: String, _ keys: [String], expires: Timestamp) throws -> Set<String> {
        guard !keys.isEmpty else { return [] }
        // The condition keeps SQLite from reading ON as the beginning of a join.
        return Set(
            try rows(
                """
                INSERT INTO cells (space, key, value, expires)
                SELECT ?, value, 'null', ? FROM \(members) WHERE true
                ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, expires = excluded.expires
                WHERE cells.expires <= ? RETURNING key
                """,
                [
                    space, expires.millisecondsSinceEpoch, JSONValue.array(keys.map { .string($0) }).canonicalText,
                    now.millisecondsSinceEpoch,
                ]
            ).map { $0[0] as String })
    }

    /// The members of a JSON array that is an argument, as rows with a column `value`.
    var members: String {
        isPostgres ? "jsonb_array_elements_text(CAST(? AS jsonb)) AS members(value)" : "json_each(?)"
    }

    func removeCell(_ space: String, _ key: String) throws {
        try execute("DELETE FROM cells WHERE space = ? AND key = ?", [space, key])
    }

    func removeExpiredCells() throws -> Int {
        try execute("DELETE FROM cells WHERE expires <= ?", [now.millisecondsSinceEpoch])
    }
}
