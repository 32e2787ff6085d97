import Model

extension SQLTransaction {
    /// Text that arrives in small pieces is stored together up to this size, in bytes.
    private static let chunkBytes = 16_384

    func appendLog(_ log: LogName, offset: Int64, text: String, bytesMax: Int) throws {
        let (number, end) = try openLog(log)
        var bytes = Array(text.utf8)
        guard offset + Int64(bytes.count) > end else { return }
        bytes.removeFirst(Int(max(0, end - offset)))
        var start = max(offset, end)
        let newEnd = start + Int64(bytes.count)
        var gap = start - end
        if bytes.count > bytesMax {
            start += Int64(bytes.count - bytesMax)
            bytes.removeFirst(bytes.count - bytesMax)
        }
        if gap == 0 { try fillLastChunk(number, &start, &bytes) }
        while !bytes.isEmpty {
            let piece = Array(bytes.prefix(Self.chunkBytes))
            try execute(
                "INSERT INTO log_chunks (log, start, gap, text) VALUES (?, ?, ?, ?)",
                [number, start, gap, piece])
            bytes.removeFirst(piece.count)
            start += Int64(piece.count)
            gap = 0
        }
        try execute("UPDATE logs SET stream_end = ? WHERE log = ?", [newEnd, number])
        try trimLog(number, bytesMax: bytesMax)
    }

    private func openLog(_ log: LogName) throws -> (number: Int64, end: Int64) {
        try execute(
            "INSERT INTO logs (source, id, node_id, stream_end) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING",
            [log.source, log.id, log.nodeId])
        let row = try row(
            "SELECT log, stream_end FROM logs WHERE source = ? AND id = ? AND node_id = ?",
            [log.source, log.id, log.nodeId])
        guard let row else { throw Problem(.storage, "A log could not be opened.") }
        return (row[0], row[1])
    }

    private func fillLastChunk(_ number: Int64, _ start: inout Int64, _ bytes: inout [UInt8]) throws {
        let last = try row(
            "SELECT start, length(text) FROM log_chunks WHERE log = ? ORDER BY start DESC LIMIT 1", [number])
        guard let last, (last[0] as Int64) + (last[1] as Int64) == start else { return }
        let piece = Array(bytes.prefix(max(0, Self.chunkBytes - Int(last[1] as Int64))))
        guard !piece.isEmpty else { return }
        try execute(
            isPostgres
                ? "UPDATE log_chunks SET text = text || ?::bytea WHERE log = ? AND start = ?"
                : "UPDATE log_chunks SET text = CAST(text || ? AS BLOB) WHERE log = ? AND start = ?",
            [piece, number, last[0] as Int64])
        start += Int64(piece.count)
        bytes.removeFirst(piece.count)
    }

    private func trimLog(_ number: Int64, bytesMax: Int) throws {
        let total: Int64 =
            try row("SELECT coalesce(sum(length(text)), 0) FROM log_chunks WHERE log = ?", [number])?[0] ?? 0
        var excess = total - Int64(bytesMax)
        while excess > 0 {
            let first = try row(
                "SELECT start, length(text) FROM log_chunks WHERE log = ? ORDER BY start LIMIT 1", [number])
            guard let first else { return }
            let start: Int64 = first[0]
            let length: Int64 = first[1]
            if length <= excess {
                try execute("DELETE FROM log_chunks WHERE log = ? AND start = ?", [number, start])
            } else {
                try execute(
                    """
                    UPDATE log_chunks SET start = start + ?, gap = 0,
                    text = substr(text, \(isPostgres ? "?::int" : "?"))
                    WHERE log = ? AND start = ?
                    """, [excess, excess + 1, number, start])
            }
            excess -= length
        }
    }

    func log(_ log: LogName, from offset: Int64, bytesMax: Int) throws -> LogText {
        let found = try row(
            "SELECT log, stream_end FROM logs WHERE source = ? AND id = ? AND node_id = ?",
            [log.source, log.id, log.nodeId])
        guard let found else { return LogText(offset: max(offset, 0), text: "", end: max(offset, 0)) }
        let number: Int64 = found[0]
        let end: Int64 = found[1]
        let offset = min(max(offset, 0), end)
        var reader = LogReader(from: offset, bytesMax: bytesMax)
        let first = try row(
            "SELECT coalesce(max(start), 0) FROM log_chunks WHERE log = ? AND start <= ?", [number, offset])
        var next: Int64 = first?[0] ?? 0
        while true {
            let page = try rows(
                "SELECT start, gap, text FROM log_chunks WHERE log = ? AND start >= ? ORDER BY start LIMIT 16",
                [number, next])
            guard let last = page.last,
                page.allSatisfy({ reader.take(start: $0[0], gap: $0[1], $0[2] as [UInt8]) })
            else { break }
            next = (last[0] as Int64) + 1
        }
        return reader.finished(streamEnd: end)
    }

    func logNames(source: String, id: String) throws -> [LogName] {
        try rows("SELECT node_id FROM logs WHERE source = ? AND id = ? ORDER BY node_id", [source, id])
            .map { LogName(source: source, id: id, nodeId: $0[0]) }
    }

    func removeLog(_ log: LogName) throws {
        try execute(
            "DELETE FROM logs WHERE source = ? AND id = ? AND node_id = ?", [log.source, log.id, log.nodeId])
    }
}

/// Puts the pieces of a log together for one read.
private struct LogReader {
    private let from: Int64
    private let bytesMax: Int
    private var begin: Int64?
    private var position: Int64
    private var bytes: [UInt8] = []
    private var isCut = false

    init(from: Int64, bytesMax: Int) {
        self.from = from
        self.bytesMax = bytesMax
        position = from
    }

    /// Adds a piece; false when there is no room for more.
    mutating func take(start: Int64, gap: Int64, _ data: [UInt8]) -> Bool {
        let pieceEnd = start + Int64(data.count)
        guard pieceEnd > from else { return true }
        var piece = data
        piece.removeFirst(Int(max(0, from - start)))
        if begin == nil {
            begin = max(from, start)
            // A read from the middle, or a cut of old text, may start inside a character.
            piece.removeFirst(min(piece.prefix { $0 & 0xC0 == 0x80 }.count, 3))
        }
        if gap > 0, start >= from {
            bytes.append(contentsOf: "\n[\(gap) bytes of output are missing here]\n".utf8)
        }
        let room = max(bytesMax - bytes.count, 0)
        let taken = piece.count > room ? Self.wholeCharacters(piece, room) : piece
        bytes.append(contentsOf: taken)
        isCut = taken.count < piece.count
        position = pieceEnd - Int64(piece.count - taken.count)
        return !isCut
    }

    /// At most `count` bytes, without a half character at the end.
    private static func wholeCharacters(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
        var end = count
        while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return Array(bytes.prefix(end))
    }

    func finished(streamEnd: Int64) -> LogText {
        LogText(
            offset: begin ?? from, text: String(decoding: bytes, as: UTF8.self), end: isCut ? position : streamEnd)
    }
}
