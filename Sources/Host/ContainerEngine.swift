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

    /// What is said where a client is needed and there is none.
    public static let missing = Problem(
        .notFound, "Docker is not installed on this server.",
        hint: "Install Docker Engine with its compose plugin, then retry the deployment.")
}
