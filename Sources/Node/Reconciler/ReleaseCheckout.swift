import AgentProtocol
import Host
import Model

/// Brings the files of a commit into a release's tree, those of its submodules included.
extension WorkerRun {
    private static let submoduleDepthMax = 8
    private static let submodulesMax = 128

    func checkOut(_ desired: DesiredService, to tree: String) async throws {
        let (host, cache) = (host, worker.parts.paths.cache(url: desired.gitUrl))
        let credentials = GitCredentials(sshPrivateKey: desired.gitSshKey)
        try await host.effect("git.fetch") {
            try await host.git.fetch(
                url: desired.gitUrl, commit: desired.commit, cache: cache, credentials: credentials,
                timeout: .seconds(600))
        }
        try await host.effect("git.checkout") {
            try await host.git.checkout(cache: cache, commit: desired.commit, to: tree, timeout: .seconds(300))
        }
        let whole = GitSubmodule(path: "", url: desired.gitUrl, commit: desired.commit)
        try await checkOutSubmodules(of: whole, credentials, tree)
        try await tellPointers(desired)
    }

    /// Level by level; each repository has a cache of its own, which services share.
    private func checkOutSubmodules(
        of whole: GitSubmodule, _ credentials: GitCredentials, _ tree: String
    ) async throws {
        let (host, paths) = (host, worker.parts.paths)
        var (level, count) = ([whole], 0)
        for _ in 0..<Self.submoduleDepthMax {
            var next: [GitSubmodule] = []
            for parent in level {
                let found = try await host.git.submodules(
                    url: parent.url, commit: parent.commit, cache: paths.cache(url: parent.url), timeout: .seconds(60))
                for var part in found {
                    part.path = parent.path.isEmpty ? part.path : "\(parent.path)/\(part.path)"
                    next.append(part)
                }
            }
            count += next.count
            if next.isEmpty { return }
            guard count <= Self.submodulesMax else { break }
            for part in next { try await checkOut(part, credentials, to: "\(tree)/\(part.path)") }
            level = next
        }
        throw Problem(
            .invalid,
            "The repository has more than \(Self.submodulesMax) submodules, or they lie more than "
                + "\(Self.submoduleDepthMax) deep in each other.")
    }

    private func checkOut(_ part: GitSubmodule, _ credentials: GitCredentials, to folder: String) async throws {
        let (host, cache) = (host, worker.parts.paths.cache(url: part.url))
        do {
            // Worktrees of releases that are gone hold on to objects and names.
            try await host.effect("git.submodule.prune") { try await host.git.prune(cache: cache) }
            try await host.effect("git.submodule.fetch") {
                try await host.git.fetch(
                    url: part.url, commit: part.commit, cache: cache, credentials: credentials, timeout: .seconds(600))
            }
            try await host.effect("git.submodule.checkout") {
                try await host.git.checkout(cache: cache, commit: part.commit, to: folder, timeout: .seconds(300))
            }
        } catch var problem as Problem {
            problem.message = "Submodule \(part.path): \(problem.message)"
            throw problem
        }
    }

    /// Git itself would check the pointers out without a word.
    private func tellPointers(_ desired: DesiredService) async throws {
        let cache = worker.parts.paths.cache(url: desired.gitUrl)
        guard try await host.git.hasPointers(commit: desired.commit, cache: cache, timeout: .seconds(60)) else {
            return
        }
        try await tell(
            "build",
            "\(desired.name): the repository keeps files with Git LFS, which is not fetched: the release has "
                + "the pointers in their place. Upload a release that has the files (roost upload), or have "
                + "build_command fetch them.", desired.deploymentId)
    }
}
