public import Host
import Model

/// What a `.gitmodules` file says, and where its URLs lead. Pure.
enum GitSubmodules {
    static let countMax = 64

    struct Entry: Equatable {
        var path: String
        var url: String
    }

    /// - Parameter listing: `git config --null --list` of the file: `key NEWLINE value NUL`, again and again.
    /// - Returns: by path; without those that are switched off (`update = none`).
    static func entries(_ listing: String) -> [Entry] {
        var members: [String: [String: String]] = [:]
        for item in listing.split(separator: "\0") {
            guard let end = item.firstIndex(of: "\n"), item.hasPrefix("submodule.") else { continue }
            let key = item[..<end].dropFirst("submodule.".count)
            guard let dot = key.lastIndex(of: ".") else { continue }
            members[String(key[..<dot]), default: [:]][String(key[key.index(after: dot)...])] =
                String(item[item.index(after: end)...])
        }
        return members.values.compactMap { member in
            guard let path = member["path"], let url = member["url"], member["update"] != "none" else { return nil }
            return Entry(path: path, url: url)
        }.sorted { $0.path < $1.path }
    }

    /// Relative ones are meant as seen from the repository that names them, as in gitmodules(5).
    static func absolute(_ url: String, from parent: String) -> String {
        guard url.hasPrefix("./") || url.hasPrefix("../") else { return url }
        var rest = Substring(url)
        var base = Substring(parent)
        while base.hasSuffix("/") { base.removeLast() }
        var separator = "/"
        while true {
            if rest.hasPrefix("./") {
                rest = rest.dropFirst(2)
            } else if rest.hasPrefix("../") {
                rest = rest.dropFirst(3)
                guard let cut = base.lastIndex(where: { $0 == "/" || $0 == ":" }) else { return url }
                separator = base[cut] == ":" ? ":" : "/"
                base = base[..<cut]
            } else {
                return base + separator + rest
            }
        }
    }

    /// Why a repository may not have this submodule; nil when it may. A file URL would let whoever writes to a
    /// repository read others of the server.
    static func flaw(_ url: String, from parent: String) -> String? {
        if let flaw = Names.gitURLFlaw(url) { return "its URL \(flaw)" }
        if url.hasPrefix("file:"), !parent.hasPrefix("file:") { return "its URL names a file of the server" }
        return nil
    }
}

extension LiveGit {
    /// The submodules that a commit pins, with their URLs made absolute.
    /// - Throws: `invalid` for one that may not be fetched; what git says.
    public func submodules(
        url: String, commit: String, cache: String, timeout: Duration
    ) async throws -> [GitSubmodule] {
        let git = ["--git-dir=\(cache)"]
        let listed = try await runner.run(git + ["ls-tree", "-z", commit, "--", ".gitmodules"], timeout: timeout)
        guard listed.succeeded else { throw GitProblems.cache(cache, listed) }
        guard listed.outputText.hasPrefix("100") else { return [] }
        let read = try await runner.run(
            git + ["config", "--blob", "\(commit):.gitmodules", "--null", "--list"], timeout: timeout)
        guard read.succeeded else { throw Self.refusal("The file .gitmodules of the repository cannot be read.") }
        let entries = GitSubmodules.entries(read.outputText)
        guard !entries.isEmpty else { return [] }
        guard entries.count <= GitSubmodules.countMax else {
            throw Self.refusal("The repository has more than \(GitSubmodules.countMax) submodules.")
        }
        let tree = try await runner.run(
            git + ["--literal-pathspecs", "ls-tree", "-z", commit, "--"] + entries.map(\.path), timeout: timeout)
        guard tree.succeeded else { throw GitProblems.cache(cache, tree) }
        // `<mode> <type> <commit> TAB <path>`; one that is named and not pinned is not checked out by git either.
        var pins: [String: String] = [:]
        for line in tree.outputText.split(separator: "\0") {
            let halves = line.split(separator: "\t", maxSplits: 1)
            let words = halves[0].split(separator: " ")
            if halves.count == 2, words.count == 3, words[0] == "160000" { pins[String(halves[1])] = String(words[2]) }
        }
        return try entries.compactMap { entry in
            guard let pin = pins[entry.path] else { return nil }
            let target = GitSubmodules.absolute(entry.url, from: url)
            if let flaw = GitSubmodules.flaw(target, from: url) {
                throw Self.refusal("The submodule \(entry.path) cannot be used: \(flaw).")
            }
            return GitSubmodule(path: entry.path, url: target, commit: pin)
        }
    }

    /// Whether a commit keeps files with Git LFS, which is not fetched here.
    public func hasPointers(commit: String, cache: String, timeout: Duration) async throws -> Bool {
        let found = try await runner.run(
            [
                "--git-dir=\(cache)", "grep", "--quiet", "--fixed-strings", "-e", "filter=lfs", commit, "--",
                ":(glob)**/.gitattributes",
            ], timeout: timeout)
        return found.succeeded
    }

    private static func refusal(_ text: String) -> Problem {
        Problem(.invalid, text, hint: "Correct .gitmodules and push.")
    }
}
