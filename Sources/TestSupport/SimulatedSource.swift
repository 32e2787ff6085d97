import Host
import Model
import Synchronization

/// How the application of a commit behaves.
public struct SimulatedApplication: Sendable, Equatable {
    public var buildTime: Duration
    public var buildExitCode: Int
    /// From its start until its port answers; nil for never.
    public var startTime: Duration?
    /// It ends this long after each start; nil for never.
    public var endsAfter: Duration?

    public init(
        buildTime: Duration = .milliseconds(500), buildExitCode: Int = 0, startTime: Duration? = .milliseconds(200),
        endsAfter: Duration? = nil
    ) {
        self.buildTime = buildTime
        self.buildExitCode = buildExitCode
        self.startTime = startTime
        self.endsAfter = endsAfter
    }

    /// Whether a deployment of it can succeed.
    public var isGood: Bool { buildExitCode == 0 && startTime != nil && endsAfter == nil }
}

/// The repositories of a simulated world, as the hub and all agents see them.
public final class SimulatedSource: Sendable {
    private struct State {
        var heads: [String: String] = [:]
        var applications: [String: SimulatedApplication] = [:]
        var unreachable: Set<String> = []
    }

    private let state = Mutex(State())
    public init() {}

    /// Pushes a commit to the main branch.
    public func push(_ url: String, commit: String, _ application: SimulatedApplication) {
        state.withLock {
            $0.heads[url] = commit
            $0.applications[commit] = application
        }
    }

    /// Takes a repository off the network, or brings it back.
    public func setReachable(_ url: String, _ isReachable: Bool) {
        state.withLock { if isReachable { $0.unreachable.remove(url) } else { $0.unreachable.insert(url) } }
    }

    /// The commit of the main branch; nil when the repository does not answer.
    public func head(_ url: String) -> String? { state.withLock { $0.unreachable.contains(url) ? nil : $0.heads[url] } }
    /// How a commit behaves; nil for a commit that does not exist.
    public func application(_ commit: String) -> SimulatedApplication? { state.withLock { $0.applications[commit] } }
}

/// git on one machine of the simulated world.
struct SimulatedGit: Git {
    let source: SimulatedSource
    /// nil on the hub, which only resolves.
    let disk: SimulatedDisk?
    let clock: VirtualTime

    func resolve(url: String, ref: String?, credentials: GitCredentials, timeout: Duration) async throws -> String {
        try await clock.sleep(for: .milliseconds(20))
        guard let head = source.head(url) else {
            throw Problem(.gitUnreachable, "The repository cannot be reached.")
        }
        return head
    }

    func fetch(url: String, commit: String, cache: String, credentials: GitCredentials, timeout: Duration) async throws
    {
        guard let disk else { return }
        if disk.contains("\(cache)/\(commit)") { return }
        try await clock.sleep(for: .milliseconds(50))
        guard source.application(commit) != nil else { throw Problem(.gitUnknownRef, "There is no such commit.") }
        disk.put("\(cache)/\(commit)", [])
    }

    func checkout(cache: String, commit: String, to folder: String, timeout: Duration) async throws {
        guard let disk else { return }
        guard disk.contains("\(cache)/\(commit)") else {
            throw Problem(.gitUnknownRef, "The commit is not in the cache.")
        }
        guard !disk.contains("\(folder)/COMMIT") else {
            throw Problem(.commandFailed, "The worktree exists already.")
        }
        disk.put("\(folder)/COMMIT", Array(commit.utf8))
    }

    func submodules(url: String, commit: String, cache: String, timeout: Duration) async throws -> [GitSubmodule] { [] }

    func hasPointers(commit: String, cache: String, timeout: Duration) async throws -> Bool { false }

    func prune(cache: String) async throws {}
}
