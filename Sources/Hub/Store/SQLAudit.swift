import AgentProtocol
import Model

extension SQLTransaction {
    private static let auditColumns =
        "id, time, actor, action, resource_kind, resource_id, address, outcome, body, hash, actor_id"

    /// Each row holds the SHA-256 over the hash of the row before and its own content, so that a row that was changed
    /// or taken out breaks the chain.
    func appendAudit(_ entry: AuditEntry) throws {
        let previous = try row("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1", [])
        var entry = entry
        // Numbered here and not by SQLite, because the number is hashed as well.
        entry.id = try auditCount() + 1
        try execute(
            "INSERT INTO audit (\(Self.auditColumns)) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                entry.id, entry.time.millisecondsSinceEpoch, entry.actor, entry.action, entry.resourceKind,
                entry.resourceId, entry.address, entry.outcome, entry.body.canonicalText,
                Self.hash(of: entry, after: previous?[1] ?? ""), entry.actorId,
            ])
        if isPostgres { try execute("UPDATE audit_count SET count = ?", [entry.id]) }
    }

    /// Number of the newest entry that there ever was.
    private func auditCount() throws -> Int64 {
        try row(
            isPostgres ? "SELECT count FROM audit_count" : "SELECT seq FROM sqlite_sequence WHERE name = 'audit'", [])?[
                0]
            ?? 0
    }

    private static func hash(of entry: AuditEntry, after previous: String) -> String {
        var content: JSONValue = [
            "id": .int(entry.id), "time": .int(entry.time.millisecondsSinceEpoch), "actor": .string(entry.actor),
            "action": .string(entry.action), "resource_kind": .string(entry.resourceKind),
            "resource_id": entry.resourceId.map(JSONValue.string) ?? .null, "address": .string(entry.address),
            "outcome": .string(entry.outcome), "body": entry.body,
        ]
        // Entries from before there were ids are hashed as they were.
        if let id = entry.actorId { content["actor_id"] = .string(id) }
        return sha256Hex(Array(previous.utf8) + content.canonicalBytes)
    }

    private static func entry(_ row: SQLRow) throws -> AuditEntry {
        AuditEntry(
            id: row[0], time: Timestamp(millisecondsSinceEpoch: row[1]), actor: row[2], actorId: row[10],
            action: row[3], resourceKind: row[4], resourceId: row[5], address: row[6], outcome: row[7],
            body: try json(row[8]))
    }

    func audit(_ filter: AuditFilter) throws -> [AuditEntry] {
        var conditions = ["1 = 1"]
        var arguments: [(any SQLEncodable)?] = []
        func require(_ condition: String, _ value: (any SQLEncodable)?) {
            guard let value else { return }
            conditions.append(condition)
            arguments += [value]
        }
        // Names of keys and users begin with a word and a colon; an id is as long as a UUID and has none.
        let isId = filter.actor.map { $0.utf8.count == 36 && !$0.contains(":") } ?? false
        require(isId ? "actor_id = ?" : "actor = ?", filter.actor)
        if let resource = filter.resource {
            // A kind, an id, or both: tenant/t_4ai8cnwl2x.
            let parts = resource.split(separator: "/", maxSplits: 1).map(String.init)
            if parts.count == 2 {
                require("resource_kind = ?", parts[0])
                require("resource_id = ?", parts[1])
            } else {
                require(kinds[resource] == nil ? "resource_id = ?" : "resource_kind = ?", resource)
            }
        }
        require("action = ?", filter.action)
        require("outcome = ?", filter.outcome)
        require("time >= ?", filter.since?.millisecondsSinceEpoch)
        require("time < ?", filter.until?.millisecondsSinceEpoch)
        require("id < ?", filter.beforeId)
        return try rows(
            """
            SELECT \(Self.auditColumns) FROM audit WHERE \(conditions.joined(separator: " AND "))
            ORDER BY id DESC LIMIT \(min(max(filter.limit, 1), 200))
            """, arguments
        ).map(Self.entry)
    }

    func auditChain(after id: Int64, limit: Int) throws -> [(entry: AuditEntry, hash: String)] {
        try rows(
            "SELECT \(Self.auditColumns) FROM audit WHERE id > ? ORDER BY id LIMIT \(min(max(limit, 1), 1000))", [id]
        ).map { (try Self.entry($0), $0[9]) }
    }

    /// Where the chain begins once its beginning was removed.
    private static let anchor = (space: "audit", key: "anchor")

    func removeAudit(before: Timestamp) throws -> Int {
        let last = try row(
            """
            SELECT id, hash FROM audit WHERE time < ? AND id < (SELECT max(id) FROM audit) ORDER BY id DESC LIMIT 1
            """, [before.millisecondsSinceEpoch])
        guard let last else { return 0 }
        try putCell(
            Self.anchor.space, Self.anchor.key, ["id": .int(last[0]), "hash": .string(last[1])], expires: nil)
        return try execute("DELETE FROM audit WHERE id <= ?", [last[0] as Int64])
    }

    func firstBrokenAudit() throws -> Int64? {
        let anchor = try cell(Self.anchor.space, Self.anchor.key)
        var previous = anchor?["hash"]?.stringValue ?? ""
        var expected = (anchor?["id"]?.intValue ?? 0) + 1
        while true {
            let page = try rows(
                "SELECT \(Self.auditColumns) FROM audit WHERE id >= ? ORDER BY id LIMIT 500", [expected])
            for row in page {
                let entry = try Self.entry(row)
                guard entry.id == expected, row[9] as String == Self.hash(of: entry, after: previous) else {
                    return expected
                }
                previous = row[9]
                expected += 1
            }
            if page.isEmpty { return try auditCount() == expected - 1 ? nil : expected }
        }
    }
}
