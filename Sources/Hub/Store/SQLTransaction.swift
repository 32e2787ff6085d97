import Host
import Model
import ResourceKit
import Workflow

/// A transaction in either database: records and claims. Cells, events, audit, logs and lists are in extensions.
struct SQLTransaction: StoreTransaction {
    let database: any SQLDatabase
    let now: Timestamp
    let random: any RandomSource
    let kinds: [String: ResourceKind]
    /// Names the hub in what it announces to others.
    var announcer = ""
    let parsed: ParsedRecords

    static let columns = """
        seq, kind, id, parent_id, brand_id, tenant_id, status, status_message, spec, state, version, created_at, \
        updated_at
        """

    var isPostgres: Bool { database.dialect == .postgres }

    func rows(_ sql: String, _ arguments: [(any SQLEncodable)?]) throws -> [SQLRow] {
        try database.rows(sql, arguments.map { $0?.sqlValue ?? .null })
    }

    func row(_ sql: String, _ arguments: [(any SQLEncodable)?]) throws -> SQLRow? { try rows(sql, arguments).first }

    /// Number of rows that were changed.
    @discardableResult
    func execute(_ sql: String, _ arguments: [(any SQLEncodable)?]) throws -> Int {
        try database.execute(sql, arguments.map { $0?.sqlValue ?? .null })
    }

