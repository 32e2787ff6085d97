import AgentProtocol

/// Where an agent keeps what it knows. All of it is below one folder.
public struct AgentPaths: Sendable, Equatable {
    public var root: String
    public init(root: String) { self.root = root }

    /// Node id, key pair, hub address and key; mode 0600.
    public var identity: String { "\(root)/identity.json" }
    /// The accepted document with its signature; mode 0600, since it holds secrets.
    public var desired: String { "\(root)/desired.json" }
    public var outbox: String { "\(root)/outbox.jsonl" }
    public var epoch: String { "\(root)/epoch" }
    public var edgeConfiguration: String { "\(root)/edge/config.json" }
    func edgeConfiguration(_ unit: EdgeUnit) -> String { "\(root)/edge/\(unit.id).json" }
    public var edgeSocket: String { "\(root)/edge/control.sock" }
    public var edgeTable: String { "\(root)/edge/table.json" }
    /// Certificates with their keys, and the orders under way; mode 0700.
    public var certificates: String { "\(root)/certificates" }
    /// Answers to the certificate authority's questions; mode 0700.
    public var challenges: String { "\(root)/challenges" }
    /// The firewall rules that were put in force last.
    var firewall: String { "\(root)/firewall.json" }
    public var logs: String { "\(root)/logs" }
    /// How far the logs of units were sent.
    var logPositions: String { "\(root)/log-positions.json" }
    /// Archives on their way into a release.
    var uploads: String { "\(root)/uploads" }
    public var services: String { "\(root)/services" }

    func cache(url: String) -> String { "\(root)/git/\(sha256Hex(Array(url.utf8)).prefix(32)).git" }
    func service(_ name: String) -> ServicePaths { ServicePaths(root: "\(services)/\(name)", logRoot: logs) }
    /// Folder of a unit's log.
    public func unitLog(_ id: String) -> String { "\(logs)/\(id)" }
    /// Each deployment has a build log of its own, also when it builds the same release again.
    func buildLog(_ name: String, _ deploymentId: String) -> String {
        "\(logs)/\(Self.buildLogPrefix(name))\(deploymentId)"
    }
    static func buildLogPrefix(_ name: String) -> String { "build.\(name)." }
    /// How the units of a service's instances begin, and so their logs.
    static func instancePrefix(_ name: String) -> String { "app.\(name)." }
}

/// Where one service lives.
struct ServicePaths: Sendable, Equatable {
    var root: String
    var logRoot: String

    var memory: String { "\(root)/memory.json" }
    var home: String { "\(root)/home" }
    var releases: String { "\(root)/releases" }
    func release(_ key: String) -> String { "\(releases)/\(key)" }
    /// Written last: a release without it is half a release.
    func seal(_ key: String) -> String { "\(releases)/\(key).json" }
}
