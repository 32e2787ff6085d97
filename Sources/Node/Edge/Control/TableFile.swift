import AgentProtocol
import Glibc
import Model

/// The last table on disk, so that an edge serves without its agent.
struct TableFile: Sendable {
    static let bytesMax = 64 * 1024 * 1024
    let path: String
    /// What the file holds, for people.
    var content = "table"

    /// - Returns: nil when there is none yet.
    /// - Throws: `storage_failed` or `invalid` when there is one that cannot be read.
    func read() throws(Problem) -> EdgeTable? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else { throw failure("read", errno) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("read", errno) }
            if count == 0 { break }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= Self.bytesMax else { throw Problem(.tooLarge, "\(path) is too large.") }
        }
        return try WireCoding.decode(EdgeTable.self, from: JSONParser.parse(bytes))
    }

    /// Atomic: a temporary file beside it, synced, renamed; then the folder synced.
    func write(_ bytes: [UInt8]) throws(Problem) {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw failure("write", errno) }
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + offset, $0.count - offset) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw abandoned(descriptor, temporary, errno) }
            offset += count
        }
        guard fsync(descriptor) == 0 else { throw abandoned(descriptor, temporary, errno) }
        close(descriptor)
        guard rename(temporary, path) == 0 else {
            let code = errno
            unlink(temporary)
            throw failure("write", code)
        }
        let folder = open(
            path.lastIndex(of: "/").map { String(path[...$0]) } ?? ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    private func abandoned(_ descriptor: Int32, _ temporary: String, _ code: Int32) -> Problem {
        close(descriptor)
        unlink(temporary)
        return failure("write", code)
    }

    private func failure(_ what: String, _ code: Int32) -> Problem {
        Problem(
            .storage, "The edge could not \(what) its \(content).",
            context: "\(path): \(String(cString: strerror(code)))")
    }
}
