import Model
import ResourceKit

extension SQLTransaction {
    /// Above this many hits, walking the list in order and testing each row finds a page sooner than sorting all hits.
    private static let hitsMax = 1000

    /// SQL of a list, put together from parts that are ours; every value is an argument.
    fileprivate struct PageSQL {
        var sort: String
        var index: String?
        var conditions: [String]
        var arguments: [(any SQLEncodable)?]
        var descending: Bool

        /// What the order is by; resources of one status are in the order of their creation, as in its index.
        var keys: [String] { [sort] + (sort == "status" ? ["created_at"] : []) + ["seq"] }

        func text(columns: String, limit: Int) -> String {
            let direction = descending ? "DESC" : "ASC"
            let order = (sort == "id" ? [sort] : keys).map { "\($0) \(direction)" }.joined(separator: ", ")
            return """
                SELECT \(columns), \(sort) FROM resources \(index.map { "INDEXED BY \($0)" } ?? "")
                WHERE \(conditions.joined(separator: " AND ")) ORDER BY \(order) LIMIT \(limit)
                """
        }
    }

    func page(_ kind: ResourceKind, _ query: ListQuery) throws -> RecordPage {
        let limit = min(max(query.limit, 1), 200)
        if case .only(let brands) = query.brands, brands.isEmpty { return RecordPage(records: [], nextCursor: nil) }
        let sql = try pageSQL(kind, query)
        let found = try rows(sql.text(columns: Self.columns, limit: limit + 1), sql.arguments)
        let records = try found.prefix(limit).map(record)
        guard found.count > limit, let last = found.dropLast().last else {
            return RecordPage(records: records, nextCursor: nil)
        }
        let value: JSONValue = query.sort == "status" ? [last[13], .int(last[11])] : last[13]
        let cursor = PageCursor(
            kind: kind.name, sort: query.sort, descending: query.descending, value: value, seq: last[0])
        return RecordPage(records: records, nextCursor: cursor.text)
    }

    func pagePlan(_ kind: ResourceKind, _ query: ListQuery) throws -> [String] {
        let sql = try pageSQL(kind, query)
        return try rows("EXPLAIN QUERY PLAN " + sql.text(columns: Self.columns, limit: query.limit), sql.arguments)
            .map { $0[3] }
    }

    private func pageSQL(_ kind: ResourceKind, _ query: ListQuery) throws -> PageSQL {
        var sql = try sorting(kind, query)
        if let parentId = query.parentId { sql.add("parent_id = ?", [parentId]) }
        if let status = query.status { sql.add("status = ?", [status]) }
        switch query.brands {
        case .all: break
        case .only(let brands):
            sql.add("brand_id IN (\(brands.map { _ in "?" }.joined(separator: ", ")))", brands)
        }
        try addReferences(query.references, kind, to: &sql)
        if let text = query.search?.lowercased(), !text.isEmpty { try addSearch(text, to: &sql) }
        if let cursor = query.cursor { try addCursor(cursor, kind, query, to: &sql) }
        return sql
    }

    private func sorting(_ kind: ResourceKind, _ query: ListQuery) throws -> PageSQL {
        var sort = query.sort
        var index: String?
        switch query.sort {
        case "created_at": index = Self.creationIndex(query)
        case "updated_at": index = query.parentId == nil ? "resources_updated" : nil
        case "id": index = query.parentId == nil ? "resources_id" : nil
        case "status": index = query.parentId == nil ? "resources_status" : "resources_parent_status"
        default:
            guard let expression = SQLSorting.expression(kind, query.sort, database.dialect) else {
                throw Problem.invalid("sort", "must be created_at, updated_at, id, status or a field of one value")
            }
            sort = expression
            if SQLSorting.indexedFields(of: kind).contains(query.sort), query.parentId == nil || kind.parent != nil {
                index = SQLSorting.indexName(kind, query.sort, byParent: query.parentId != nil)
            }
        }
        // The kind is written out, so that SQLite can tell that a partial index fits.
        return PageSQL(
            sort: sort, index: isPostgres ? nil : index, conditions: ["kind = '\(kind.name)'"], arguments: [],
            descending: query.descending
        )
    }

    private static func creationIndex(_ query: ListQuery) -> String {
        switch (query.parentId, query.status, query.brands) {
        case (.some, .some, _): "resources_parent_status"
        case (.some, nil, _): "resources_parent"
        case (nil, .some, _): "resources_status"
        case (nil, nil, .only(let brands)) where brands.count == 1: "resources_brand"
        default: "resources_created"
        }
    }

    /// Few of a kind refer to one resource, so they are found by that and sorted then.
    private func addReferences(
        _ references: [String: String], _ kind: ResourceKind, to sql: inout PageSQL
    ) throws {
        for (field, id) in references.sorted(by: { $0.key < $1.key }) {
            guard SQLSorting.referenceFields(of: kind).contains(field),
                let expression = SQLSorting.expression(kind, field, database.dialect)
            else { throw Problem.invalid(String(field.prefix(80)), "refers to nothing") }
            sql.add("\(expression) = ?", [id])
            if !isPostgres { sql.index = SQLSorting.indexName(kind, field, byParent: false) }
        }
    }

