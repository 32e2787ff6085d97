import Glibc
import Model

/// Why a statement failed.
struct PostgresError: Error {
    /// Five characters (PostgreSQL's manual, appendix A); nil when the connection broke.
    var state: String?
    var message: String

    /// The connection is of no use any more, or the server is going down or coming up.
    var isConnectionLoss: Bool {
        guard let state else { return true }
        return state.hasPrefix("08") || ["57P01", "57P02", "57P03", "25P03"].contains(state)
    }

    /// It lost against another transaction, and nothing was changed.
    var isConflict: Bool { state == "40001" || state == "40P01" }

    var problem: Problem {
        if isConnectionLoss {
            return Problem(
                .unavailable, "The database server is away.", hint: "Check that PostgreSQL runs and can be reached.",
                context: message)
        }
        switch state {
        case "53100":
            return Problem(
                .storage, "The database cannot grow because its disk is full; nothing was changed.",
                hint: "Free space on the database server.", context: message)
        case "57014": return Problem(.timeout, "The database took too long to answer.", context: message)
        case "53300":
            return Problem(.unavailable, "The database server has no free connection.", context: message)
        case "25006":
            return Problem(.storage, "The database server is read-only; nothing was changed.", context: message)
        default:
            return Problem(
                .storage, "The database refused the operation; nothing was changed.",
                context: "\(state ?? ""): \(message)")
        }
    }
}

/// One connection. Used by one thread at a time; that thread waits for the answers.
final class PostgresConnection {
    /// A statement with its arguments.
    typealias Statement = (sql: String, arguments: [SQLValue])

    private let pq: LibPQ
    private let connection: LibPQ.Connection
    private let answerTimeout: Duration
    /// SQL → name of the prepared statement.
    private var prepared: [String: String] = [:]
    private(set) var isBroken = false

    static let connectTimeoutSeconds = 5
    static let statementTimeout: Duration = .seconds(30)

    /// - Throws: ``PostgresError``; `unavailable` without the client library.
    init(_ address: PostgresAddress) throws {
        pq = try LibPQ.loaded.get()
        answerTimeout = Self.statementTimeout + .seconds(10)
        let settings = [
            ("dbname", address.url), ("connect_timeout", String(Self.connectTimeoutSeconds)),
            ("application_name", "roost"), ("client_encoding", "UTF8"), ("keepalives_idle", "10"),
            ("keepalives_interval", "5"), ("keepalives_count", "3"), ("tcp_user_timeout", "20000"),
        ]
        let names = settings.map { strdup($0.0) }
        let values = settings.map { strdup($0.1) }
        defer { for text in names + values { free(text) } }
        let keywords = names.map { UnsafePointer<CChar>($0) } + [nil]
        let settingsValues = values.map { UnsafePointer<CChar>($0) } + [nil]
        guard let connection = pq.connect(keywords, settingsValues, 1) else {
            throw PostgresError(state: nil, message: "out of memory")
        }
        self.connection = connection
        guard pq.status(connection) == LibPQ.Status.connectionOK else {
            let message = Self.text(pq.errorMessage(connection))
            throw PostgresError(state: nil, message: message)
        }
        guard pq.serverVersion(connection) >= 140_000 else {
            throw Problem(.storage, "The database server is older than PostgreSQL 14.")
        }
        _ = pq.setNonBlocking(connection, 1)
        let timeout = Self.statementTimeout.milliseconds
        try run(
            """
            SET statement_timeout = \(timeout); SET lock_timeout = \(timeout);
            SET idle_in_transaction_session_timeout = \(timeout); SET synchronous_commit = on;
            SET client_min_messages = warning; SET standard_conforming_strings = on
            """)
    }

    deinit { pq.finish(connection) }

    private static func text(_ pointer: UnsafePointer<CChar>?) -> String {
        pointer.map { String(cString: $0) } ?? ""
    }

    private func lost() -> PostgresError {
        isBroken = true
        return PostgresError(state: nil, message: Self.text(pq.errorMessage(connection)))
    }

    /// Statements without arguments.
    func run(_ sql: String) throws {
        guard pq.sendQuery(connection, sql) == 1 else { throw lost() }
        var failure: PostgresError?
        while let answer = try nextAnswer() {
            if case .failure(let error) = answer { failure = failure ?? error }
        }
        if let failure { throw failure }
    }

