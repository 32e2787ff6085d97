import Model

/// A connection inside a transaction. Statements are written in the SQL that SQLite and PostgreSQL share, with `?` for
/// arguments; where they differ, ``SQLDialect`` decides.
protocol SQLDatabase {
    var dialect: SQLDialect { get }
    func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow]
    /// Number of rows that were changed.
    func execute(_ sql: String, _ arguments: [SQLValue]) throws -> Int
}

enum SQLDialect: Sendable { case sqlite, postgres }

/// An argument of a statement.
enum SQLValue: Sendable, Equatable {
    case null
    case int(Int64)
    case double(Double)
    case text(String)
    case bytes([UInt8])
}

protocol SQLEncodable { var sqlValue: SQLValue { get } }

extension String: SQLEncodable { var sqlValue: SQLValue { .text(self) } }
extension Int64: SQLEncodable { var sqlValue: SQLValue { .int(self) } }
extension Int: SQLEncodable { var sqlValue: SQLValue { .int(Int64(self)) } }
extension Bool: SQLEncodable { var sqlValue: SQLValue { .int(self ? 1 : 0) } }
extension Double: SQLEncodable { var sqlValue: SQLValue { .double(self) } }
extension [UInt8]: SQLEncodable { var sqlValue: SQLValue { .bytes(self) } }

/// Cells of one row.
protocol SQLCells {
    func isNull(_ index: Int) -> Bool
    func int(_ index: Int) -> Int64
    func text(_ index: Int) -> String
    func bytes(_ index: Int) -> [UInt8]
    /// The value as a list's cursor keeps it.
    func json(_ index: Int) -> JSONValue
}

protocol SQLDecodable { static func read(_ cells: any SQLCells, _ index: Int) -> Self }

extension String: SQLDecodable { static func read(_ cells: any SQLCells, _ index: Int) -> String { cells.text(index) } }
extension Int64: SQLDecodable { static func read(_ cells: any SQLCells, _ index: Int) -> Int64 { cells.int(index) } }
extension Int: SQLDecodable { static func read(_ cells: any SQLCells, _ index: Int) -> Int { Int(cells.int(index)) } }
extension Bool: SQLDecodable { static func read(_ cells: any SQLCells, _ index: Int) -> Bool { cells.int(index) != 0 } }
extension [UInt8]: SQLDecodable {
    static func read(_ cells: any SQLCells, _ index: Int) -> [UInt8] { cells.bytes(index) }
}
extension JSONValue: SQLDecodable {
    static func read(_ cells: any SQLCells, _ index: Int) -> JSONValue { cells.json(index) }
}
extension Optional: SQLDecodable where Wrapped: SQLDecodable {
    static func read(_ cells: any SQLCells, _ index: Int) -> Wrapped? {
        cells.isNull(index) ? nil : Wrapped.read(cells, index)
    }
}

/// One row of an answer. Columns are read by number, as the type that is asked for.
struct SQLRow {
    let cells: any SQLCells
    subscript<Value: SQLDecodable>(_ index: Int) -> Value { Value.read(cells, index) }
}
