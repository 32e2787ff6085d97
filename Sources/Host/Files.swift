import Model

/// The file system. Paths are absolute. Every write is atomic and durable: a reader or a power cut sees the old content
/// or the new, never a part.
public protocol Files: Sendable {
    /// The content, or nil when there is no such file.
    /// - Throws: `too_large` above `bytesMax`.
    func read(_ path: String, bytesMax: Int) async throws -> [UInt8]?
    /// Up to `count` bytes from `offset`; empty at the end or when there is no such file.
    func read(_ path: String, offset: Int64, count: Int) async throws -> [UInt8]
    /// Size in bytes, or nil when there is no such file.
    func size(_ path: String) async throws -> Int64?
    /// SHA-256 of the content, hex; nil when there is no such file.
    func digest(_ path: String) async throws -> String?
    /// Replaces the file: temporary file, fsync, rename, fsync of the folder. Makes missing folders.
    func write(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws
    /// Appends and syncs. A cut can leave a part of the last append behind; readers drop an unfinished last line.
    func append(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws
    /// Names in a folder, sorted; empty when there is no such folder.
    func list(_ folder: String) async throws -> [String]
    func makeFolder(_ path: String, mode: UInt16) async throws
    /// Removes a file or a whole tree, without following links; fine when there is none.
    func remove(_ path: String) async throws
    /// Renames; the target is replaced when it is a file.
    func move(_ path: String, to target: String) async throws
    /// Gives a tree to an account, without following links.
    func give(_ path: String, to user: String) async throws
    /// Whether the folder exists, is one, and is below `base` after all links are resolved.
    func isFolder(_ path: String, below base: String) async throws -> Bool
    /// What a tree holds, without following links. What git keeps at its top is not counted.
    func measure(_ folder: String) async throws -> TreeSize
    /// Returns when all that others (git, a build, an unpacker) have written to the file system of `path` would
    /// survive a power cut.
    func sync(_ path: String) async throws
    /// Free and total bytes of the file system that holds `path`.
    func space(_ path: String) async throws -> (freeBytes: Int64, totalBytes: Int64)
}

/// How much is in a tree.
public struct TreeSize: Codable, Sendable, Equatable {
    /// Files and links; folders do not count.
    public var files: Int
    /// Sum of the sizes of the files.
    public var bytes: Int64

    public init(files: Int = 0, bytes: Int64 = 0) {
        self.files = files
        self.bytes = bytes
    }
}