    func query(_ sql: String, _ arguments: [SQLValue]) throws -> PostgresAnswer {
        let name = try prepare(sql)
        try send(name, arguments)
        var result: Result<PostgresAnswer, PostgresError>?
        while let answer = try nextAnswer() { result = result ?? answer }
        guard let result else { throw lost() }
        return try result.get()
    }

    /// Sends all statements before it waits for the first answer. They are one transaction if they say so themselves.
    /// After one that fails, the rest of them are not run.
    func pipeline(_ statements: [Statement]) throws -> [Result<PostgresAnswer, PostgresError>] {
        let names = try statements.map { try prepare($0.sql) }
        guard pq.enterPipeline(connection) == 1 else { throw lost() }
        for (name, statement) in zip(names, statements) { try send(name, statement.arguments) }
        guard pq.pipelineSync(connection) == 1 else { throw lost() }
        var answers: [Result<PostgresAnswer, PostgresError>] = []
        while answers.count < statements.count {
            // Each statement's answers end with a nil.
            guard let answer = try nextAnswer() else { continue }
            answers.append(answer)
            _ = try nextAnswer()
        }
        guard let end = try nextRaw() else { throw lost() }
        defer { pq.clear(end) }
        guard pq.resultStatus(end) == LibPQ.Status.pipelineSync, pq.exitPipeline(connection) == 1 else { throw lost() }
        return answers
    }

    private func prepare(_ sql: String) throws -> String {
        if let name = prepared[sql] { return name }
        let name = "s\(prepared.count)"
        guard pq.sendPrepare(connection, name, Self.numbered(sql), 0, nil) == 1 else { throw lost() }
        var failure: PostgresError?
        while let answer = try nextAnswer() {
            if case .failure(let error) = answer { failure = failure ?? error }
        }
        if let failure { throw failure }
        prepared[sql] = name
        return name
    }

    /// `?` becomes `$1`, `$2` and so on. None of our statements has a question mark in a literal.
    static func numbered(_ sql: String) -> String {
        var number = 0
        var out = ""
        for character in sql {
            guard character == "?" else {
                out.append(character)
                continue
            }
            number += 1
            out += "$\(number)"
        }
        return out
    }

    private func send(_ name: String, _ arguments: [SQLValue]) throws {
        // Text is sent with its length left out, so it ends at a NUL, which PostgreSQL cannot store anyway: a visible
        // sign takes its place. Bytes are sent as they are.
        var buffers: [UnsafeMutablePointer<CChar>?] = []
        var lengths: [Int32] = []
        var formats: [Int32] = []
        defer { for buffer in buffers { free(buffer) } }
        for argument in arguments {
            switch argument {
            case .null: buffers.append(nil)
            case .int(let number): buffers.append(strdup(String(number)))
            case .double(let number): buffers.append(strdup("\(number)"))
            case .text(let text):
                let hasNUL = text.utf8.contains(0)
                let parts = hasNUL ? text.split(separator: "\0", omittingEmptySubsequences: false) : []
                buffers.append(strdup(hasNUL ? parts.joined(separator: "\u{2400}") : text))
            case .bytes(let bytes):
                let copy = malloc(max(bytes.count, 1))!.assumingMemoryBound(to: CChar.self)
                bytes.withUnsafeBytes { if let base = $0.baseAddress { memcpy(copy, base, bytes.count) } }
                buffers.append(copy)
            }
            if case .bytes(let bytes) = argument {
                lengths.append(Int32(bytes.count))
                formats.append(1)
            } else {
                lengths.append(0)
                formats.append(0)
            }
        }
        let values = buffers.map { $0.map { UnsafePointer($0) } }
        guard pq.sendPrepared(connection, name, Int32(arguments.count), values, lengths, formats, 0) == 1 else {
            throw lost()
        }
    }

    /// The next answer; nil at the end of a statement's answers.
    private func nextAnswer() throws -> Result<PostgresAnswer, PostgresError>? {
        guard let raw = try nextRaw() else { return nil }
        let status = pq.resultStatus(raw)
        if status == LibPQ.Status.commandOK || status == LibPQ.Status.rows {
            return .success(PostgresAnswer(pq, raw))
        }
        defer { pq.clear(raw) }
        if status == LibPQ.Status.pipelineAborted {
            return .failure(PostgresError(state: "25P02", message: "a statement before this one failed"))
        }
        let state = pq.errorField(raw, Int32(UInt8(ascii: "C"))).map { String(cString: $0) }
        let message = Self.text(pq.errorField(raw, Int32(UInt8(ascii: "M"))))
        let error = PostgresError(state: state, message: message)
        if error.isConnectionLoss {
            isBroken = true
            throw error
        }
        return .failure(error)
    }

