import GRDB
import Host
import Model
import ResourceKit

/// A transaction on SQLite: records and claims. Cells, events, audit, logs and lists are in extensions.
struct SQLiteTransaction: StoreTransaction {
    let db: Database
    let now: Timestamp
    let random: any RandomSource
    let kinds: [String: ResourceKind]
    let parsed: ParsedRecords

    static let columns = """
        seq, kind, id, parent_id, brand_id, tenant_id, status, status_message, spec, state, version, created_at, \
        updated_at
        """

    func rows(_ sql: String, _ arguments: StatementArguments) throws -> [Row] {
        try Row.fetchAll(try db.cachedStatement(sql: sql), arguments: arguments)
    }

    func row(_ sql: String, _ arguments: StatementArguments) throws -> Row? {
        try Row.fetchOne(try db.cachedStatement(sql: sql), arguments: arguments)
    }

    func execute(_ sql: String, _ arguments: StatementArguments) throws {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
    }

    func record(_ row: Row) throws -> ResourceRecord {
        guard let status = ResourceStatus(rawValue: row[6]),
            let members = try parsed.members(of: row[0], spec: row[8], state: row[9])
        else {
            throw Problem(
                .storage, "A stored resource cannot be read.", context: "\(row[1] as String)/\(row[2] as String)")
        }
        return ResourceRecord(
            kind: row[1], id: row[2], parentId: row[3], brandId: row[4], tenantId: row[5], status: status,
            statusMessage: row[7], spec: members.spec, state: members.state, version: row[10],
            createdAt: Timestamp(millisecondsSinceEpoch: row[11]), updatedAt: Timestamp(millisecondsSinceEpoch: row[12])
        )
    }

    /// The kind is written out: SQLite would compile a statement with `kind = ?` anew for each call, to see which
    /// indexes of single kinds fit.
    private func records(_ condition: String, _ arguments: StatementArguments) throws -> [ResourceRecord] {
        let statement = try db.cachedStatement(sql: "SELECT \(Self.columns) FROM resources WHERE \(condition)")
        // A cursor reads in place; fetched rows would each be copied first.
        let cursor = try Row.fetchCursor(statement, arguments: arguments)
        var records: [ResourceRecord] = []
        while let row = try cursor.next() { records.append(try record(row)) }
        return records
    }

    static func json(_ text: String) throws -> JSONValue { try JSONParser.parse(text) }

    func get(_ kind: String, _ id: String) throws -> ResourceRecord? {
        guard kinds[kind] != nil else { return nil }
        return try records("kind = '\(kind)' AND id = ?", [id]).first
    }

    func all(_ kind: String, parentId: String?) throws -> [ResourceRecord] {
        guard kinds[kind] != nil else { return [] }
        guard let parentId else { return try records("kind = '\(kind)' ORDER BY created_at, seq", []) }
        return try records("kind = '\(kind)' AND parent_id = ? ORDER BY created_at, seq", [parentId])
    }

    func put(_ record: ResourceRecord) throws -> ResourceRecord {
        guard let kind = kinds[record.kind] else {
            throw Problem(.internalError, "There is no kind \(record.kind).")
        }
        var stored = record
        stored.updatedAt = now
        let spec = JSONValue.object(stored.spec).canonicalText
        let old = try row(
            """
            SELECT seq, version, search_text, parent_id IS ? AND brand_id IS ? AND tenant_id IS ? AND status = ?
            AND spec = ? AND created_at = ? FROM resources WHERE kind = '\(kind.name)' AND id = ?
            """,
            [
                stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue, spec,
                stored.createdAt.millisecondsSinceEpoch, stored.id,
            ])
        stored.version = (old?[1] ?? 0) + 1
        let text = Self.searchText(of: stored, kind)
        if let old {
            try replace(old, stored, spec: spec, text)
        } else {
            try insert(stored, spec: spec, text)
        }
        try takeClaims(of: stored, kind)
        return stored
    }

