import CRoost
import Glibc
public import Host
import Model
import Supervisor

/// Uploads in a folder: one file each, named by its digest.
public struct UploadFolder: Uploads {
    /// Largest upload as it is sent, in bytes.
    public static let uploadBytesMax: Int64 = 2_147_483_648
    private static let adoptTimeout: Duration = .seconds(300)
    private static let pieceBytes = 8_388_608

    private let folder: String
    private let archives: any Archives
    private let files = LiveFiles()

    public init(folder: String, archives: any Archives = LiveArchives()) {
        self.folder = folder
        self.archives = archives
    }

    public func receive<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) async throws -> StoredUpload
    where Pieces.Element == [UInt8] {
        try await files.makeFolder(folder, mode: 0o700)
        let temporary = "\(folder)/incoming-\(LiveRandom().hex(8))"
        do {
            try await store(temporary, pieces)
            let contents = try await archives.adopt(temporary, timeout: Self.adoptTimeout)
            guard let digest = try await files.digest(temporary), let size = try await files.size(temporary) else {
                throw Problem(.storage, "The upload is gone from the hub's disk.")
            }
            try await BlockingThreads.wait { try Self.sync(temporary) }
            try await files.move(temporary, to: "\(folder)/\(digest)")
            return StoredUpload(digest: digest, sizeBytes: size, contents: contents)
        } catch {
            try await files.remove(temporary)
            throw error
        }
    }

    private func store<Pieces: AsyncSequence & Sendable>(_ path: String, _ pieces: Pieces) async throws
    where Pieces.Element == [UInt8] {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw systemProblem("open", path) }
        defer { close(descriptor) }
        var size: Int64 = 0
        for try await piece in pieces {
            size += Int64(piece.count)
            guard size <= Self.uploadBytesMax else {
                throw Problem(.tooLarge, "An upload must have at most \(Self.uploadBytesMax) bytes.")
            }
            try await BlockingThreads.shared.run { try FileCalls.writeAll(descriptor, piece, path) }
        }
        guard size > 0 else { throw Problem(.invalid, "The upload is empty.", hint: "Send a tar, tar.gz or zip.") }
    }

    public func read(_ digest: String, offset: Int64, count: Int) async throws -> [UInt8]? {
        guard Self.isDigest(digest) else { return nil }
        let path = "\(folder)/\(digest)"
        guard try await files.size(path) != nil else { return nil }
        return try await files.read(path, offset: offset, count: min(count, Self.pieceBytes))
    }

    public func keepOnly(_ digests: Set<String>, olderThan age: Duration) async throws {
        for name in try await files.list(folder) where !digests.contains(name) {
            let path = "\(folder)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            guard Int64(time(nil)) - Int64(info.st_mtim.tv_sec) > age.components.seconds else { continue }
            try await files.remove(path)
        }
    }

    private static func isDigest(_ text: String) -> Bool {
        text.utf8.count == 64 && text.utf8.allSatisfy { (48...57).contains($0) || (97...102).contains($0) }
    }

    private static func sync(_ path: String) throws {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemProblem("open", path) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else { throw systemProblem("fsync", path) }
    }
}
