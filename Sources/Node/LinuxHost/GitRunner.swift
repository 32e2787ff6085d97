import CRoost
import Glibc
import Host
import Model
import Supervisor

/// Runs git with our configuration and nobody else's.
struct GitRunner: Sendable {
    let folder: String
    let commands: any Commands

    func run(
        _ arguments: [String], url: String? = nil, credentials: GitCredentials = GitCredentials(), timeout: Duration
    ) async throws -> CommandResult {
        var keyPath: String?
        if let key = credentials.sshPrivateKey { keyPath = try await writeKey(key) }
        defer { if let keyPath { unlink(keyPath) } }
        let configuration = try await configurationPath()
        var command = Command(
            ["git"] + Self.settings + arguments,
            environment: environment(configuration: configuration, keyPath: keyPath), timeout: timeout)
        command.diesWithCaller = true
        do {
            return try await commands.run(command)
        } catch let problem as Problem where problem.code == .timeout {
            guard let url else { throw problem }
            throw Problem(
                .timeout, "The repository \(GitProblems.shown(url)) did not answer in time.",
                hint: "Check its address and that this machine can reach it.")
        }
    }

    private static let settings =
        [
            "core.hooksPath=/dev/null", "core.fsmonitor=false", "protocol.allow=never", "credential.helper=",
            "gc.auto=0", "gc.autoDetach=false", "maintenance.auto=false", "fetch.unpackLimit=1",
            "transfer.unpackLimit=1", "http.lowSpeedLimit=1000", "http.lowSpeedTime=20", "submodule.recurse=false",
            "advice.detachedHead=false",
            // By default references are not synced, and a power cut leaves empty ones, which no later fetch gets past.
            "core.fsync=all",
        ].flatMap { ["-c", $0] }
        + ["https", "http", "ssh", "git", "file"].flatMap { ["-c", "protocol.\($0).allow=always"] }

    /// What a proxy or a private certificate authority needs is the machine's business, and so is passed on.
    private static let inherited = [
        "http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "GIT_SSL_CAINFO",
        "SSL_CERT_FILE", "SSL_CERT_DIR",
    ]

    private func environment(configuration: String, keyPath: String?) -> [String: String] {
        var all = Command.plainEnvironment
        for name in Self.inherited { all[name] = getenv(name).map { String(cString: $0) } }
        all["GIT_TERMINAL_PROMPT"] = "0"
        all["GIT_ASKPASS"] = "/bin/false"
        all["GIT_CONFIG_NOSYSTEM"] = "1"
        all["GIT_CONFIG_GLOBAL"] = configuration
        all["GIT_SSH_VARIANT"] = "ssh"
        all["GIT_SSH_COMMAND"] = sshCommand(keyPath: keyPath)
        return all
    }

    /// Git hands this to a shell; the words are ours, and quoted for it.
    private func sshCommand(keyPath: String?) -> String {
        // Without a key none is offered: root's own must not open what the service's owner could not.
        let identity = keyPath ?? "none"
        let words = [
            "ssh", "-F", "/dev/null", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-o", "IdentityAgent=none",
            "-o", "IdentityFile=\"\(identity)\"", "-o", "StrictHostKeyChecking=accept-new",
            "-o", "UserKnownHostsFile=\"\(folder)/known_hosts\"", "-o", "ConnectTimeout=10",
            "-o", "ServerAliveInterval=10", "-o", "ServerAliveCountMax=3", "-o", "ForwardAgent=no",
            // What is only worth knowing would be taken for the reason of a failure.
            "-o", "LogLevel=ERROR",
        ]
        return words.map(Self.quotedForShell).joined(separator: " ")
    }

