import AgentProtocol
import Host
import Model

/// A log that the hub should see: all units whose id begins with the prefix write to it.
struct LogSource: Sendable, Hashable {
    /// `build` or `service`.
    var source: String
    /// Nil when it is the rest of the folder's name behind the prefix.
    var id: String?
    var unitPrefix: String

    func id(of folder: String) -> String { id ?? String(folder.dropFirst(unitPrefix.count)) }
}

/// Sends what builds and services print to the hub as it appears. What it sends, the hub takes once: every piece says
/// which stream it is of and where in it. The files on the server are complete (within their rotation); the hub's copy
/// is bounded in rate and size.
actor LogShipper {
    private static let chunkBytesMax = 65_536
    private static let pause: Duration = .milliseconds(150)
    /// How long a line that is not at its end yet is waited for: lines are sent whole, so that those of several
    /// instances do not get into each other.
    private static let lineWait: Duration = .seconds(1)

    /// Positions are kept on disk this often: what is sent again after a crash is no more than came in that time.
    private static let keepingPause: Duration = .seconds(2)

    private struct Position: Codable, Equatable {
        /// Names one life of a log folder: one that was removed and made again is another stream. Nil in files of
        /// versions that had no streams.
        var stream: String?
        var fileOffset: Int64 = 0
        var streamOffset: Int64 = 0
    }

    private let host: Host
    private let hub: SignedHub
    private let logFolder: String
    private let memory: String
    private var positions: [String: Position] = [:]
    /// Since when the end of a log is a line without an end, and where the line begins.
    private var openLines: [String: (offset: Int64, since: Duration)] = [:]
    private var kept: [String: Position]?
    private var keptAt: Duration = .zero

    /// - Parameter memory: file that positions are kept in, for the agent after this one.
    init(host: Host, hub: SignedHub, logFolder: String, memory: String) {
        self.host = host
        self.hub = hub
        self.logFolder = logFolder
        self.memory = memory
    }

    func run(_ sources: @Sendable () -> [LogSource]) async {
        var failures = 0
        while !Task.isCancelled {
            do {
                try await recall()
                let sent = try await pass(sources())
                try await keep()
                failures = 0
                if !sent { try await host.clock.sleep(for: Self.pause) }
            } catch is CancellationError {
                return
            } catch {
                failures += 1
                // A cancelled sleep ends the loop at its head.
                try? await host.clock.sleep(for: .milliseconds(min(250 << min(failures, 6), 15_000)))
            }
        }
    }

    private func recall() async throws {
        guard kept == nil else { return }
        let known = try await JSONFile.read([String: Position].self, memory, host.files) ?? [:]
        positions = known
        kept = known
    }

    private func keep(isUrgent: Bool = false) async throws {
        let now = host.clock.monotonic()
        guard positions != kept, isUrgent || now - keptAt >= Self.keepingPause else { return }
        let (host, memory, positions) = (host, memory, positions)
        try await host.effect("logs.positions.write") { try await JSONFile.write(positions, memory, host.files) }
        kept = positions
        keptAt = now
    }

    private func pass(_ sources: [LogSource]) async throws -> Bool {
        var chunks: [LogChunk] = []
        let units = try await host.files.list(logFolder)
        positions = positions.filter { units.contains($0.key) }
        var next = positions
        for source in sources {
            for unit in units where unit.hasPrefix(source.unitPrefix) {
                if let chunk = try await chunk(of: source, unit: unit, &next) { chunks.append(chunk) }
            }
        }
        try await begin(next)
        if !chunks.isEmpty { _ = try await hub.post("/api/v1/agent/logs", LogBatch(chunks: chunks)) }
        positions = next
        return !chunks.isEmpty
    }

    /// A stream's name is kept before anything of it is sent: an agent after this one must go on with the same.
    private func begin(_ next: [String: Position]) async throws {
        var isNew = false
        for (unit, position) in next where positions[unit]?.stream != position.stream {
            positions[unit] = Position(
                stream: position.stream, fileOffset: positions[unit]?.fileOffset ?? 0,
                streamOffset: positions[unit]?.streamOffset ?? 0)
            isNew = true
        }
        if isNew { try await keep(isUrgent: true) }
    }

    /// Whether the hub has all of a log, or all that can be had of it.
    func hasShipped(_ unit: String) async throws -> Bool {
        let size = try await host.files.size("\(logFolder)/\(unit)/current.log") ?? 0
        guard let position = positions[unit] else { return size == 0 }
        // Less than a character is what is left of one that was never finished. A place behind the end is one in the
        // file before.
        return position.fileOffset <= size && position.fileOffset + 3 >= size
    }

    private func chunk(of source: LogSource, unit: String, _ positions: inout [String: Position]) async throws
        -> LogChunk?
    {
        var path = "\(logFolder)/\(unit)/current.log"
        guard var size = try await host.files.size(path) else { return nil }
        var position = positions[unit] ?? Position()
        if position.stream == nil { position.stream = host.random.hex(8) }
        if size < position.fileOffset {
            // The log was turned over: its rest is in the file before.
            let before = "\(logFolder)/\(unit)/1.log"
            let sizeBefore = try await host.files.size(before) ?? 0
            if sizeBefore > position.fileOffset {
                (path, size) = (before, sizeBefore)
            } else {
                position.fileOffset = 0
            }
        }
        var bytes = try await host.files.read(path, offset: position.fileOffset, count: Self.chunkBytesMax)
        if bytes.count == Self.chunkBytesMax, size - position.fileOffset > 16 * Int64(Self.chunkBytesMax) {
            // Far behind a flood: go on near its end, and leave the gap visible through the offset.
            let skip = size - position.fileOffset - Int64(Self.chunkBytesMax)
            position.fileOffset += skip
            position.streamOffset += skip
            bytes = try await host.files.read(path, offset: position.fileOffset, count: Self.chunkBytesMax)
        }
        var text = LogText.wholeCharacters(bytes)
        // In a file that was turned over, no line goes on.
        if !path.hasSuffix("/1.log") { text = wholeLines(text, unit, from: position.streamOffset) }
        positions[unit] = position
        guard !text.isEmpty else { return nil }
        positions[unit]?.fileOffset += Int64(text.utf8.count)
        positions[unit]?.streamOffset += Int64(text.utf8.count)
        return LogChunk(
            source: source.source, id: source.id(of: unit), offset: position.streamOffset, text: text,
            stream: position.stream, time: host.clock.now())
    }

    /// The text up to the end of its last line. What is left is the beginning of a line: it waits for its end, for a
    /// while, unless it fills a piece by itself.
    private func wholeLines(_ text: String, _ unit: String, from offset: Int64) -> String {
        if let end = text.utf8.lastIndex(of: UInt8(ascii: "\n")) {
            openLines[unit] = nil
            return String(decoding: text.utf8[...end], as: UTF8.self)
        }
        let now = host.clock.monotonic()
        let since = openLines[unit].flatMap { $0.offset == offset ? $0.since : nil } ?? now
        guard now - since < Self.lineWait, text.utf8.count < Self.chunkBytesMax - 3 else {
            openLines[unit] = nil
            return text
        }
        openLines[unit] = text.isEmpty ? nil : (offset, since)
        return ""
    }
}

/// Bytes of a log as text of the same length, so that places in the one are places in the other.
enum LogText {
    /// The text without the beginning of a character at its end. Each byte that belongs to no character becomes `?`.
    static func wholeCharacters(_ bytes: [UInt8]) -> String {
        if let text = String(validating: bytes, as: UTF8.self) { return text }
        var out: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let length = length(of: bytes[index])
            let end = index + length
            if length > 1, end > bytes.count, bytes[(index + 1)...].allSatisfy({ $0 & 0xC0 == 0x80 }) { break }
            if end <= bytes.count, String(validating: bytes[index..<end], as: UTF8.self) != nil {
                out += bytes[index..<end]
                index = end
            } else {
                out.append(UInt8(ascii: "?"))
                index += 1
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    /// By its first byte (RFC 3629 section 3).
    private static func length(of first: UInt8) -> Int {
        switch first {
        case 0xC2...0xDF: 2
        case 0xE0...0xEF: 3
        case 0xF0...0xF4: 4
        default: 1
        }
    }
}