    func record(_ row: SQLRow) throws -> ResourceRecord {
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
    private func records(_ condition: String, _ arguments: [(any SQLEncodable)?]) throws -> [ResourceRecord] {
        try rows("SELECT \(Self.columns) FROM resources WHERE \(condition)", arguments).map(record)
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

    func all(_ kind: String, referringTo id: String, in field: String) throws -> [ResourceRecord] {
        guard let declared = kinds[kind], SQLSorting.referenceFields(of: declared).contains(field),
            let expression = SQLSorting.expression(declared, field, database.dialect)
        else { throw Problem(.internalError, "\(kind) refers to nothing in \(field).") }
        // A field without a value counts as the empty text.
        guard !id.isEmpty else { return [] }
        return try records("kind = '\(kind)' AND \(expression) = ? ORDER BY created_at, seq", [id])
    }

    func all(ofTenant tenantId: String, status: ResourceStatus?) throws -> [ResourceRecord] {
        guard let status else { return try records("tenant_id = ? ORDER BY created_at, seq", [tenantId]) }
        return try records("tenant_id = ? AND status = ? ORDER BY created_at, seq", [tenantId, status.rawValue])
    }

    func statuses(_ kind: String, _ ids: [String]) throws -> [String: ResourceStatus] {
        guard kinds[kind] != nil, !ids.isEmpty else { return [:] }
        let found = try rows(
            "SELECT id, status FROM resources WHERE kind = '\(kind)' AND id IN (SELECT value FROM \(members))",
            [JSONValue.array(ids.map { .string($0) }).canonicalText])
        return Dictionary(
            try found.map { row in
                guard let status = ResourceStatus(rawValue: row[1]) else {
                    throw Problem(
                        .storage, "A stored resource cannot be read.", context: "\(kind)/\(row[0] as String)")
                }
                return (row[0], status)
            }, uniquingKeysWith: { $1 })
    }

    func put(_ record: ResourceRecord) throws -> ResourceRecord {
        guard let kind = kinds[record.kind] else {
            throw Problem(.internalError, "There is no kind \(record.kind).")
        }
        var stored = record
        stored.updatedAt = now
        let spec = JSONValue.object(stored.spec).canonicalText
        let same = isPostgres ? "IS NOT DISTINCT FROM" : "IS"
        let old = try row(
            """
            SELECT seq, version, search_text, CASE WHEN parent_id \(same) ? AND brand_id \(same) ? AND
            tenant_id \(same) ? AND status = ? AND spec = ? AND created_at = ? THEN 1 ELSE 0 END FROM resources
            WHERE kind = '\(kind.name)' AND id = ?
            """,
            [
                stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue, spec,
                stored.createdAt.millisecondsSinceEpoch, stored.id,
            ])
        stored.version = (old?[1] ?? 0) + 1
        let text = Self.searchText(of: stored, kind)
        if let old {
            try replace(old, kind, stored, spec: spec, text)
        } else {
            try insert(stored, kind, spec: spec, text)
        }
        try takeClaims(of: stored, kind)
        return stored
    }

    private func replace(
        _ old: SQLRow, _ kind: ResourceKind, _ stored: ResourceRecord, spec: String, _ text: String
    ) throws {
        let seq: Int64 = old[0]
        let keys: [(any SQLEncodable)?] = isPostgres ? [Self.sortKeys(of: stored, kind)] : []
        let state = JSONValue.object(stored.state).canonicalText
        if old[3], !isPostgres {
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
                spec = ?, state = ?, version = ?, created_at = ?, updated_at = ?, search_text = ?
                \(isPostgres ? ", sort_keys = CAST(? AS jsonb)" : "") WHERE seq = ?
                """,
                [
                    stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue, stored.statusMessage,
                    spec, state, stored.version, stored.createdAt.millisecondsSinceEpoch,
                    stored.updatedAt.millisecondsSinceEpoch, text,
                ] + keys + [seq])
        }
        if !isPostgres, old[2] as String != text {
            try execute("UPDATE resource_text SET text = ? WHERE rowid = ?", [text, seq])
        }
    }

    func note(_ state: [String: JSONValue], of kind: String, _ id: String) throws {
        guard let declared = kinds[kind], var record = try get(kind, id) else { return }
        record.state = state
        let keys: [(any SQLEncodable)?] = isPostgres ? [Self.sortKeys(of: record, declared)] : []
        try execute(
            """
            UPDATE resources SET state = ?\(isPostgres ? ", sort_keys = CAST(? AS jsonb)" : "")
            WHERE kind = '\(declared.name)' AND id = ?
            """, [JSONValue.object(state).canonicalText] + keys + [id])
    }

    private func insert(_ stored: ResourceRecord, _ kind: ResourceKind, spec: String, _ text: String) throws {
        let keys: [(any SQLEncodable)?] = isPostgres ? [Self.sortKeys(of: stored, kind)] : []
        let added = try row(
            """
            INSERT INTO resources (kind, id, parent_id, brand_id, tenant_id, status, status_message, spec, state,
            version, created_at, updated_at, search_text\(isPostgres ? ", sort_keys" : ""))
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?\(isPostgres ? ", ?::jsonb" : "")) RETURNING seq
            """,
            [
                stored.kind, stored.id, stored.parentId, stored.brandId, stored.tenantId, stored.status.rawValue,
                stored.statusMessage, spec, JSONValue.object(stored.state).canonicalText, stored.version,
                stored.createdAt.millisecondsSinceEpoch, stored.updatedAt.millisecondsSinceEpoch, text,
            ] + keys)
        if !isPostgres, let added {
            try execute("INSERT INTO resource_text (rowid, text) VALUES (?, ?)", [added[0] as Int64, text])
        }
    }

    func remove(_ kind: String, _ id: String) throws {
        guard let seq: Int64 = try row("SELECT seq FROM resources WHERE kind = ? AND id = ?", [kind, id])?[0] else {
            return
        }
        try execute("DELETE FROM claims WHERE kind = ? AND id = ?", [kind, id])
        if !isPostgres { try execute("DELETE FROM resource_text WHERE rowid = ?", [seq]) }
        try execute("DELETE FROM resources WHERE seq = ?", [seq])
    }

    func startWorkflow(_ run: NewRun) throws { _ = try startRun(run) }

    func startRun(of workflow: String, input: JSONValue) throws -> String {
        let seed = random.bytes(8).reduce(Int64(0)) { $0 << 8 | Int64($1) }
        let run = try NewRun(id: random.uuid(), workflow: workflow, input: input, seed: seed)
        return try startRun(run).run.id
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
                throw Self.taken(claim, by: "\(holder[0] as String) \(holder[1] as String)", record, kind)
            }
            try execute("INSERT INTO claims (claim, kind, id) VALUES (?, ?, ?)", [claim, record.kind, record.id])
        }
    }

    private static func taken(
        _ claim: String, by holder: String, _ record: ResourceRecord, _ kind: ResourceKind
    ) -> Problem {
        let name = claim.split(separator: "/").last.map(String.init) ?? claim
        let context = "\(claim) is held by \(holder)"
        if let parent = kind.parent, name == record.parentId {
            return Problem(
                .conflict, "The \(parent.kind) has a \(kind.name) already.",
                hint: "Change that one, or delete it first.",
                fields: [parent.field: "is taken already"], context: context)
        }
        // Claims hold names in one spelling: small letters, and without the dot at the end of a DNS name.
        func isNamed(_ value: JSONValue) -> Bool {
            if let values = value.arrayValue { return values.contains(where: isNamed) }
            guard let text = value.stringValue?.lowercased() else { return value == Int64(name).map(JSONValue.int) }
            return text == name.lowercased() || text == name.lowercased() + "."
        }
        var fields = record.spec.filter { isNamed($0.value) }.map(\.key)
        // An id that was made of the name is not what the caller chose.
        if case .slug(let own) = kind.identity, fields.count > 1 { fields.removeAll { $0 == own } }
        if fields.isEmpty { fields = kind.claimedFields.filter { record.spec[$0] != nil } }
        let isHash = name.utf8.count == 64 && name.allSatisfy(\.isHexDigit)
        return Problem(
            .conflict,
            isHash
                ? "There is a \(kind.name) with the same \(fields.joined(separator: ", ")) already."
                : "\"\(name)\" is taken already by another \(kind.name).",
            fields: Dictionary(uniqueKeysWithValues: fields.map { ($0, "is taken already") }), context: context)
    }

    /// The values that lists sort by, without what PostgreSQL's JSON cannot hold.
    private static func sortKeys(of record: ResourceRecord, _ kind: ResourceKind) -> String {
        var keys: [String: JSONValue] = [:]
        for (name, column) in SQLSorting.fields(of: kind) {
            let value = column == .spec ? record.spec[name] : record.state[name]
            if SQLSorting.isNumeric(name, kind) {
                if value?.doubleValue != nil { keys[name] = value }
                continue
            }
            if case .string(let text)? = value {
                keys[name] = .string(String(text.unicodeScalars.lazy.filter { $0 != "\0" }.map(Character.init)))
            } else if let value, !value.isNull {
                keys[name] = value
            }
        }
        return JSONValue.object(keys).canonicalText
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
