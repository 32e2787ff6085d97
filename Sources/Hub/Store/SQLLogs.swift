import Model

extension SQLTransaction {
    /// A piece is as much as arrived at once, up to this size, in bytes.
    private static let pieceBytesMax = 65_536

    func appendLog(_ log: LogName, offset: Int64, text: String, time: Timestamp, bytesMax: Int) throws {
        let (number, end, kept) = try openLog(log)
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
        let added = Int64(bytes.count)
        var rest = bytes[...]
        while !rest.isEmpty {
            let piece = Array(rest.prefix(Self.pieceLength(rest)))
            try execute(
                "INSERT INTO log_pieces (log, start, gap, time, levels, text) VALUES (?, ?, ?, ?, ?, ?)",
                [number, start, gap, time.millisecondsSinceEpoch, LogLines.levels(in: piece), piece])
            rest.removeFirst(piece.count)
            start += Int64(piece.count)
            gap = 0
        }
        try execute(
            "UPDATE logs SET stream_end = ?, bytes = ? WHERE log = ?",
            [newEnd, min(kept + added, Int64(bytesMax)), number])
        try trimLog(number, excess: kept + added - Int64(bytesMax))
    }

    /// Whole lines, unless one alone is longer than a piece.
    private static func pieceLength(_ bytes: ArraySlice<UInt8>) -> Int {
        let piece = bytes.prefix(pieceBytesMax)
        guard piece.count < bytes.count, let end = piece.lastIndex(of: UInt8(ascii: "\n")) else { return piece.count }
        return piece.distance(from: piece.startIndex, to: end) + 1
    }

    private func openLog(_ log: LogName) throws -> (number: Int64, end: Int64, bytes: Int64) {
        try execute(
            "INSERT INTO logs (source, id, node_id, stream_end, bytes) VALUES (?, ?, ?, 0, 0) ON CONFLICT DO NOTHING",
            [log.source, log.id, log.nodeId])
        let row = try row(
            "SELECT log, stream_end, bytes FROM logs WHERE source = ? AND id = ? AND node_id = ?",
            [log.source, log.id, log.nodeId])
        guard let row else { throw Problem(.storage, "A log could not be opened.") }
        return (row[0], row[1], row[2])
    }

    private func trimLog(_ number: Int64, excess: Int64) throws {
        var excess = excess
        while excess > 0 {
            let first = try row(
                "SELECT start, length(text) FROM log_pieces WHERE log = ? ORDER BY start LIMIT 1", [number])
            guard let first else { return }
            let start: Int64 = first[0]
            let length: Int64 = first[1]
            if length <= excess {
                try execute("DELETE FROM log_pieces WHERE log = ? AND start = ?", [number, start])
            } else {
                try execute(
                    """
                    UPDATE log_pieces SET start = start + ?, gap = 0,
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
            "SELECT coalesce(max(start), 0) FROM log_pieces WHERE log = ? AND start <= ?", [number, offset])
        var next: Int64 = first?[0] ?? 0
        while true {
            let page = try rows(
                "SELECT start, gap, text FROM log_pieces WHERE log = ? AND start >= ? ORDER BY start LIMIT 16",
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
