import AgentProtocol
import Host
import Model

/// A log that the hub should see: all units whose id begins with the prefix write to it.
struct LogSource: Sendable, Hashable {
    /// `build` or `service`.
    var source: String
    var id: String
    var unitPrefix: String
}

/// Sends what builds and services print to the hub as it appears. Best effort: the files on the server are complete
/// (within their rotation), the hub's copy is bounded in rate and size.
actor LogShipper {
    private static let chunkBytesMax = 65_536
    private static let pause: Duration = .milliseconds(150)

    /// Positions are kept on disk this often: what is sent again after a crash is no more than came in that time.
    private static let keepingPause: Duration = .seconds(2)

    private struct Position: Codable, Equatable {
        var fileOffset: Int64 = 0
        var streamOffset: Int64 = 0
    }

    private let host: Host
    private let hub: SignedHub
    private let logFolder: String
    private let memory: String
    private var positions: [String: Position] = [:]
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

    private func keep() async throws {
        let now = host.clock.monotonic()
        guard positions != kept, now - keptAt >= Self.keepingPause else { return }
        let (host, memory, positions) = (host, memory, positions)
        try await host.effect("logs.positions.write") { try await JSONFile.write(positions, memory, host.files) }
        kept = positions
        keptAt = now
    }

    private func pass(_ sources: [LogSource]) async throws -> Bool {
        var chunks: [LogChunk] = []
        var next = positions
        let units = try await host.files.list(logFolder)
        for source in sources {
            for unit in units where unit.hasPrefix(source.unitPrefix) {
                if let chunk = try await chunk(of: source, unit: unit, &next) { chunks.append(chunk) }
            }
        }
        next = next.filter { units.contains($0.key) }
        if !chunks.isEmpty { _ = try await hub.post("/api/v1/agent/logs", LogBatch(chunks: chunks)) }
        positions = next
        return !chunks.isEmpty
    }

    private func chunk(of source: LogSource, unit: String, _ positions: inout [String: Position]) async throws
        -> LogChunk?
    {
        let path = "\(logFolder)/\(unit)/current.log"
        guard let size = try await host.files.size(path) else { return nil }
        var position = positions[unit] ?? Position()
        if size < position.fileOffset { position.fileOffset = 0 }
        var bytes = try await host.files.read(path, offset: position.fileOffset, count: Self.chunkBytesMax)
        if bytes.count == Self.chunkBytesMax, size - position.fileOffset > 16 * Int64(Self.chunkBytesMax) {
            // Far behind a flood: go on near its end, and leave the gap visible through the offset.
            let skip = size - position.fileOffset - Int64(Self.chunkBytesMax)
            position.fileOffset += skip
            position.streamOffset += skip
            bytes = try await host.files.read(path, offset: position.fileOffset, count: Self.chunkBytesMax)
        }
        positions[unit] = position
        guard !bytes.isEmpty else { return nil }
        positions[unit]?.fileOffset += Int64(bytes.count)
        positions[unit]?.streamOffset += Int64(bytes.count)
        return LogChunk(
            source: source.source, id: source.id, offset: source.source == "build" ? position.streamOffset : -1,
            text: String(decoding: bytes, as: UTF8.self))
    }
}
