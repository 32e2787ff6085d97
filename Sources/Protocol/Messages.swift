public import Model

/// Version of the messages in this file; sent by both sides, and a hub refuses an agent it cannot read.
public let protocolVersion = 1

/// `POST /api/v1/agent/register`: an install token in exchange for an identity.
public struct RegisterRequest: Codable, Sendable, Equatable {
    public var token: String
    /// Ed25519 public key, base64.
    public var publicKey: String
    public var hostname: String
    public var agentVersion: String
    public var protocolVersion: Int

    public init(token: String, publicKey: String, hostname: String, agentVersion: String, protocolVersion: Int) {
        self.token = token
        self.publicKey = publicKey
        self.hostname = hostname
        self.agentVersion = agentVersion
        self.protocolVersion = protocolVersion
    }
}

/// The identity that a token was exchanged for.
public struct RegisterResponse: Codable, Sendable, Equatable {
    public var nodeId: String
    public var nodeName: String
    public var stackId: String
    /// Ed25519 public key that signs desired states, base64; the agent pins it.
    public var hubPublicKey: String

    public init(nodeId: String, nodeName: String, stackId: String, hubPublicKey: String) {
        self.nodeId = nodeId
        self.nodeName = nodeName
        self.stackId = stackId
        self.hubPublicKey = hubPublicKey
    }
}

/// `GET /api/v1/agent/desired-state`.
public struct DesiredStateEnvelope: Sendable, Equatable {
    /// The document as it was hashed; decoded to ``DesiredState`` only after hash and signature were verified.
    public var document: JSONValue
    /// SHA-256 of the canonical JSON of `document`, hex. Also the ETag.
    public var hash: String
    /// Ed25519 over ``DocumentSignature/message(hash:nodeId:generation:)``, base64.
    public var signature: String

    public init(document: JSONValue, hash: String, signature: String) {
        self.document = document
        self.hash = hash
        self.signature = signature
    }
}

/// How one service does on one node.
public struct ServiceReport: Codable, Sendable, Equatable {
    public var serviceId: String
    public var name: String
    /// `pending`, `building`, `starting`, `running`, `unhealthy`, `crash_loop`, `backoff`, `asleep`,
    /// `stopped`, `failed`.
    public var state: String
    /// The deployment whose release serves now; nil when none does.
    public var servingDeploymentId: String?
    public var commit: String?
    public var release: String?
    public var ports: [Int]
    public var restarts: Int
    public var lastError: String?
    public var memoryBytes: Int64?
    /// The outcome of the deployment that the desired state asks for.
    public var deployment: DeploymentReport?

    public init(
        serviceId: String, name: String, state: String, servingDeploymentId: String?, commit: String?,
        release: String?, ports: [Int], restarts: Int, lastError: String?, memoryBytes: Int64?,
        deployment: DeploymentReport?
    ) {
        self.serviceId = serviceId
        self.name = name
        self.state = state
        self.servingDeploymentId = servingDeploymentId
        self.commit = commit
        self.release = release
        self.ports = ports
        self.restarts = restarts
        self.lastError = lastError
        self.memoryBytes = memoryBytes
        self.deployment = deployment
    }
}

/// Progress or outcome of a deployment on one node.
public struct DeploymentReport: Codable, Sendable, Equatable {
    public var deploymentId: String
    /// `queued`, `fetching`, `building`, `starting`, `checking`, `switching`, `draining`, then `active` or `failed`.
    public var phase: String
    public var message: String?
    /// Time spent per phase, phase → milliseconds.
    public var durationsMs: [String: Int]
    /// Files and bytes of the release, once it is built.
    public var files: Int?
    public var bytes: Int64?

    public init(deploymentId: String, phase: String, message: String? = nil, durationsMs: [String: Int] = [:]) {
        self.deploymentId = deploymentId
        self.phase = phase
        self.message = message
        self.durationsMs = durationsMs
    }
}

/// What a machine accepts from outside.
public struct SecurityReport: Codable, Sendable, Equatable {
    /// The mode that is in force: `open`, `daemon-port` or `blocked`.
    public var mode: String
    /// Why what the stack asks for is not in force; nil when it is.
    public var problem: String?
    /// Ports that programs listen on, but for loopback.
    public var exposure: [ListeningPort]

    public init(mode: String, problem: String?, exposure: [ListeningPort]) {
        self.mode = mode
        self.problem = problem
        self.exposure = exposure
    }
}

