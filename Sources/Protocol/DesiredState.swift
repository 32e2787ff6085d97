public import Model

/// All that one node should run: compiled by the hub, verified and applied by the agent. Property names become
/// `snake_case` on the wire.
public struct DesiredState: Codable, Sendable, Equatable {
    public var nodeId: String
    public var stackId: String
    public var stackName: String
    /// Grows with every change of the document; an agent never goes back.
    public var generation: Int64
    public var pollIntervalMs: Int
    public var proxy: DesiredProxy
    public var dns: DesiredDNS
    /// `open`, `daemon-port` or `blocked`.
    public var securityMode: String
    /// Networks that may reach SSH, in CIDR notation; nil in documents of hubs that do not say.
    public var sshAllow: [String]?
    /// Names of all services of the stack, also of those that have no commit yet: each gets a `SERVICE_<NAME>_URL`.
    public var peers: [String]
    /// Sorted by name.
    public var services: [DesiredService]
    /// Sorted by domain; nil in documents of hubs that have none.
    public var sites: [DesiredSite]?
    /// Where certificates are ordered; nil where none is wanted.
    public var authority: DesiredAuthority?

    public init(
        nodeId: String, stackId: String, stackName: String, generation: Int64, pollIntervalMs: Int,
        proxy: DesiredProxy, dns: DesiredDNS, securityMode: String, sshAllow: [String]? = nil, peers: [String],
        services: [DesiredService], sites: [DesiredSite]? = nil, authority: DesiredAuthority? = nil
    ) {
        self.sites = sites
        self.authority = authority
        self.nodeId = nodeId
        self.stackId = stackId
        self.stackName = stackName
        self.generation = generation
        self.pollIntervalMs = pollIntervalMs
        self.proxy = proxy
        self.dns = dns
        self.securityMode = securityMode
        self.sshAllow = sshAllow
        self.peers = peers
        self.services = services
    }
}

/// The public front door. An agent started with an address of its own (`--edge`) prefers that.
public struct DesiredProxy: Codable, Sendable, Equatable {
    public var bind: String
    public var port: Int
    /// Port of the TLS front door; nil for none.
    public var tlsPort: Int?
    /// Networks and addresses of proxies in front of the server, whose `X-Forwarded-*` is believed; nil for none.
    public var trustedNetworks: [String]?

    public init(bind: String, port: Int, tlsPort: Int? = nil, trustedNetworks: [String]? = nil) {
        self.trustedNetworks = trustedNetworks
        self.bind = bind
        self.port = port
        self.tlsPort = tlsPort
    }
}

/// Internal names.
public struct DesiredDNS: Codable, Sendable, Equatable {
    public var suffix: String
    public init(suffix: String) { self.suffix = suffix }
}

/// How an instance shows that it works.
public struct DesiredHealthCheck: Codable, Sendable, Equatable {
    /// Path of an HTTP check; nil for a TCP check.
    public var path: String?
    public var intervalMs: Int
    public var timeoutMs: Int
    /// How long a new instance may take until its first success.
    public var graceMs: Int
    public var healthyThreshold: Int
    public var unhealthyThreshold: Int

    public init(
        path: String?, intervalMs: Int, timeoutMs: Int, graceMs: Int, healthyThreshold: Int, unhealthyThreshold: Int
    ) {
        self.path = path
        self.intervalMs = intervalMs
        self.timeoutMs = timeoutMs
        self.graceMs = graceMs
        self.healthyThreshold = healthyThreshold
        self.unhealthyThreshold = unhealthyThreshold
    }
}

