public import Model

/// How much a line of a log matters.
public enum LogLevel: String, Sendable, CaseIterable {
    case error, warning, info, debug

    /// One bit each, to find the pieces of a log that hold lines of a level.
    var bit: Int64 {
        switch self {
        case .error: 1
        case .warning: 2
        case .info: 4
        case .debug: 8
        }
    }
}

/// Which lines of which logs: newest first, or in the order in which they arrived, from a place on.
public struct LogFilter: Sendable, Equatable {
    /// A service: its own output and that of its builds.
    public var serviceId: String?
    public var tenantId: String?
    public var webrootId: String?
    public var cronJobId: String?
    public var nodeId: String?
    /// `build`, or the name of the kind that writes.
    public var type: String?
    public var level: LogLevel?
    /// Only lines with this in them, in whatever case of a–z.
    public var text: String?
    public var since: Timestamp?
    public var until: Timestamp?
    public var brands: BrandFilter
    /// Lines that are older than this one, newest first; nil for the newest.
    public var before: LogPlace?
    /// Lines that arrived after this one, in the order of their arrival.
    public var after: LogPlace?
    public var limit: Int

    public init(brands: BrandFilter = .all, limit: Int = 50) {
        self.brands = brands
        self.limit = limit
    }
}

/// Where a line is: the piece that it came in, and which line of it.
public struct LogPlace: Sendable, Equatable {
    public var timeMs: Int64
    public var piece: Int64
    /// -1 stands before the first line.
    public var line: Int

    public init(timeMs: Int64, piece: Int64, line: Int) {
        self.timeMs = timeMs
        self.piece = piece
        self.line = line
    }

    /// `time.piece.line`, as cursors and ids show it.
    public var text: String { "\(timeMs).\(piece).\(line)" }

    /// - Returns: nil for what ``text`` never is.
    public init?(_ text: String) {
        let parts = text.utf8.count <= 60 ? text.split(separator: ".", omittingEmptySubsequences: false) : []
        guard parts.count == 3, parts.allSatisfy({ $0.utf8.allSatisfy(Names.isDigit) }), let time = Int64(parts[0]),
            let piece = Int64(parts[1]), let line = Int(parts[2])
        else { return nil }
        self.init(timeMs: time, piece: piece, line: line)
    }
}

/// One line of a log.
public struct LogLine: Sendable, Equatable {
    public var place: LogPlace
    /// `build`, or the name of the kind that wrote it.
    public var type: String
    /// Id of the deployment, service or whatever else wrote it.
    public var ownerId: String
    public var parentId: String?
    public var tenantId: String?
    public var nodeId: String
    public var level: LogLevel
    public var message: String
}

/// Some lines, and where to look for more.
public struct LogPage: Sendable, Equatable {
    public var lines: [LogLine]
    /// Where the search came to; nil when there was nothing to look at.
    public var end: LogPlace?
    /// Whether there may be more behind the end.
    public var hasMore: Bool
}

/// Lines in the bytes of a piece.
enum LogLines {
    /// All bits of all levels.
    static let anyLevel: Int64 = 15
    /// A level stands near the beginning of a line.
    private static let headBytes = 200

    /// The lines without their ends; none for what is empty.
    static func split(_ bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        if lines.last?.isEmpty == true { lines.removeLast() }
        return lines.map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
    }

    /// The levels of the lines of a piece, as bits.
    static func levels(in bytes: [UInt8]) -> Int64 {
        var bits: Int64 = 0
        for line in split(bytes) where bits != anyLevel { bits |= level(of: line).bit }
        return bits
    }

    /// What a line says of how much it matters: a priority of syslog (RFC 5424 section 6.2.1), or a word for a level
    /// that stands out: in capitals, in brackets or quotes, behind `=`, or before a colon. Any other line informs.
    static func level(of line: ArraySlice<UInt8>) -> LogLevel {
        let head = line.prefix(headBytes)
        if let level = priority(head) { return level }
        var start = head.startIndex
        while start < head.endIndex {
            guard isLetter(head[start]) else {
                start += 1
                continue
            }
            let end = head[start...].firstIndex { !isLetter($0) } ?? head.endIndex
            if (3...9).contains(end - start),
                let level = words[String(decoding: head[start..<end].map { $0 | 0x20 }, as: UTF8.self)],
                standsOut(head, start, end)
            {
                return level
            }
            start = end
        }
        return .info
    }

    private static func priority(_ head: ArraySlice<UInt8>) -> LogLevel? {
        guard head.first == UInt8(ascii: "<"), let end = head.prefix(5).firstIndex(of: UInt8(ascii: ">")),
            let number = Int(String(decoding: head[(head.startIndex + 1)..<end], as: UTF8.self)),
            (0...191).contains(number)
        else { return nil }
        switch number & 7 {
        case 0...3: return .error
        case 4: return .warning
        case 7: return .debug
        default: return .info
        }
    }

    private static func isLetter(_ byte: UInt8) -> Bool { (0x61...0x7A).contains(byte | 0x20) }

    private static func standsOut(_ head: ArraySlice<UInt8>, _ start: Int, _ end: Int) -> Bool {
        let before = start > head.startIndex ? head[start - 1] : UInt8(ascii: " ")
        let after = end < head.endIndex ? head[end] : UInt8(ascii: " ")
        // Parts of longer names: error_log, x-warning, E1.
        guard !"_-./".utf8.contains(before), !"_-/".utf8.contains(after), !Names.isDigit(before) else { return false }
        if head[start..<end].allSatisfy({ $0 & 0x20 == 0 }) { return true }
        return "[(<\"'=|".utf8.contains(before) || ":]>|".utf8.contains(after)
    }

    private static let words: [String: LogLevel] = [
        "emerg": .error, "emergency": .error, "alert": .error, "fatal": .error, "panic": .error, "critical": .error,
        "crit": .error, "severe": .error, "error": .error, "err": .error, "traceback": .error,
        "warning": .warning, "warn": .warning, "notice": .info, "info": .info, "debug": .debug, "dbg": .debug,
        "trace": .debug, "verbose": .debug,
    ]

    /// Whether a line has a text in it, in whatever case of a–z. The text is given in lower case.
    static func contains(_ line: ArraySlice<UInt8>, _ text: [UInt8]) -> Bool {
        guard let first = text.first else { return true }
        guard line.count >= text.count else { return false }
        for start in line.startIndex...(line.endIndex - text.count) where lower(line[start]) == first {
            if text.indices.allSatisfy({ lower(line[start + $0]) == text[$0] }) { return true }
        }
        return false
    }

    /// A–Z in lower case, all other bytes as they are.
    static func lower(_ byte: UInt8) -> UInt8 { (0x41...0x5A).contains(byte) ? byte | 0x20 : byte }
}
