import FoundationEssentials
import GRDB
import Model

/// A SQLite connection inside a transaction.
struct SQLiteDatabase: SQLDatabase {
    let db: Database
    var dialect: SQLDialect { .sqlite }

    private static func arguments(_ values: [SQLValue]) -> StatementArguments {
        StatementArguments(
            values.map { value -> (any DatabaseValueConvertible)? in
                switch value {
                case .null: nil
                case .int(let number): number
                case .double(let number): number
                case .text(let text): text
                case .bytes(let bytes): Data(bytes)
                }
            })
    }

    func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow] {
        try Row.fetchAll(try db.cachedStatement(sql: sql), arguments: Self.arguments(arguments))
            .map { SQLRow(cells: SQLiteCells(row: $0)) }
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws -> Int {
        try db.cachedStatement(sql: sql).execute(arguments: Self.arguments(arguments))
        return db.changesCount
    }
}

private struct SQLiteCells: SQLCells {
    let row: Row

    func isNull(_ index: Int) -> Bool { row.hasNull(atIndex: index) }
    func int(_ index: Int) -> Int64 { row[index] }
    func text(_ index: Int) -> String { row[index] }
    func bytes(_ index: Int) -> [UInt8] { Array(row[index] as Data) }
    func json(_ index: Int) -> JSONValue {
        switch (row[index] as DatabaseValue).storage {
        case .int64(let number): .int(number)
        case .double(let number): .double(number)
        case .string(let text): .string(text)
        case .null, .blob: .null
        }
    }
}