    private func replace(_ old: Row, _ stored: ResourceRecord, spec: String, _ text: String) throws {
        let seq: Int64 = old[0]
        let state = JSONValue.object(stored.state).canonicalText
        if old[3] {
            // SQLite writes an index anew for each column that a statement names, changed or not, so the usual change
            // names few.
            try execute(
                """
                UPDATE resources SET status_message = ?, state = ?, version = ?, updated_at = ?, search_text = ?
                WHERE seq = ?
                """,
                [stored.statusMessage, state, stored.version, stored.updatedAt.millisecondsSinceEpoch, text, seq])
        } else {
            try execute(
                """
                UPDATE resources SET parent_id = ?, brand_id = ?, tenant_id = ?, status = ?, status_message = ?,
                spec = ?, state = ?, version = ?, created_at = ?, updated_at = ?, search_text = ? WHERE seq = ?
                """,
                [
                    stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue, stored.statusMessage,
                    spec, state, stored.version, stored.createdAt.millisecondsSinceEpoch,
                    stored.updatedAt.millisecondsSinceEpoch, text, seq,
                ])
        }
        if old[2] as String != text {
            try execute("UPDATE resource_text SET text = ? WHERE rowid = ?", [text, seq])
        }
    }

    private func insert(_ stored: ResourceRecord, spec: String, _ text: String) throws {
        try execute(
            """
            INSERT INTO resources (kind, id, parent_id, brand_id, tenant_id, status, status_message, spec, state,
            version, created_at, updated_at, search_text) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                stored.kind, stored.id, stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue,
                stored.statusMessage, spec, JSONValue.object(stored.state).canonicalText, stored.version,
                stored.createdAt.millisecondsSinceEpoch, stored.updatedAt.millisecondsSinceEpoch, text,
            ])
        try execute("INSERT INTO resource_text (rowid, text) VALUES (?, ?)", [db.lastInsertedRowID, text])
    }

    func remove(_ kind: String, _ id: String) throws {
        guard let seq: Int64 = try row("SELECT seq FROM resources WHERE kind = ? AND id = ?", [kind, id])?[0] else {
            return
        }
        try execute("DELETE FROM claims WHERE kind = ? AND id = ?", [kind, id])
        try execute("DELETE FROM resource_text WHERE rowid = ?", [seq])
        try execute("DELETE FROM resources WHERE seq = ?", [seq])
    }

    func claimHolder(_ claim: String) throws -> String? {
        try row("SELECT id FROM claims WHERE claim = ?", [claim])?[0]
    }

    /// A resource that is on its way out holds no names any more.
    private func takeClaims(of record: ResourceRecord, _ kind: ResourceKind) throws {
        let isLeaving = record.status == .deleting || record.status == .deleted
        let wanted = isLeaving ? [] : Set(kind.claims(record))
        let held = Set(
            try rows("SELECT claim FROM claims WHERE kind = ? AND id = ?", [record.kind, record.id])
                .map { $0[0] as String })
        for claim in held.subtracting(wanted) { try execute("DELETE FROM claims WHERE claim = ?", [claim]) }
        for claim in wanted.subtracting(held).sorted() {
            if let holder = try row("SELECT kind, id FROM claims WHERE claim = ?", [claim]) {
                throw Self.taken(claim, by: "\(holder[0] as String) \(holder[1] as String)", record)
            }
            try execute("INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)", [claim, record.kind, record.id])
        }
    }

    private static func taken(_ claim: String, by holder: String, _ record: ResourceRecord) -> Problem {
        let name = claim.split(separator: "/").last.map(String.init) ?? claim
        var fields: [String: String] = [:]
        for (field, value) in record.spec where value.stringValue == name || value == Int64(name).map(JSONValue.int) {
            fields[field] = "is taken already"
        }
        return Problem(
            .conflict, "\"\(name)\" is taken already by another \(record.kind).", fields: fields,
            context: "\(claim) is held by \(holder)")
    }

    /// Lower-case text of id and searched fields, one a line.
    static func searchText(of record: ResourceRecord, _ kind: ResourceKind) -> String {
        var lines = [record.id]
        for name in kind.searched {
            if kind.fields.contains(where: { $0.name == name && $0.isSecret }) { continue }
            switch record.spec[name] ?? record.state[name] {
            case .string(let text): lines.append(text)
            case .int(let number): lines.append(String(number))
            case .array(let values): lines.append(contentsOf: values.compactMap(\.stringValue))
            default: continue
            }
        }
        return lines.joined(separator: "\n").lowercased()
    }
}
