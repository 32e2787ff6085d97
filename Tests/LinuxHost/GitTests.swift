import Glibc
import Host
import LinuxHost
import Model
import Testing

/// The system's git against real repositories over file, git and ssh.
@Suite(.timeLimit(.minutes(2)))
struct GitTests {
    let bench = Workbench()
    var git: LiveGit { LiveGit(dataFolder: "\(bench.path)/data") }
    var cache: String { "\(bench.path)/data/cache/sample" }
    var url: String { "file://\(bench.path)/sample.git" }
    let none = GitCredentials()
    static let author = [
        "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org", "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org", "GIT_CONFIG_GLOBAL": "/dev/null",
    ]

    /// A bare repository `sample.git` with two commits on main, a branch, and both kinds of tag.
    func makeRepository() async throws -> [String] {
        let work = "\(bench.path)/work"
        func git(_ arguments: String...) async throws -> String {
            try await bench.run(["git", "-C", work] + arguments, environment: Self.author)
        }
        try await bench.run(["git", "init", "-q", "-b", "main", work], environment: Self.author)
        var commits: [String] = []
        for number in 1...2 {
            try await bench.write("work/file.txt", "version \(number)\n")
            _ = try await git("add", "file.txt")
            _ = try await git("commit", "-q", "-m", "Change \(number)")
            commits.append(String(try await git("rev-parse", "HEAD").prefix(40)))
        }
        _ = try await git("tag", "light", commits[0])
        _ = try await git("tag", "-a", "-m", "First", "v1", commits[0])
        _ = try await git("branch", "feature/x", commits[0])
        try await bench.run(
            ["git", "clone", "-q", "--bare", work, "\(bench.path)/sample.git"], environment: Self.author)
        return commits
    }

    @Test func resolvesBranchesTagsAndCommits() async throws {
        let commits = try await makeRepository()
        func resolve(_ ref: String?) async throws -> String {
            try await git.resolve(url: url, ref: ref, credentials: none, timeout: .seconds(20))
        }
        #expect(try await resolve(nil) == commits[1])
        #expect(try await resolve("HEAD") == commits[1])
        #expect(try await resolve("main") == commits[1])
        #expect(try await resolve("feature/x") == commits[0])
        #expect(try await resolve("light") == commits[0])
        #expect(try await resolve("v1") == commits[0], "an annotated tag means its commit")
        #expect(try await resolve("refs/heads/main") == commits[1])
        #expect(try await resolve(commits[0].uppercased()) == commits[0])
        #expect(await problemCode { _ = try await resolve("x") } == .gitUnknownRef, "only whole names count")
        #expect(await problemCode { _ = try await resolve("nothing") } == .gitUnknownRef)
    }