    private static func quotedForShell(_ word: String) -> String {
        "'" + word.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "'\\''") + "'"
    }

    /// Repositories of other accounts on this machine are read by a git process that takes settings from a file only.
    private func configurationPath() async throws -> String {
        let path = "\(folder)/config"
        let content = Array("[safe]\n\tdirectory = *\n".utf8)
        if try await LiveFiles().read(path, bytesMax: 65_536) != content {
            try await LiveFiles().write(path, content, mode: 0o644)
        }
        return path
    }

    private func writeKey(_ key: String) async throws -> String {
        let keys = "\(folder)/keys"
        try await LiveFiles().makeFolder(keys, mode: 0o700)
        let text = key.hasSuffix("\n") ? key : key + "\n"
        return try await BlockingThreads.shared.run {
            Self.removeOldKeys(keys)
            let path = "\(keys)/\(LiveRandom().hex(8))"
            let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
            guard descriptor >= 0 else { throw systemProblem("open", path) }
            defer { close(descriptor) }
            try FileCalls.writeAll(descriptor, Array(text.utf8), path)
            return path
        }
    }

    /// Keys that a crash left behind. No command takes an hour.
    private static func removeOldKeys(_ folder: String) {
        // A folder that cannot be listed has nothing for us to tidy; the key itself is written next, and tells.
        guard let names = try? FileCalls.names(folder) else { return }
        for name in names {
            var info = stat()
            if stat("\(folder)/\(name)", &info) == 0, info.st_mtim.tv_sec < time(nil) - 3600 {
                unlink("\(folder)/\(name)")
            }
        }
    }
}

/// What git's exit codes mean to people.
enum GitProblems {
    static func unreachable(_ url: String, _ result: CommandResult) -> Problem {
        Problem(
            .gitUnreachable, "The repository \(shown(url)) cannot be read.",
            hint: reason(result).map { "git says: \($0)" }, context: "exit \(result.exitCode ?? -1)")
    }

    static func unknown(_ ref: String?, _ url: String) -> Problem {
        guard let ref else {
            return Problem(
                .gitUnknownRef, "The repository \(shown(url)) has no default branch.", hint: "Push a commit first.")
        }
        let what = LiveGit.isCommit(ref) ? "commit" : "branch or tag"
        return Problem(.gitUnknownRef, "The repository \(shown(url)) has no \(what) \(ref).")
    }

    static func checkout(_ commit: String, _ result: CommandResult) -> Problem {
        Problem(
            .commandFailed, "The files of commit \(commit.prefix(12)) could not be checked out.",
            hint: reason(result).map { "git says: \($0)" }, context: "exit \(result.exitCode ?? -1)")
    }

    static func cache(_ path: String, _ result: CommandResult) -> Problem {
        Problem(
            .commandFailed, "The git cache \(path) is not usable.", hint: reason(result).map { "git says: \($0)" },
            context: "exit \(result.exitCode ?? -1)")
    }

    /// The URL without what may be a password.
    static func shown(_ url: String) -> String { withoutCredentials(url) }

    /// The end of the first paragraph that git wrote, for people; never looked into by us. Behind it comes general
    /// advice, and before its end what ssh draws around a warning.
    private static func reason(_ result: CommandResult) -> String? {
        let lines = result.errorText.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        let paragraph = lines.drop { $0.isEmpty }.prefix { !$0.isEmpty }
        guard !paragraph.isEmpty else { return nil }
        return String(withoutCredentials(paragraph.suffix(3).joined(separator: " ")).prefix(500))
    }

    /// Cuts `user:password@` and `token@` out of every URL in a text, but leaves the user of ssh URLs.
    static func withoutCredentials(_ text: String) -> String {
        var out = ""
        var rest = text[...]
        while let slashes = rest.firstRange(of: "://") {
            let isSSH = rest[..<slashes.lowerBound].hasSuffix("ssh")
            out += rest[..<slashes.upperBound]
            rest = rest[slashes.upperBound...]
            let authority = rest.prefix { $0 != "/" && $0 != " " && $0 != "'" && $0 != "\"" }
            guard let at = authority.lastIndex(of: "@") else { continue }
            if isSSH { out += authority[..<at].prefix { $0 != ":" } + "@" }
            rest = rest[rest.index(after: at)...]
        }
        return out + rest
    }
}