/// One service as a node should run it: what to build, how to run it, where to route to it.
public struct DesiredService: Codable, Sendable, Equatable {
    public var id: String
    public var name: String
    /// `process`, `static`, `container` or `compose`.
    public var kind: String
    public var deploymentId: String
    /// Empty for an upload.
    public var gitUrl: String
    /// Of an upload, the SHA-256 of its archive.
    public var commit: String
    /// Whether the source is an archive that the hub keeps.
    public var isUpload: Bool
    /// Private half of the deploy key; a secret.
    public var gitSshKey: String?
    public var buildCommand: String?
    public var buildTimeoutMs: Int
    public var buildMemoryMaxBytes: Int64?
    public var runCommand: String?
    /// Path of a container's Dockerfile, below the release; nil for `Dockerfile`.
    public var dockerfile: String?
    /// Path of the compose file, below the release; nil for the first usual name that is there.
    public var composeFile: String?
    /// Folder of a static service, below the release.
    public var publicFolder: String?
    /// Fixed port, or nil: one is assigned. Of a container, the port inside of it; the one outside is always assigned.
    public var port: Int?
    /// Public path prefix, or nil for none.
    public var path: String?
    public var stripPath: Bool
    public var hostnames: [String]
    /// May hold secrets.
    public var env: [String: String]
    public var healthCheck: DesiredHealthCheck
    public var memoryMaxBytes: Int64?
    public var cpuQuota: Double?
    public var instances: Int
    public var stopSignal: String
    public var stopGraceMs: Int
    /// Releases that are kept.
    public var retain: Int
    /// Grows when a restart is asked for.
    public var restartGeneration: Int
    /// After this long without a request its instances are stopped; the next request starts them. Nil for never.
    public var idleTimeoutMs: Int?
    /// The service that gives this one a share of its requests; nil for one that stands for itself.
    public var canaryOf: String?
    /// Share of the requests of ``canaryOf``, in percent.
    public var canaryPercent: Int?
    /// How requests are spread over its instances; nil for the edge's own way.
    public var balance: EdgeBalance?
    /// When it gets no requests for a while; nil for never.
    public var breaker: EdgeBreaker?
    /// What the body of a request that comes by its own route may have; nil for no limit.
    public var maxBodyBytes: Int64?
    /// How the files of a static service are served; nil for the edge's own way.
    public var staticOptions: EdgeStaticOptions?
    /// What it speaks; nil for HTTP/1.1.
    public var `protocol`: EdgeProtocol?

    public init(
        id: String, name: String, kind: String, deploymentId: String, gitUrl: String, commit: String, isUpload: Bool,
        gitSshKey: String?, buildCommand: String?, buildTimeoutMs: Int, buildMemoryMaxBytes: Int64?,
        runCommand: String?, publicFolder: String?, port: Int?, path: String?, stripPath: Bool, hostnames: [String],
        env: [String: String], healthCheck: DesiredHealthCheck, memoryMaxBytes: Int64?, cpuQuota: Double?,
        instances: Int, stopSignal: String, stopGraceMs: Int, retain: Int, restartGeneration: Int,
        dockerfile: String? = nil, composeFile: String? = nil, idleTimeoutMs: Int? = nil, canaryOf: String? = nil,
        canaryPercent: Int? = nil
    ) {
        self.canaryOf = canaryOf
        self.canaryPercent = canaryPercent
        self.idleTimeoutMs = idleTimeoutMs
        self.id = id
        self.name = name
        self.kind = kind
        self.deploymentId = deploymentId
        self.gitUrl = gitUrl
        self.commit = commit
        self.isUpload = isUpload
        self.gitSshKey = gitSshKey
        self.buildCommand = buildCommand
        self.buildTimeoutMs = buildTimeoutMs
        self.buildMemoryMaxBytes = buildMemoryMaxBytes
        self.runCommand = runCommand
        self.publicFolder = publicFolder
        self.port = port
        self.path = path
        self.stripPath = stripPath
        self.hostnames = hostnames
        self.env = env
        self.healthCheck = healthCheck
        self.memoryMaxBytes = memoryMaxBytes
        self.cpuQuota = cpuQuota
        self.instances = instances
        self.stopSignal = stopSignal
        self.stopGraceMs = stopGraceMs
        self.retain = retain
        self.restartGeneration = restartGeneration
        self.dockerfile = dockerfile
        self.composeFile = composeFile
    }

    /// Whether it is built and run by the container engine.
    public var usesContainers: Bool { kind == "container" || kind == "compose" }
    /// The port of the server that only one instance at a time can have; nil when each gets its own.
    public var fixedPort: Int? { kind == "container" ? nil : port }
}
