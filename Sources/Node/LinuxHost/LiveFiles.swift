import AgentProtocol
import CRoost
import Crypto
import Glibc
public import Host
import Model
import Supervisor

/// The file system of this machine. Calls block, and so run on threads of their own.
///
/// Failures are `storage_failed`, and `invalid` for a relative path.
public struct LiveFiles: Files {
    public init() {}

    public func read(_ path: String, bytesMax: Int) async throws -> [UInt8]? {
        try await onFile(path) {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == ENOTDIR { return nil }
                throw systemProblem("open", path)
            }
            defer { close(descriptor) }
            var content: [UInt8] = []
            while true {
                let chunk = try FileCalls.read(descriptor, count: min(1_048_576, bytesMax - content.count + 1), path)
                if chunk.isEmpty { return content }
                content += chunk
                guard content.count <= bytesMax else {
                    throw Problem(.tooLarge, "\(path) is larger than \(bytesMax) bytes.")
                }
            }
        }
    }

    public func read(_ path: String, offset: Int64, count: Int) async throws -> [UInt8] {
        try await onFile(path) {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == ENOTDIR { return [] }
                throw systemProblem("open", path)
            }
            defer { close(descriptor) }
            guard lseek(descriptor, off_t(offset), SEEK_SET) >= 0 else { throw systemProblem("lseek", path) }
            var content: [UInt8] = []
            while content.count < count {
                let chunk = try FileCalls.read(descriptor, count: min(1_048_576, count - content.count), path)
                if chunk.isEmpty { break }
                content += chunk
            }
            return content
        }
    }

    public func size(_ path: String) async throws -> Int64? {
        try await onFile(path) {
            var info = stat()
            if stat(path, &info) == 0 { return Int64(info.st_size) }
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw systemProblem("stat", path)
        }
    }

    public func digest(_ path: String) async throws -> String? {
        try await onLongFile(path) {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == ENOTDIR { return nil }
                throw systemProblem("open", path)
            }
            defer { close(descriptor) }
            var hash = SHA256()
            while true {
                let chunk = try FileCalls.read(descriptor, count: 1_048_576, path)
                if chunk.isEmpty { return sha256Hex(hash.finalize()) }
                hash.update(data: chunk)
            }
        }
    }

    public func write(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws {
        try await onFile(path) {
            let folder = FileCalls.folder(of: path)
            try FileCalls.makeFolders(folder, mode: 0o755)
            let temporary = "\(folder)/.\(FileCalls.name(of: path).prefix(200)).\(LiveRandom().hex(6)).tmp"
            let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw systemProblem("open", temporary) }
            do {
                defer { close(descriptor) }
                try FileCalls.writeAll(descriptor, bytes, path)
                // Explicit, so that the umask has no say.
                guard fchmod(descriptor, mode_t(mode)) == 0 else { throw systemProblem("fchmod", path) }
                guard fsync(descriptor) == 0 else { throw systemProblem("fsync", path) }
                guard rename(temporary, path) == 0 else { throw systemProblem("rename", path) }
            } catch {
                unlink(temporary)
                throw error
            }
            try FileCalls.syncFolder(folder)
        }
    }

    public func sync(_ path: String) async throws {
        try await onFile(path) {
            let descriptor = open(path, O_RDONLY | O_CLOEXEC)
            guard descriptor >= 0 else { throw systemProblem("open", path) }
            defer { close(descriptor) }
            guard croost_syncfs(descriptor) == 0 else { throw systemProblem("syncfs", path) }
        }
    }

    public func append(_ path: String, _ bytes: [UInt8], mode: UInt16) async throws {
        try await onFile(path) {
            let folder = FileCalls.folder(of: path)
            try FileCalls.makeFolders(folder, mode: 0o755)
            let isNew = access(path, F_OK) != 0
            let descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, mode_t(mode))
            guard descriptor >= 0 else { throw systemProblem("open", path) }
            defer { close(descriptor) }
            try FileCalls.writeAll(descriptor, bytes, path)
            guard fdatasync(descriptor) == 0 else { throw systemProblem("fdatasync", path) }
            if isNew { try FileCalls.syncFolder(folder) }
        }
    }

    public func list(_ folder: String) async throws -> [String] {
        try await onFile(folder) { try FileCalls.names(folder).sorted() }
    }

    public func makeFolder(_ path: String, mode: UInt16) async throws {
        try await onFile(path) {
            try FileCalls.makeFolders(FileCalls.folder(of: path), mode: 0o755)
            if mkdir(path, mode_t(mode)) == 0 {
                guard chmod(path, mode_t(mode)) == 0 else { throw systemProblem("chmod", path) }
                return try FileCalls.syncFolder(FileCalls.folder(of: path))
            }
            let code = errno
            var info = stat()
            guard code == EEXIST, stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else {
                throw systemProblem("mkdir", path, code: code)
            }
        }
    }

    public func remove(_ path: String) async throws {
        try await onLongFile(path) { try FileTree.remove(path) }
    }

    public func move(_ path: String, to target: String) async throws {
        try FileCalls.check(target)
        try await onFile(path) {
            try FileCalls.makeFolders(FileCalls.folder(of: target), mode: 0o755)
            guard rename(path, target) == 0 else { throw systemProblem("rename", "\(path) to \(target)") }
            try FileCalls.syncFolder(FileCalls.folder(of: target))
            if FileCalls.folder(of: target) != FileCalls.folder(of: path) {
                try FileCalls.syncFolder(FileCalls.folder(of: path))
            }
        }
    }

    public func give(_ path: String, to user: String) async throws {
        try await onLongFile(path) {
            guard let account = UserIdentity.find(user) else {
                throw Problem(.notFound, "There is no account \(user).")
            }
            try FileTree.give(path, user: account.user, group: account.group)
        }
    }

    public func isFolder(_ path: String, below base: String) async throws -> Bool {
        try FileCalls.check(base)
        return try await onFile(path) {
            guard let real = FileCalls.resolved(path), let realBase = FileCalls.resolved(base) else { return false }
            var info = stat()
            guard stat(real, &info) == 0, info.st_mode & S_IFMT == S_IFDIR else { return false }
            return real == realBase || real.hasPrefix(realBase == "/" ? "/" : realBase + "/")
        }
    }

    public func measure(_ folder: String) async throws -> TreeSize {
        try await onLongFile(folder) { try FileTree.measure(folder) }
    }

    public func space(_ path: String) async throws -> (freeBytes: Int64, totalBytes: Int64) {
        try await onFile(path) {
            var info = statvfs()
            guard statvfs(path, &info) == 0 else { throw systemProblem("statvfs", path) }
            let block = Int64(info.f_frsize)
            return (Int64(info.f_bavail) * block, Int64(info.f_blocks) * block)
        }
    }

    private func onFile<Result: Sendable>(
        _ path: String, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try FileCalls.check(path)
        return try await BlockingThreads.shared.run(body)
    }

    /// Whole trees may take seconds; they must not hold up the small calls.
    private func onLongFile<Result: Sendable>(
        _ path: String, _ body: @escaping @Sendable () throws -> Result
    ) async throws -> Result {
        try FileCalls.check(path)
        return try await BlockingThreads.wait(body)
    }
}
