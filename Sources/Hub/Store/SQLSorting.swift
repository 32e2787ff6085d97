import ResourceKit

/// How lists sort by a field.
enum SQLSorting {
    /// The column whose JSON holds a field.
    enum Column: String { case spec, state }

    /// Fields of one value that are not secret, each with its column; a declared field hides a reported one.
    static func fields(of kind: ResourceKind) -> [(name: String, column: Column)] {
        var found: [(name: String, column: Column)] = []
        for (fields, column) in [(kind.fields, Column.spec), (kind.reported, .state)] {
            for field in fields where !field.isSecret && isPlain(field.name) {
                switch field.kind {
                case .list, .map, .object, .environmentValue: continue
                default: if !found.contains(where: { $0.name == field.name }) { found.append((field.name, column)) }
                }
            }
        }
        return found
    }

    /// Fields that lists sort by with the help of an index.
    static func indexedFields(of kind: ResourceKind) -> [String] {
        let sortable = Set(fields(of: kind).map(\.name))
        var names: [String] = []
        for name in kind.columns + kind.searched where !names.contains(name) && sortable.contains(name) {
            names.append(name)
        }
        return names
    }

    /// Declared fields that hold the id of another resource. They have an index: whenever a resource is deleted, what
    /// refers to it is looked for.
    static func referenceFields(of kind: ResourceKind) -> [String] {
        kind.fields.compactMap { field in
            guard case .reference = field.kind, !field.isSecret, isPlain(field.name) else { return nil }
            return field.name
        }
    }

    /// Fields that have an index, each with whether it has one below a parent as well.
    static func indexes(of kind: ResourceKind) -> [(field: String, isAlsoByParent: Bool)] {
        let sorting = indexedFields(of: kind)
        let others = referenceFields(of: kind).filter { !sorting.contains($0) }
        return sorting.map { ($0, kind.parent != nil) } + others.map { ($0, false) }
    }

    /// SQL that sorts by a field of one value; nil when there is no such field, or it is secret, or a list. Numbers
    /// come before texts, and a missing value counts as the empty text.
    static func expression(_ kind: ResourceKind, _ name: String, _ dialect: SQLDialect) -> String? {
        guard let found = fields(of: kind).first(where: { $0.name == name }) else { return nil }
        if dialect == .sqlite { return "ifnull(json_extract(\(found.column.rawValue), '$.\(name)'), '')" }
        // The greatest number stands for a missing one: cursors are JSON, which has no infinity.
        if isNumeric(name, kind) { return "coalesce((sort_keys ->> '\(found.name)')::float8, 1.7e308)" }
        return "(coalesce(sort_keys ->> '\(found.name)', '') COLLATE \"C\")"
    }

    /// Whether a field sorts as a number.
    static func isNumeric(_ name: String, _ kind: ResourceKind) -> Bool {
        switch (kind.fields.first { $0.name == name } ?? kind.reported.first { $0.name == name })?.kind {
        case .integer, .number, .duration, .size: true
        default: false
        }
    }

    /// Whether a name can be written into SQL as it is. Kinds and fields are declared by us; this keeps it that way.
    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy { (97...122).contains($0) || (48...57).contains($0) || $0 == 95 || $0 == 45 }
    }

    static func indexName(_ kind: ResourceKind, _ field: String, byParent: Bool) -> String {
        "\"sort_\(kind.name)_\(field)\(byParent ? "_parent" : "")\""
    }
}