    @Test func unreachableAndEmptyRepositoriesAreTold() async throws {
        let missing = "file://\(bench.path)/none.git"
        #expect(
            await problemCode {
                _ = try await git.resolve(url: missing, ref: nil, credentials: none, timeout: .seconds(20))
            } == .gitUnreachable)
        try await bench.run(["git", "init", "-q", "--bare", "\(bench.path)/empty.git"])
        #expect(
            await problemCode {
                _ = try await git.resolve(
                    url: "file://\(bench.path)/empty.git", ref: nil, credentials: none, timeout: .seconds(20))
            } == .gitUnknownRef)
    }

    @Test func fetchesExactCommitsAndChecksThemOut() async throws {
        let commits = try await makeRepository()
        for (index, commit) in commits.enumerated() {
            try await git.fetch(url: url, commit: commit, cache: cache, credentials: none, timeout: .seconds(20))
            let folder = "\(bench.path)/releases/\(index)"
            try await git.checkout(cache: cache, commit: commit, to: folder, timeout: .seconds(20))
            #expect(try await bench.read("\(folder)/file.txt") == "version \(index + 1)\n")
        }
        // The network is not touched for what is there.
        try await bench.run(["mv", "\(bench.path)/sample.git", "\(bench.path)/away.git"])
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
        #expect(
            await problemCode {
                try await git.fetch(
                    url: url, commit: String(repeating: "a", count: 40), cache: cache, credentials: none,
                    timeout: .seconds(20))
            } == .gitUnreachable)
        // A worktree that was removed by hand can be made again, with and without pruning.
        try await LiveFiles().remove("\(bench.path)/releases/0")
        try await git.checkout(cache: cache, commit: commits[0], to: "\(bench.path)/releases/0", timeout: .seconds(20))
        #expect(
            await problemCode {
                try await git.checkout(
                    cache: cache, commit: commits[0], to: "\(bench.path)/releases/0", timeout: .seconds(20))
            } == .conflict)
        try await LiveFiles().remove("\(bench.path)/releases/1")
        try await git.prune(cache: cache)
        #expect(try await LiveFiles().list("\(cache)/worktrees") == ["0"])
    }

    @Test func unknownCommitIsTold() async throws {
        _ = try await makeRepository()
        #expect(
            await problemCode {
                try await git.fetch(
                    url: url, commit: String(repeating: "a", count: 40), cache: cache, credentials: none,
                    timeout: .seconds(20))
            } == .gitUnknownRef)
    }

    @Test func leftoversOfACrashHeal() async throws {
        let commits = try await makeRepository()
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
        let empty = "refs/roost/\(commits[1])"
        for name in ["packed-refs.lock", "config.lock", "shallow.lock", "\(empty).lock", empty] {
            try await LiveFiles().write("\(cache)/\(name)", [], mode: 0o644)
        }
        try await LiveFiles().write("\(cache)/objects/pack/tmp_pack_abc", [1, 2, 3], mode: 0o644)
        try await git.fetch(url: url, commit: commits[1], cache: cache, credentials: none, timeout: .seconds(20))
        #expect(try await LiveFiles().size("\(cache)/objects/pack/tmp_pack_abc") == nil)
        // A cache that was only half made.
        try await LiveFiles().remove("\(cache)/HEAD")
        let folder = "\(bench.path)/releases/1"
        try await git.checkout(cache: cache, commit: commits[1], to: folder, timeout: .seconds(20))
        #expect(try await bench.read("\(folder)/file.txt") == "version 2\n")
    }

    @Test func concurrentFetchesOfOneCacheTakeTurns() async throws {
        let commits = try await makeRepository()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<8 {
                group.addTask {
                    try await git.fetch(
                        url: url, commit: commits[index % 2], cache: cache, credentials: none, timeout: .seconds(60))
                    try await git.checkout(
                        cache: cache, commit: commits[index % 2], to: "\(bench.path)/many/\(index)",
                        timeout: .seconds(60))
                }
            }
            try await group.waitForAll()
        }
        #expect(try await LiveFiles().list("\(bench.path)/many").count == 8)
    }

    @Test func hooksAndHelpersDoNotRun() async throws {
        let commits = try await makeRepository()
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
        try await LiveFiles().write(
            "\(cache)/hooks/post-checkout", Array("#!/bin/sh\ntouch \(bench.path)/pwned\n".utf8), mode: 0o755)
        try await git.checkout(cache: cache, commit: commits[0], to: "\(bench.path)/r", timeout: .seconds(20))
        #expect(try await LiveFiles().size("\(bench.path)/pwned") == nil)
    }

    @Test(arguments: [
        "--upload-pack=touch /tmp/x", "ext::sh -c touch% /tmp/x", "-oProxyCommand=x", "ssh://-oProxyCommand=x/y",
        "file:///a/../b", "https://user:secret@host/x", "x y", "fd::3", "user@-host:x", "https://h\n/x",
    ])
    func hostileURLsAreRefused(_ url: String) async throws {
        #expect(
            await problemCode {
                _ = try await git.resolve(url: url, ref: nil, credentials: none, timeout: .seconds(5))
            } == .invalid)
        #expect(
            await problemCode {
                try await git.fetch(
                    url: url, commit: String(repeating: "a", count: 40), cache: cache, credentials: none,
                    timeout: .seconds(5))
            } == .invalid)
    }

    @Test(arguments: ["--upload-pack=x", "-x", "a..b", "a b", "x\ny", "../x", "a:b", "a^{}", "@{u}", "", "x.lock"])
    func hostileReferencesAreRefused(_ ref: String) async throws {
        #expect(
            await problemCode {
                _ = try await git.resolve(url: url, ref: ref, credentials: none, timeout: .seconds(5))
            } == .invalid)
    }

    @Test func aRepositoryThatNeverAnswersEndsAtTheTimeout() async throws {
        let port = try await LiveProbes().freePort(excluding: [])
        try bench.start(
            [
                "python3", "-c",
                "import socket,time; s=socket.socket(); s.bind(('127.0.0.1',\(port))); s.listen(5); "
                    + "time.sleep(600)",
            ])
        try await eventually("the silent server listens") {
            await problemCode {
                try await LiveProbes().tcp(host: "127.0.0.1", port: port, timeout: .seconds(1))
            } == nil
        }
        for scheme in ["git", "http", "ssh"] {
            let clock = ContinuousClock()
            let began = clock.now
            let code = await problemCode {
                _ = try await git.resolve(
                    url: "\(scheme)://127.0.0.1:\(port)/x.git", ref: nil, credentials: none, timeout: .seconds(1))
            }
            #expect(code == .timeout)
            #expect(clock.now - began < .seconds(60))
        }
    }

    @Test func theGitProtocolServes() async throws {
        let commits = try await makeRepository()
        let port = try await LiveProbes().freePort(excluding: [])
        try bench.start([
            "git", "daemon", "--export-all", "--base-path=\(bench.path)", "--listen=127.0.0.1", "--port=\(port)",
            "--reuseaddr",
        ])
        try await eventually("git daemon listens") {
            await problemCode {
                try await LiveProbes().tcp(host: "127.0.0.1", port: port, timeout: .seconds(1))
            } == nil
        }
        let url = "git://127.0.0.1:\(port)/sample.git"
        #expect(try await git.resolve(url: url, ref: "main", credentials: none, timeout: .seconds(20)) == commits[1])
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
        try await git.checkout(cache: cache, commit: commits[0], to: "\(bench.path)/r", timeout: .seconds(20))
        #expect(try await bench.read("\(bench.path)/r/file.txt") == "version 1\n")
    }

    @Test(.enabled(if: geteuid() == 0)) func repositoriesOfOtherAccountsAreRead() async throws {
        let commits = try await makeRepository()
        try await bench.run(["chown", "-R", "nobody", "\(bench.path)/sample.git"])
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
    }

    @Test func sshServesWithADeployKey() async throws {
        let commits = try await makeRepository()
        let port = try await startSSHServer()
        let user = String(try await bench.run(["id", "-un"]).prefix { $0 != "\n" })
        let url = "ssh://\(user)@127.0.0.1:\(port)\(bench.path)/sample.git"
        let key = GitCredentials(sshPrivateKey: try await bench.read("\(bench.path)/deploy"))
        #expect(try await git.resolve(url: url, ref: "v1", credentials: key, timeout: .seconds(20)) == commits[0])
        try await git.fetch(url: url, commit: commits[1], cache: cache, credentials: key, timeout: .seconds(20))
        #expect(try await LiveFiles().list("\(bench.path)/data/git/keys") == [], "no key stays on disk")
        #expect(try await bench.read("\(bench.path)/data/git/known_hosts").contains("127.0.0.1"))
        // Without the key nothing is offered, not even our own account's keys.
        let denied = await problem {
            _ = try await git.resolve(url: url, ref: nil, credentials: none, timeout: .seconds(20))
        }
        #expect(denied?.code == .gitUnreachable)
        #expect(denied?.hint?.contains("Permission denied") == true, "the reason is told, not git's general advice")
        // Another host key than the one first seen is refused.
        try await bench.run(["sed", "-i", "s/AAAA[^ ]*$/\(Self.otherHostKey)/", "\(bench.path)/data/git/known_hosts"])
        let doubted = await problem {
            _ = try await git.resolve(url: url, ref: nil, credentials: key, timeout: .seconds(20))
        }
        #expect(doubted?.code == .gitUnreachable)
        #expect(doubted?.hint?.contains("Host key verification failed") == true)
    }

    private static let otherHostKey = "AAAAC3NzaC1lZDI1NTE5AAAAIKvn0yGkMHrF1m3Fx4oVXN2S0p2bq1Y8yqYw3n0fF1aB"

    private func startSSHServer() async throws -> Int {
        for name in ["host", "deploy"] {
            try await bench.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "\(bench.path)/\(name)"])
        }
        try await bench.run(["cp", "\(bench.path)/deploy.pub", "\(bench.path)/authorized_keys"])
        let port = try await LiveProbes().freePort(excluding: [])
        try await bench.write(
            "sshd_config",
            """
            Port \(port)
            ListenAddress 127.0.0.1
            HostKey \(bench.path)/host
            PidFile none
            AuthorizedKeysFile \(bench.path)/authorized_keys
            StrictModes no
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            UsePAM no
            PermitRootLogin prohibit-password

            """)
        if geteuid() == 0 { try await LiveFiles().makeFolder("/run/sshd", mode: 0o755) }
        try bench.start(["/usr/sbin/sshd", "-D", "-e", "-f", "\(bench.path)/sshd_config"], log: "sshd.log")
        try await eventually("sshd listens") {
            await problemCode {
                try await LiveProbes().tcp(host: "127.0.0.1", port: port, timeout: .seconds(1))
            } == nil
        }
        return port
    }

    /// A repository that pins `sample.git`, named by this URL, as `parts/lib`.
    private func makeParent(pinning commit: String, url: String, more: String = "") async throws -> String {
        let work = "\(bench.path)/parent"
        try await bench.run(["git", "init", "-q", "-b", "main", work], environment: Self.author)
        try await bench.write("parent/.gitmodules", "[submodule \"a.b\"]\n\tpath = parts/lib\n\turl = \(url)\n\(more)")
        let git = ["git", "-C", work]
        try await bench.run(git + ["add", ".gitmodules"], environment: Self.author)
        try await bench.run(
            git + ["update-index", "--add", "--cacheinfo", "160000,\(commit),parts/lib"], environment: Self.author)
        try await bench.run(git + ["commit", "-q", "-m", "Pin"], environment: Self.author)
        return String(try await bench.run(git + ["rev-parse", "HEAD"]).prefix(40))
    }

    @Test func submodulesArePinnedAndFitIntoTheTree() async throws {
        let commits = try await makeRepository()
        let parent = "file://\(bench.path)/parent"
        let commit = try await makeParent(pinning: commits[0], url: "../sample.git")
        let own = "\(bench.path)/data/cache/parent"
        try await git.fetch(url: parent, commit: commit, cache: own, credentials: none, timeout: .seconds(20))
        let found = try await git.submodules(url: parent, commit: commit, cache: own, timeout: .seconds(20))
        #expect(found == [GitSubmodule(path: "parts/lib", url: url, commit: commits[0])])
        let tree = "\(bench.path)/tree"
        try await git.checkout(cache: own, commit: commit, to: tree, timeout: .seconds(20))
        try await git.fetch(url: url, commit: commits[0], cache: cache, credentials: none, timeout: .seconds(20))
        try await git.checkout(cache: cache, commit: commits[0], to: "\(tree)/parts/lib", timeout: .seconds(20))
        #expect(try await bench.read("\(tree)/parts/lib/file.txt") == "version 1\n")
        #expect(try await git.submodules(url: url, commit: commits[0], cache: cache, timeout: .seconds(20)).isEmpty)
        #expect(try await !git.hasPointers(commit: commit, cache: own, timeout: .seconds(20)))
    }

    @Test(arguments: ["/etc", "ext::sh -c id", "--upload-pack=id", "https://u:p@example.org/x"])
    func submodulesThatLeadElsewhereAreRefused(_ target: String) async throws {
        let commits = try await makeRepository()
        let commit = try await makeParent(pinning: commits[0], url: target)
        let parent = "file://\(bench.path)/parent"
        try await git.fetch(url: parent, commit: commit, cache: cache, credentials: none, timeout: .seconds(20))
        let code = await problemCode {
            _ = try await git.submodules(url: parent, commit: commit, cache: cache, timeout: .seconds(20))
        }
        #expect(code == .invalid)
        // The cache says nothing of where it came from: seen from elsewhere, files of the server are out of reach.
        let local = try await makeParentAgain(commits[0])
        try await git.fetch(url: parent, commit: local, cache: cache, credentials: none, timeout: .seconds(20))
        let far = await problemCode {
            _ = try await git.submodules(
                url: "https://example.org/x.git", commit: local, cache: cache, timeout: .seconds(20))
        }
        #expect(far == .invalid)
    }

    private func makeParentAgain(_ commit: String) async throws -> String {
        try await bench.run(["rm", "-rf", "\(bench.path)/parent"])
        return try await makeParent(pinning: commit, url: url)
    }

    @Test func pointersOfLargeFilesAreNoticed() async throws {
        let work = "\(bench.path)/large"
        try await bench.run(["git", "init", "-q", "-b", "main", work], environment: Self.author)
        try await bench.write("large/media/.gitattributes", "*.bin filter=lfs diff=lfs merge=lfs -text\n")
        try await bench.run(["git", "-C", work, "add", "."], environment: Self.author)
        try await bench.run(["git", "-C", work, "commit", "-q", "-m", "Large"], environment: Self.author)
        let commit = String(try await bench.run(["git", "-C", work, "rev-parse", "HEAD"]).prefix(40))
        try await git.fetch(
            url: "file://\(work)", commit: commit, cache: cache, credentials: none, timeout: .seconds(20))
        #expect(try await git.hasPointers(commit: commit, cache: cache, timeout: .seconds(20)))
    }
}