/// `POST /api/v1/agent/heartbeat`: a full snapshot, so that a lost one costs nothing.
public struct Heartbeat: Codable, Sendable, Equatable {
    /// Grows with every heartbeat of an agent; the hub drops one that is older than what it has.
    public var sequence: Int64
    public var agentVersion: String
    public var protocolVersion: Int
    /// What the agent has accepted; 0 before the first document.
    public var generation: Int64
    public var hash: String
    /// True when plan after apply is empty: all that is desired was observed.
    public var converged: Bool
    public var services: [ServiceReport]
    /// Model of the machine as ``Host`` facts, kept as JSON so that fields can be added.
    public var machine: JSONValue
    /// Events that wait for delivery.
    public var eventsPending: Int
    /// Requests that the edge answered since its start, by service id.
    public var requests: [String: Int]
    /// Nil from an agent that does not say.
    public var security: SecurityReport?
    /// What keeps the agent from taking a new document, such as a full disk; nil for nothing.
    public var problem: String?
    /// How it stands with each site; nil from an agent that does not say.
    public var sites: [SiteReport]?
    /// What the edge did lately, by service id; nil from an agent that does not say.
    public var traffic: [String: TrafficReport]?
    /// Memory of the services, by id. Apart from their reports, which stay the same for long.
    public var memoryBytes: [String: Int64]?

    public init(
        sequence: Int64, agentVersion: String, protocolVersion: Int, generation: Int64, hash: String, converged: Bool,
        services: [ServiceReport], machine: JSONValue, eventsPending: Int, requests: [String: Int] = [:],
        security: SecurityReport? = nil, problem: String? = nil, sites: [SiteReport]? = nil,
        traffic: [String: TrafficReport]? = nil, memoryBytes: [String: Int64]? = nil
    ) {
        self.memoryBytes = memoryBytes
        self.sites = sites
        self.traffic = traffic
        self.sequence = sequence
        self.agentVersion = agentVersion
        self.protocolVersion = protocolVersion
        self.generation = generation
        self.hash = hash
        self.converged = converged
        self.services = services
        self.machine = machine
        self.eventsPending = eventsPending
        self.requests = requests
        self.security = security
        self.problem = problem
    }
}

/// What the edge answered for one service in the last minute.
public struct TrafficReport: Codable, Sendable, Equatable {
    public var requestsPerSecond: Double
    /// Answers of class 5xx.
    public var errorsPerSecond: Double
    /// Time to the last byte of the answer, as upper bounds of buckets; nil without a request.
    public var p50Ms: Double?
    public var p95Ms: Double?
    public var p99Ms: Double?

    public init(
        requestsPerSecond: Double, errorsPerSecond: Double, p50Ms: Double? = nil, p95Ms: Double? = nil,
        p99Ms: Double? = nil
    ) {
        self.requestsPerSecond = requestsPerSecond
        self.errorsPerSecond = errorsPerSecond
        self.p50Ms = p50Ms
        self.p95Ms = p95Ms
        self.p99Ms = p99Ms
    }
}

/// Something that happened on a node.
public struct AgentEvent: Codable, Sendable, Equatable {
    /// 1, 2, 3 … without gaps for the life of the node's identity; the hub accepts each once and in order.
    public var sequence: Int64
    public var time: Timestamp
    /// `build`, `run`, `crash`, `config`, `health`, `security`.
    public var kind: String
    public var serviceId: String?
    public var deploymentId: String?
    public var message: String

    public init(
        sequence: Int64, time: Timestamp, kind: String, serviceId: String? = nil, deploymentId: String? = nil,
        message: String
    ) {
        self.sequence = sequence
        self.time = time
        self.kind = kind
        self.serviceId = serviceId
        self.deploymentId = deploymentId
        self.message = message
    }
}

/// `POST /api/v1/agent/events`.
public struct EventBatch: Codable, Sendable, Equatable {
    public var events: [AgentEvent]
    public init(events: [AgentEvent]) { self.events = events }
}

/// The hub has everything up to here; the agent forgets it.
public struct EventReceipt: Codable, Sendable, Equatable {
    public var acknowledged: Int64
    public init(acknowledged: Int64) { self.acknowledged = acknowledged }
}

/// `POST /api/v1/agent/logs`: output of builds and services as it appears.
public struct LogBatch: Codable, Sendable, Equatable {
    public var chunks: [LogChunk]
    public init(chunks: [LogChunk]) { self.chunks = chunks }
}

/// A piece of one output stream.
public struct LogChunk: Codable, Sendable, Equatable {
    /// `build` (of a deployment) or `service`.
    public var source: String
    /// Deployment id or service id.
    public var id: String
    /// Where in the stream this text begins, in bytes. Text that the hub has already is dropped. Without a stream it is
    /// the place in the log, and -1 appends.
    public var offset: Int64
    public var text: String
    /// Names what the offset counts in: several instances of a service share its log, and so do several attempts of a
    /// build. Lower-case hexadecimal, at most 64 digits.
    public var stream: String?
    /// When the text was read, which is when its lines were written, but for those that waited for the agent to start.
    public var time: Timestamp?

    public init(
        source: String, id: String, offset: Int64, text: String, stream: String? = nil, time: Timestamp? = nil
    ) {
        self.source = source
        self.id = id
        self.offset = offset
        self.text = text
        self.stream = stream
        self.time = time
    }
}
