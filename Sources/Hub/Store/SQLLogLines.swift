import Model

extension SQLTransaction {
    /// So much of the logs is looked at for one page at most, in bytes; the next page goes on there.
    private static let scanBytesMax = 8 << 20
    private static let piecesAtOnce = 64
    /// With so many logs to look into, going through all of them by time costs less.
    private static let logsNamedMax = 2000

    func logLines(_ filter: LogFilter) throws -> LogPage {
        let owners = Self.owners(filter)
        // Going through the pieces needs to know of the logs only when there are too many to name.
        var place = "log_pieces p WHERE 1 = 1"
        var arguments: [(any SQLEncodable)?] = []
        if owners.conditions.count > 1 {
            if let numbers = try logNumbers(owners) {
                guard !numbers.isEmpty else { return LogPage(lines: [], end: nil, hasMore: false) }
                place = "log_pieces p WHERE p.log IN (\(numbers.map(String.init).joined(separator: ",")))"
            } else {
                // A cross join is made in this order by SQLite: by time, not by log.
                place = "log_pieces p CROSS JOIN logs l CROSS JOIN resources r WHERE l.log = p.log AND \(owners.text)"
                arguments = owners.arguments
            }
        }
        if let level = filter.level { place += " AND p.levels & \(level.bit) <> 0" }
        for (time, comparison) in [(filter.since, ">="), (filter.until, "<")] {
            guard let time else { continue }
            place += " AND p.time \(comparison) ?"
            arguments.append(time.millisecondsSinceEpoch)
        }
        return try scan(filter, place, arguments)
    }

    private static let isOwner =
        "r.kind = CASE l.source WHEN 'build' THEN 'deployment' ELSE l.source END AND r.id = l.id"

    /// Of the logs and of those who write them: `r` is the resource.
    private struct Owners {
        var conditions: [String]
        var arguments: [(any SQLEncodable)?]
        var text: String { conditions.joined(separator: " AND ") }
    }

    private static func owners(_ filter: LogFilter) -> Owners {
        var conditions = [isOwner]
        var arguments: [(any SQLEncodable)?] = []
        func require(_ condition: String, _ values: String?...) {
            guard values.allSatisfy({ $0 != nil }) else { return }
            conditions.append(condition)
            arguments += values
        }
        require(
            "(l.source = 'service' AND l.id = ? OR l.source = 'build' AND r.parent_id = ?)", filter.serviceId,
            filter.serviceId)
        require("r.tenant_id = ?", filter.tenantId)
        require("(l.source = 'webroot' AND l.id = ? OR r.parent_id = ?)", filter.webrootId, filter.webrootId)
        require("l.source = 'cron-job' AND l.id = ?", filter.cronJobId)
        require("l.node_id = ?", filter.nodeId)
        require("l.source = ?", filter.type)
        if case .only(let brands) = filter.brands {
            let marks = brands.map { _ in "?" }.joined(separator: ",")
            conditions.append(brands.isEmpty ? "1 = 0" : "r.brand_id IN (\(marks))")
            arguments += brands
        }
        return Owners(conditions: conditions, arguments: arguments)
    }

    /// The logs that are meant; nil when there are too many to name them.
    private func logNumbers(_ owners: Owners) throws -> [Int64]? {
        let found = try rows(
            "SELECT l.log FROM logs l JOIN resources r ON \(owners.text) LIMIT \(Self.logsNamedMax + 1)",
            owners.arguments)
        return found.count > Self.logsNamedMax ? nil : found.map { $0[0] }
    }

    private func scan(_ filter: LogFilter, _ place: String, _ arguments: [(any SQLEncodable)?]) throws -> LogPage {
        var search = LogSearch(filter)
        while true {
            let (onward, more) = search.condition
            let found = try rows(
                "SELECT p.time, p.id FROM \(place) \(onward) ORDER BY \(search.order) LIMIT \(Self.piecesAtOnce)",
                arguments + more.map { $0 as (any SQLEncodable)? })
            for piece in found where !search.isFull {
                let (timeMs, id): (Int64, Int64) = (piece[0], piece[1])
                let content = try row(
                    """
                    SELECT p.text, l.source, l.id, r.parent_id, r.tenant_id, l.node_id
                    FROM log_pieces p JOIN logs l ON l.log = p.log JOIN resources r ON \(Self.isOwner) WHERE p.id = ?
                    """, [id])
                // What is left of a resource that is gone is nobody's to read.
                guard let content else {
                    search.pass(timeMs: timeMs, piece: id)
                    continue
                }
                search.take(
                    timeMs: timeMs, piece: id, content[0],
                    LogLine(
                        place: .init(timeMs: 0, piece: 0, line: 0), type: content[1], ownerId: content[2],
                        parentId: content[3], tenantId: content[4], nodeId: content[5], level: .info, message: ""))
            }
            if search.isFull || search.bytes >= Self.scanBytesMax { return search.page(hasMore: true) }
            if found.count < Self.piecesAtOnce { return search.page(hasMore: false) }
        }
    }

