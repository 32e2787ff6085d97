import Glibc
public import Host
import Model
import Supervisor

/// The system's git, kept away from every configuration but ours.
///
/// One bare repository per remote is the object cache; a commit counts as there when `refs/roost/<commit>` exists,
/// which git writes after the last of its objects. All that changes a cache happens under an exclusive flock on
/// `<cache>.lock`, and git itself dies with us, so that a lock file of git's found under our lock is always left over
/// from a crash.
public struct LiveGit: Git {
    let runner: GitRunner

    /// - Parameter dataFolder: Holds `git/` with our configuration, known hosts and, while in use, keys.
    public init(dataFolder: String, commands: any Commands = LiveCommands()) {
        runner = GitRunner(folder: "\(dataFolder)/git", commands: commands)
    }

    public func resolve(
        url: String, ref: String?, credentials: GitCredentials, timeout: Duration
    ) async throws -> String {
        try Self.check(url: url)
        if let ref, let flaw = Names.gitRefFlaw(ref) { throw Problem.invalid("git_ref", flaw) }
        let wanted = Self.candidates(ref)
        let result = try await runner.run(
            ["ls-remote", "--quiet", "--", url] + wanted, url: url, credentials: credentials, timeout: timeout)
        guard result.succeeded else { throw GitProblems.unreachable(url, result) }
        // A full commit cannot be asked for by name; that the repository answers is all there is to know here.
        if let ref, Self.isCommit(ref) { return ref.lowercased() }
        let found = Self.parse(result.output)
        // A tag's `^{}` is the commit that an annotated tag points at.
        for name in wanted {
            if let commit = found["\(name)^{}"] ?? found[name] { return commit }
        }
        throw GitProblems.unknown(ref, url)
    }

    public func fetch(
        url: String, commit: String, cache: String, credentials: GitCredentials, timeout: Duration
    ) async throws {
        try Self.check(url: url)
        try Self.check(commit: commit)
        let deadline = ContinuousClock.now + timeout
        func left() -> Duration { deadline - ContinuousClock.now }
        let lock = try await GitCacheLock.take(cache, timeout: timeout)
        defer { lock.release() }
        try await prepare(cache, timeout: left())
        let mark = "refs/roost/\(commit)"
        if try await holds(cache, mark, timeout: left()) { return }
        let base = ["--git-dir=\(cache)", "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--", url]
        let exact = try await runner.run(
            base + ["+\(commit):\(mark)"], url: url, credentials: credentials, timeout: left())
        if exact.succeeded { return }
        // Servers may refuse to hand out a commit that no branch points at right now; it is in the history then.
        let all = try await runner.run(
            base + ["+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*"], url: url,
            credentials: credentials, timeout: left())
        guard all.succeeded else { throw GitProblems.unreachable(url, all) }
        let kept = try await runner.run(
            ["--git-dir=\(cache)", "update-ref", mark, "\(commit)^{commit}"], timeout: left())
        guard kept.succeeded else { throw GitProblems.unknown(commit, url) }
    }

    public func checkout(cache: String, commit: String, to folder: String, timeout: Duration) async throws {
        try Self.check(commit: commit)
        try FileCalls.check(folder)
        // The place of a submodule is an empty folder.
        guard rmdir(folder) == 0 || access(folder, F_OK) != 0 else {
            throw Problem(.conflict, "\(folder) exists already.")
        }
        let lock = try await GitCacheLock.take(cache, timeout: timeout)
        defer { lock.release() }
        try await prepare(cache, timeout: timeout)
        try await BlockingThreads.shared.run { try FileCalls.makeFolders(FileCalls.folder(of: folder), mode: 0o755) }
        do {
            // Twice forced: the place may be known from a worktree that was removed.
            let result = try await runner.run(
                [
                    "--git-dir=\(cache)", "worktree", "add", "--quiet", "--force", "--force", "--detach", "--", folder,
                    commit,
                ], timeout: timeout)
            guard result.succeeded else { throw GitProblems.checkout(commit, result) }
        } catch {
            try await BlockingThreads.wait { try FileTree.remove(folder) }
            throw error
        }
    }

    public func prune(cache: String) async throws {
        guard access("\(cache)/HEAD", F_OK) == 0 else { return }
        let lock = try await GitCacheLock.take(cache, timeout: .seconds(60))
        defer { lock.release() }
        try await prepare(cache, timeout: .seconds(60))
        let pruned = try await runner.run(
            ["--git-dir=\(cache)", "worktree", "prune", "--expire=now"], timeout: .seconds(60))
        guard pruned.succeeded else { throw GitProblems.cache(cache, pruned) }
        // Each fetch leaves a pack; git puts them together when there are many.
        let packed = try await runner.run(
            ["-c", "gc.auto=6700", "--git-dir=\(cache)", "gc", "--auto", "--quiet"], timeout: .seconds(600))
        guard packed.succeeded else { throw GitProblems.cache(cache, packed) }
    }

    /// Makes the cache, or heals what a crash left of it. The caller holds the lock.
    private func prepare(_ cache: String, timeout: Duration) async throws {
        try await BlockingThreads.shared.run { try GitCacheLock.removeLeftovers(in: cache) }
        if access("\(cache)/refs", F_OK) == 0, access("\(cache)/HEAD", F_OK) == 0,
            access("\(cache)/config", F_OK) == 0, access("\(cache)/objects", F_OK) == 0
        {
            return
        }
        let made = try await runner.run(["init", "--quiet", "--bare", "--template=", "--", cache], timeout: timeout)
        guard made.succeeded else { throw GitProblems.cache(cache, made) }
    }

    private func holds(_ cache: String, _ mark: String, timeout: Duration) async throws -> Bool {
        let result = try await runner.run(
            ["--git-dir=\(cache)", "rev-parse", "--verify", "--quiet", "\(mark)^{commit}"], timeout: timeout)
        return result.succeeded
    }

    private static func check(url: String) throws {
        if let flaw = Names.gitURLFlaw(url) { throw Problem.invalid("git_url", flaw) }
    }

    private static func check(commit: String) throws {
        guard isCommit(commit) else { throw Problem.invalid("commit", "must be a full commit id") }
    }

    static func isCommit(_ text: String) -> Bool {
        text.utf8.count == 40
            && text.utf8.allSatisfy { byte in
                (48...57).contains(byte) || (97...102).contains(byte) || (65...70).contains(byte)
            }
    }

    /// Names at the remote that `ref` may mean, best first.
    private static func candidates(_ ref: String?) -> [String] {
        guard let ref, ref != "HEAD", !isCommit(ref) else { return ["HEAD"] }
        if ref.hasPrefix("refs/pull/"), ref.hasSuffix("/head") {
            // The same thing under GitLab's name.
            return [ref, "refs/merge-requests/\(ref.dropFirst("refs/pull/".count))"]
        }
        if ref.hasPrefix("refs/") { return [ref, "\(ref)^{}"] }
        return ["refs/heads/\(ref)", "refs/tags/\(ref)", "refs/tags/\(ref)^{}"]
    }

    /// Lines of `<commit> TAB <name>`. Patterns of ls-remote match ends of names, so names are compared in full.
    private static func parse(_ output: [UInt8]) -> [String: String] {
        var found: [String: String] = [:]
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
            let parts = line.split(separator: "\t")
            if parts.count == 2, isCommit(String(parts[0])) { found[String(parts[1])] = String(parts[0]) }
        }
        return found
    }
}
