import AgentProtocol
public import Host
import Model
import Synchronization

/// Uploads in memory, unchecked: what archives may hold is tested with the live ones. They outlive a simulated hub.
public final class SimulatedUploads: Uploads {
    private let kept = Mutex<[String: [UInt8]]>([:])

    public init() {}

    public func receive<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) async throws -> StoredUpload
    where Pieces.Element == [UInt8] {
        var bytes: [UInt8] = []
        for try await piece in pieces { bytes += piece }
        let (digest, content) = (sha256Hex(bytes), bytes)
        kept.withLock { $0[digest] = content }
        return StoredUpload(
            digest: digest, sizeBytes: Int64(bytes.count), contents: .init(files: 1, sizeBytes: Int64(bytes.count)))
    }

    public func read(_ digest: String, offset: Int64, count: Int) async throws -> [UInt8]? {
        kept.withLock { $0[digest].map { Array($0.dropFirst(Int(offset)).prefix(count)) } }
    }

    public func keepOnly(_ digests: Set<String>, olderThan age: Duration) async throws {
        kept.withLock { $0 = $0.filter { digests.contains($0.key) } }
    }
}

/// tar of a simulated machine: the tree that it makes is known by the digest of the archive.
struct SimulatedArchives: Archives {
    let disk: SimulatedDisk
    let clock: VirtualTime

    func adopt(_ path: String, timeout: Duration) async throws -> ArchiveContents {
        ArchiveContents(files: 1, sizeBytes: try await disk.size(path) ?? 0)
    }

    func unpack(_ path: String, to folder: String, timeout: Duration) async throws {
        guard let digest = try await disk.digest(path) else { throw Problem(.invalid, "There is no archive.") }
        try await clock.sleep(for: .milliseconds(30))
        try await disk.remove(folder)
        disk.put("\(folder)/COMMIT", Array(digest.utf8))
    }
}

/// A world in which nobody asked to be called.
struct NoCallbacks: CallbackSender {
    func post(_ url: String, headers: [String: String], body: [UInt8], timeout: Duration) async throws -> Int {
        throw Problem(.unavailable, "Nobody answers in the simulation.")
    }
}