    func removeLogs(before time: Timestamp, bytesMax: Int64) throws -> Int64 {
        try execute(
            """
            DELETE FROM logs WHERE NOT EXISTS (SELECT 1 FROM resources r WHERE r.id = logs.id AND
            r.kind = CASE logs.source WHEN 'build' THEN 'deployment' ELSE logs.source END)
            """, [])
        let total: Int64 = try row("SELECT CAST(coalesce(sum(bytes), 0) AS BIGINT) FROM logs", [])?[0] ?? 0
        var removed: Int64 = 0
        for _ in 0..<Self.removalsMax {
            let oldest = try rows(
                "SELECT id, log, length(text), time FROM log_pieces ORDER BY time, id LIMIT \(Self.removedAtOnce)", [])
            var gone: [Int64] = []
            var sizes: [Int64: Int64] = [:]
            for piece in oldest {
                guard piece[3] < time.millisecondsSinceEpoch || total - removed > bytesMax else { break }
                gone.append(piece[0])
                sizes[piece[1], default: 0] += piece[2] as Int64
                removed += piece[2] as Int64
            }
            guard !gone.isEmpty else { break }
            try execute("DELETE FROM log_pieces WHERE id IN (\(gone.map(String.init).joined(separator: ",")))", [])
            for (log, size) in sizes { try execute("UPDATE logs SET bytes = bytes - ? WHERE log = ?", [size, log]) }
            if gone.count < oldest.count { break }
        }
        return removed
    }

    /// One transaction removes so many times so many pieces at most; the next look goes on.
    private static let removalsMax = 50
    private static let removedAtOnce = 500
}

/// Picks the lines that match out of pieces, in their order, until there are enough.
private struct LogSearch {
    private let filter: LogFilter
    private let text: [UInt8]
    private var lines: [LogLine] = []
    private var last: LogPlace?
    private(set) var bytes = 0

    init(_ filter: LogFilter) {
        self.filter = filter
        text = (filter.text ?? "").utf8.map(LogLines.lower)
        last = filter.after ?? filter.before
    }

    private var isForward: Bool { filter.after != nil }
    var isFull: Bool { lines.count >= filter.limit }
    var order: String { isForward ? "p.id" : "p.time DESC, p.id DESC" }

    /// Which pieces come next. One that was not taken to its end comes again.
    var condition: (String, [Int64]) {
        guard let last else { return ("", []) }
        guard !isForward else { return ("AND p.id \(last.line == .max ? ">" : ">=") ?", [last.piece]) }
        let comparison = last.line == 0 ? "<" : "<="
        return ("AND (p.time, p.id) \(comparison) (?, ?)", [last.timeMs, last.piece])
    }

    mutating func take(timeMs: Int64, piece: Int64, _ content: [UInt8], _ owner: LogLine) {
        bytes += content.count
        let all = LogLines.split(content)
        var numbers = Array(all.indices)
        if let last, last.piece == piece { numbers.removeAll { isForward ? $0 <= last.line : $0 >= last.line } }
        for number in isForward ? numbers : numbers.reversed() {
            guard !isFull else { return }
            last = LogPlace(timeMs: timeMs, piece: piece, line: number)
            let level = LogLines.level(of: all[number])
            guard filter.level.map({ $0 == level }) ?? true, LogLines.contains(all[number], text) else { continue }
            var line = owner
            line.place = LogPlace(timeMs: timeMs, piece: piece, line: number)
            line.level = level
            line.message = String(decoding: all[number], as: UTF8.self)
            lines.append(line)
        }
        if !isFull { pass(timeMs: timeMs, piece: piece) }
    }

    /// Done with a piece, whatever it holds.
    mutating func pass(timeMs: Int64, piece: Int64) {
        last = LogPlace(timeMs: timeMs, piece: piece, line: isForward ? .max : 0)
    }

    func page(hasMore: Bool) -> LogPage { LogPage(lines: lines, end: last, hasMore: hasMore) }
}
