import Glibc
public import Model

/// Small files that only the hub's account may read.
public enum SecretFile {
    private static let bytesMax = 4096

    /// The text, or nil when there is no such file.
    /// - Throws: `storage_failed`.
    public static func read(_ path: String) throws(Problem) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw failure("read", path)
        }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: bytesMax)
        let count = Glibc.read(descriptor, &bytes, bytesMax)
        guard count >= 0 else { throw failure("read", path) }
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }

    /// Replaces the file: a temporary file beside it, synced, then renamed over it, then the folder synced.
    /// - Throws: `storage_failed`.
    public static func write(_ path: String, _ text: String) throws(Problem) {
        let temporary = "\(path).new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw failure("written", path) }
        let bytes = Array(text.utf8)
        let isWritten = Glibc.write(descriptor, bytes, bytes.count) == bytes.count && fsync(descriptor) == 0
        let problem = failure("written", path)
        close(descriptor)
        guard isWritten, rename(temporary, path) == 0 else {
            unlink(temporary)
            throw problem
        }
        let folder = open(
            path.contains("/") ? String(path[..<path.lastIndex(of: "/")!]) + "/" : ".", O_RDONLY | O_CLOEXEC)
        guard folder >= 0 else { throw failure("written", path) }
        defer { close(folder) }
        guard fsync(folder) == 0 else { throw failure("written", path) }
    }

    private static func failure(_ what: String, _ path: String) -> Problem {
        let reason = String(cString: strerror(errno))
        return Problem(
            .storage, "The file \(path) cannot be \(what): \(reason).",
            hint: "Check the owner, mode and free space of the hub's data folder.")
    }
}
