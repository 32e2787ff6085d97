import Glibc
import Model
import Supervisor

/// The exclusive right to change one cache.
struct GitCacheLock: Sendable {
    private let descriptor: Int32

    /// - Throws: `timeout` when another process of ours holds it for that long.
    static func take(_ cache: String, timeout: Duration) async throws -> GitCacheLock {
        try FileCalls.check(cache)
        let path = "\(cache).lock"
        let deadline = CommandClock.nowMs() + timeout.wholeMilliseconds
        return try await BlockingThreads.wait {
            try FileCalls.makeFolders(FileCalls.folder(of: cache), mode: 0o755)
            let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw systemProblem("open", path) }
            while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
                guard errno == EWOULDBLOCK || errno == EINTR, CommandClock.nowMs() < deadline else {
                    let isBusy = errno == EWOULDBLOCK
                    let problem = systemProblem("flock", path)
                    close(descriptor)
                    throw isBusy ? Problem(.timeout, "Another fetch of the same repository takes too long.") : problem
                }
                usleep(10_000)
            }
            return GitCacheLock(descriptor: descriptor)
        }
    }

    func release() { close(descriptor) }

    /// Lock files and half-written packs of a git that was killed.
    static func removeLeftovers(in cache: String) throws {
        let loose = try FileCalls.names(cache).filter { $0.hasSuffix(".lock") }.map { "\(cache)/\($0)" }
        let packs = try FileCalls.names("\(cache)/objects/pack")
            .filter { $0.hasPrefix("tmp_") || $0.hasPrefix(".tmp-") }
            .map { "\(cache)/objects/pack/\($0)" }
        let worktrees = try FileCalls.names("\(cache)/worktrees").flatMap { name in
            try FileCalls.names("\(cache)/worktrees/\(name)").filter { $0.hasSuffix(".lock") }
                .map { "\(cache)/worktrees/\(name)/\($0)" }
        }
        for path in loose + packs + worktrees { unlink(path) }
        try removeUnfinished(below: "\(cache)/refs", depth: 0)
    }

    private static func removeUnfinished(below folder: String, depth: Int) throws {
        guard depth < 32 else { return }
        for name in try FileCalls.names(folder) {
            let path = "\(folder)/\(name)"
            var info = stat()
            guard lstat(path, &info) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                try removeUnfinished(below: path, depth: depth + 1)
            } else if name.hasSuffix(".lock") || info.st_size == 0 {
                // A power cut leaves empty references, and with one of them git refuses every fetch.
                unlink(path)
            }
        }
    }
}

extension Substring {
    /// The first occurrence. The standard library's own comes with its regex engine, which is large.
    func firstRange(of needle: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}