    private func nextRaw() throws -> LibPQ.Result? {
        let deadline = Self.now() + answerTimeout
        while true {
            let unsent = pq.flush(connection)
            guard unsent >= 0 else { throw lost() }
            if unsent == 0, pq.isBusy(connection) == 0 { return pq.getResult(connection) }
            guard try wait(writes: unsent > 0, until: deadline) else {
                isBroken = true
                throw PostgresError(state: nil, message: "no answer within \(answerTimeout)")
            }
            guard pq.consumeInput(connection) == 1 else { throw lost() }
        }
    }

    private static func now() -> Duration {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
    }

    private func wait(writes: Bool, until deadline: Duration) throws -> Bool {
        let left = (deadline - Self.now()).milliseconds
        guard left > 0 else { return false }
        var entry = pollfd(
            fd: pq.socket(connection), events: Int16(POLLIN) | (writes ? Int16(POLLOUT) : 0), revents: 0)
        let count = poll(&entry, 1, Int32(min(left, 60_000)))
        if count < 0, errno != EINTR { throw lost() }
        return true
    }

    /// Payloads of notifications that came within this time; the channel is one that was listened to.
    func notifications(within timeout: Duration) throws -> [String] {
        _ = try wait(writes: false, until: Self.now() + timeout)
        guard pq.consumeInput(connection) == 1 else { throw lost() }
        var payloads: [String] = []
        while let notification = pq.notifies(connection) {
            payloads.append(Self.text(notification.load(as: LibPQ.Notification.self).payload))
            pq.freeMemory(notification)
        }
        return payloads
    }
}

/// What a statement answered.
final class PostgresAnswer {
    private let pq: LibPQ
    private let result: LibPQ.Result

    init(_ pq: LibPQ, _ result: LibPQ.Result) {
        self.pq = pq
        self.result = result
    }

    deinit { pq.clear(result) }

    var rows: [SQLRow] { (0..<pq.rowCount(result)).map { SQLRow(cells: Cells(answer: self, row: $0)) } }
    var changedRows: Int { pq.changedRows(result).flatMap { Int(String(cString: $0)) } ?? 0 }

    private struct Cells: SQLCells {
        let answer: PostgresAnswer
        let row: Int32

        private func raw(_ index: Int) -> UnsafeRawBufferPointer {
            let pointer = answer.pq.value(answer.result, row, Int32(index))
            return UnsafeRawBufferPointer(
                start: pointer, count: Int(answer.pq.length(answer.result, row, Int32(index))))
        }

        func isNull(_ index: Int) -> Bool { answer.pq.isNull(answer.result, row, Int32(index)) != 0 }
        func text(_ index: Int) -> String { String(decoding: raw(index), as: UTF8.self) }
        func int(_ index: Int) -> Int64 { Int64(text(index)) ?? 0 }

        /// `\x` and two digits a byte (PostgreSQL's manual, "Binary Data Types").
        func bytes(_ index: Int) -> [UInt8] {
            func digit(_ byte: UInt8) -> UInt8 { byte < 58 ? byte - 48 : byte - 87 }
            let digits = raw(index).dropFirst(2)
            var out: [UInt8] = []
            out.reserveCapacity(digits.count / 2)
            var place = digits.startIndex
            while place + 1 < digits.endIndex {
                out.append(digit(digits[place]) << 4 | digit(digits[place + 1]))
                place += 2
            }
            return out
        }

        func json(_ index: Int) -> JSONValue {
            if isNull(index) { return .null }
            switch answer.pq.columnType(answer.result, Int32(index)) {
            case 20, 21, 23: return .int(int(index))
            case 700, 701, 1700: return .double(Double(text(index)) ?? 0)
            default: return .string(text(index))
            }
        }
    }
}

/// A PostgreSQL connection inside a transaction.
struct PostgresDatabase: SQLDatabase {
    let connection: PostgresConnection
    var dialect: SQLDialect { .postgres }

    func rows(_ sql: String, _ arguments: [SQLValue]) throws -> [SQLRow] {
        try connection.query(sql, arguments).rows
    }

    func execute(_ sql: String, _ arguments: [SQLValue]) throws -> Int {
        try connection.query(sql, arguments).changedRows
    }
}
