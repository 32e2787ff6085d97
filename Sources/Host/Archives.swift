/// What is in an archive.
public struct ArchiveContents: Codable, Sendable, Equatable {
    /// Regular files.
    public var files: Int
    /// Size of all of them, unpacked.
    public var sizeBytes: Int64

    public init(files: Int, sizeBytes: Int64) {
        self.files = files
        self.sizeBytes = sizeBytes
    }
}

/// Archives that somebody sent: tar, tar.gz and zip.
public protocol Archives: Sendable {
    /// Checks an archive and turns a zip into a tar in place, so that tar is all that a server needs.
    /// - Throws: `invalid` for what is no archive, is broken, holds devices, or names a path outside; `too_large`.
    func adopt(_ path: String, timeout: Duration) async throws -> ArchiveContents
    /// Unpacks an adopted archive into a new folder. Owners and special bits in it count for nothing.
    func unpack(_ path: String, to folder: String, timeout: Duration) async throws
}

/// An upload that a hub keeps.
public struct StoredUpload: Codable, Sendable, Equatable {
    /// SHA-256 of the kept file, hex; its name.
    public var digest: String
    public var sizeBytes: Int64
    public var contents: ArchiveContents

    public init(digest: String, sizeBytes: Int64, contents: ArchiveContents) {
        self.digest = digest
        self.sizeBytes = sizeBytes
        self.contents = contents
    }
}

/// Where a hub keeps uploads, by digest.
public protocol Uploads: Sendable {
    /// Takes an archive piece by piece, checks it, and keeps it durably.
    /// - Throws: `too_large`, `invalid`, `storage_failed`; whatever `pieces` throws.
    func receive<Pieces: AsyncSequence & Sendable>(_ pieces: Pieces) async throws -> StoredUpload
    where Pieces.Element == [UInt8]
    /// Up to `count` bytes from `offset`; empty at the end; nil when there is no such upload.
    func read(_ digest: String, offset: Int64, count: Int) async throws -> [UInt8]?
    /// Removes what is not in `digests` and was not touched within `age`.
    func keepOnly(_ digests: Set<String>, olderThan age: Duration) async throws
}
