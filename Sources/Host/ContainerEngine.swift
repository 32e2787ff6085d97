public import Model

/// The container engine of a machine, Docker, by its client program.
///
/// What runs for long, builds and containers, runs as units; this is for short questions and for clearing away.
public protocol ContainerEngine: Sendable {
    /// How units call the client. The engine is asked whether it answers, so that work begins only where it can go on.
    /// - Throws: `not_found` when there is no client on the machine, `unavailable` when the engine does not answer.
    func client() async throws -> ContainerClient
    /// Runs the client with these arguments to its end.
    ///
    /// - Parameter environment: added to the client's own.
    /// - Throws: as `client`; `timeout`. A non-zero exit code is a result, not an error.
    func ask(_ arguments: [String], environment: [String: String], timeout: Duration) async throws -> CommandResult
    /// Makes a group for the processes of a build, with a limit of the memory that they use together.
    ///
    /// - Returns: what the engine's client takes as the build's parent group.
    /// - Throws: `unavailable` where memory cannot be limited; `invalid` when the engine is on another machine.
    func limitBuild(group: String, memoryMaxBytes: Int64) async throws -> String
    /// Whether processes of the group wanted more memory than there was for them.
    func hasReachedLimit(group: String) async -> Bool
    /// Removes a group of `limitBuild`, if there is one and its processes have ended.
    func removeLimit(group: String) async
}

/// The client program of a container engine.
public struct ContainerClient: Sendable, Equatable {
    /// Absolute path.
    public var program: String
    /// What it needs to find the engine and its settings, and nothing else.
    public var environment: [String: String]

    public init(program: String, environment: [String: String]) {
        self.program = program
        self.environment = environment
    }
}

/// A machine without a container engine.
public struct NoContainerEngine: ContainerEngine {
    public init() {}

    public func client() async throws -> ContainerClient { throw Self.missing }

    public func ask(
        _ arguments: [String], environment: [String: String], timeout: Duration
    ) async throws -> CommandResult { throw Self.missing }

    public func limitBuild(group: String, memoryMaxBytes: Int64) async throws -> String { throw Self.missing }

    public func hasReachedLimit(group: String) async -> Bool { false }

    public func removeLimit(group: String) async {}

    /// What is said where a client is needed and there is none.
    public static let missing = Problem(
        .notFound, "Docker is not installed on this server.",
        hint: "Install Docker Engine with its compose plugin, then retry the deployment.")
}