    private func addSearch(_ text: String, to sql: inout PageSQL) throws {
        if isPostgres {
            sql.add("search_text LIKE ?", [Self.pattern(text)])
        } else if let match = Self.match(text), try !hasManyHits(match) {
            sql.index = nil
            sql.add("seq IN (SELECT rowid FROM resource_text WHERE resource_text MATCH ?)", [match])
        } else {
            sql.add("instr(search_text, ?) > 0", [text])
        }
    }

    /// What PostgreSQL's trigram index can look up.
    private static func pattern(_ text: String) -> String {
        "%" + text.map { "%_\\".contains($0) ? "\\\($0)" : String($0) }.joined() + "%"
    }

    private func hasManyHits(_ match: String) throws -> Bool {
        let hits: Int? = try row(
            """
            SELECT count(*) FROM (SELECT 1 FROM resource_text WHERE resource_text MATCH ? LIMIT \(Self.hitsMax + 1))
            """, [match])?[0]
        return (hits ?? 0) > Self.hitsMax
    }

    /// A full-text phrase; nil for text too short for trigrams.
    static func match(_ text: String) -> String? {
        guard text.unicodeScalars.count >= 3, !text.unicodeScalars.contains("\0") else { return nil }
        return "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    private func addCursor(_ text: String, _ kind: ResourceKind, _ query: ListQuery, to sql: inout PageSQL) throws {
        guard let cursor = PageCursor(text), cursor.kind == kind.name, cursor.sort == query.sort,
            cursor.descending == query.descending
        else { throw Self.foreignCursor }
        let values = (cursor.value.arrayValue ?? [cursor.value]).compactMap(Self.argument)
        guard values.count == sql.keys.count - 1 else { throw Self.foreignCursor }
        let comparison = query.descending ? "<" : ">"
        if query.sort == "id" {
            sql.add("id \(comparison) ?", values)
        } else {
            let marks = sql.keys.map { _ in "?" }.joined(separator: ", ")
            sql.add("(\(sql.keys.joined(separator: ", "))) \(comparison) (\(marks))", values + [cursor.seq])
        }
    }

    private static let foreignCursor = Problem.invalid(
        "cursor", "does not belong to this list; start again without it")

    private static func argument(_ value: JSONValue) -> (any SQLEncodable)? {
        switch value {
        case .int(let number): number
        case .double(let number): number
        case .string(let text): text
        default: nil
        }
    }

    func search(_ query: SearchQuery) throws -> RecordPage {
        let text = query.text.lowercased()
        let nothing = RecordPage(records: [], nextCursor: nil)
        guard !query.kinds.isEmpty, !text.isEmpty else { return nothing }
        var conditions = ["kind IN (\(query.kinds.map { "'\($0.name)'" }.joined(separator: ", ")))"]
        var arguments: [(any SQLEncodable)?] = []
        if case .only(let ids) = query.brands {
            guard !ids.isEmpty else { return nothing }
            conditions.append("brand_id IN (\(ids.map { _ in "?" }.joined(separator: ", ")))")
            arguments += ids
        }
        if isPostgres {
            conditions.append("search_text LIKE ?")
            arguments += [Self.pattern(text)]
        } else if let match = Self.match(text) {
            conditions.append("seq IN (SELECT rowid FROM resource_text WHERE resource_text MATCH ?)")
            arguments += [match]
        } else {
            conditions.append("instr(search_text, ?) > 0")
            arguments += [text]
        }
        if let given = query.cursor {
            // No kind has an empty name, so that no list has such a cursor.
            guard let cursor = PageCursor(given), cursor.kind.isEmpty, cursor.sort == text else {
                throw Self.foreignCursor
            }
            conditions.append("seq > ?")
            arguments += [cursor.seq]
        }
        let limit = min(max(query.limit, 1), 200)
        let found = try rows(
            """
            SELECT \(Self.columns) FROM resources WHERE \(conditions.joined(separator: " AND "))
            ORDER BY seq LIMIT \(limit + 1)
            """, arguments)
        let last = found.count > limit ? found[limit - 1] : nil
        return RecordPage(
            records: try found.prefix(limit).map(record),
            nextCursor: last.map { PageCursor(kind: "", sort: text, descending: false, value: 0, seq: $0[0]).text })
    }

    func counts() throws -> [String: [String: Int]] {
        try counted("SELECT kind, status, count(*) FROM resources GROUP BY kind, status", [])
    }

    func counts(ofTenant tenantId: String) throws -> [String: [String: Int]] {
        try counted(
            "SELECT kind, status, count(*) FROM resources WHERE tenant_id = ? GROUP BY kind, status", [tenantId])
    }

    private func counted(_ sql: String, _ arguments: [(any SQLEncodable)?]) throws -> [String: [String: Int]] {
        var result: [String: [String: Int]] = [:]
        for row in try rows(sql, arguments) { result[row[0], default: [:]][row[1]] = row[2] }
        return result
    }

    func firstUser(_ kind: ResourceKind, field: String, id: String) throws -> String? {
        guard let expression = SQLSorting.expression(kind, field, database.dialect) else { return nil }
        return try row(
            """
            SELECT id FROM resources WHERE kind = '\(kind.name)' AND \(expression) = ?
            AND status NOT IN ('deleting', 'deleted') LIMIT 1
            """, [id])?[0]
    }
}

extension SQLTransaction.PageSQL {
    fileprivate mutating func add(_ condition: String, _ values: [(any SQLEncodable)?]) {
        conditions.append(condition)
        arguments += values
    }
}
