/// Everything the edge serves, as one value: it is replaced whole and atomically, and never edited.
public struct EdgeTable: Codable, Sendable, Equatable {
    /// Public routes, matched by host and longest path prefix.
    public var routes: [EdgeRoute]
    /// Names that the internal proxy and the DNS responder answer: service name → upstream id.
    public var internalNames: [String: String]
    /// The suffix of internal names, e.g. `svc.internal`.
    public var internalSuffix: String
    public var upstreams: [EdgeUpstream]
    /// Certificates of the TLS listener, chosen by the name that a client asks for; nil for none.
    public var certificates: [EdgeCertificate]?

    public init(
        routes: [EdgeRoute] = [], internalNames: [String: String] = [:], internalSuffix: String = "svc.internal",
        upstreams: [EdgeUpstream] = [], certificates: [EdgeCertificate]? = nil
    ) {
        self.certificates = certificates
        self.routes = routes
        self.internalNames = internalNames
        self.internalSuffix = internalSuffix
        self.upstreams = upstreams
    }
}

/// One public route.
public struct EdgeRoute: Codable, Sendable, Equatable {
    /// Exact names or `*.suffix`; empty for any host. Lower case, no trailing dot.
    public var hosts: [String]
    /// Matches on segment borders: `/api` matches `/api` and `/api/x`, not `/apis`.
    public var pathPrefix: String
    /// Whether the prefix is removed before the request goes upstream.
    public var stripPrefix: Bool
    public var upstreamId: String

    public init(hosts: [String] = [], pathPrefix: String = "/", stripPrefix: Bool = false, upstreamId: String) {
        self.hosts = hosts
        self.pathPrefix = pathPrefix
        self.stripPrefix = stripPrefix
        self.upstreamId = upstreamId
    }
}

/// Where the requests of a service go.
public struct EdgeUpstream: Codable, Sendable, Equatable {
    /// What the edge does with a request for this upstream.
    public enum Mode: String, Codable, Sendable {
        /// Pass it on to an endpoint.
        case serve
        /// Keep it waiting for the next table; the switch of a service with a fixed port.
        case hold
        /// Answer 503 with a page that says which service is down and since when.
        case down
    }

    /// Unique in the table; the service's id.
    public var id: String
    /// The service's name, for pages and logs.
    public var name: String
    public var mode: Mode
    public var endpoints: [EdgeEndpoint]
    /// A folder to serve instead of endpoints; absolute.
    public var staticFolder: String?
    /// Since when it is down, for the page.
    public var downSince: Timestamp?

    public init(
        id: String, name: String, mode: Mode = .serve, endpoints: [EdgeEndpoint] = [], staticFolder: String? = nil,
        downSince: Timestamp? = nil
    ) {
        self.id = id
        self.name = name
        self.mode = mode
        self.endpoints = endpoints
        self.staticFolder = staticFolder
        self.downSince = downSince
    }
}

/// One instance behind an upstream.
public struct EdgeEndpoint: Codable, Sendable, Hashable {
    public var host: String
    public var port: Int

    public init(host: String, port: Int) {
        self.host = host
        self.port = port
    }
}

/// What the edge reports of itself.
public struct EdgeStatus: Codable, Sendable, Equatable {
    /// SHA-256 (hex) of the canonical JSON of the table in force; empty before the first.
    public var tableHash: String
    /// Requests under way per endpoint, `host:port` → count; an endpoint with none is absent. Endpoints of earlier
    /// tables are listed for as long as they still have requests, which is what draining waits for.
    public var requestsInFlight: [String: Int]
    /// Requests that wait for a held upstream, upstream id → count.
    public var requestsHeld: [String: Int]
    /// Requests answered since start, upstream id → count.
    public var requestsTotal: [String: Int]
    /// One for each certificate of the table, in its order; nil when it has none.
    public var certificates: [EdgeCertificateStatus]?

    public init(
        tableHash: String = "", requestsInFlight: [String: Int] = [:], requestsHeld: [String: Int] = [:],
        requestsTotal: [String: Int] = [:], certificates: [EdgeCertificateStatus]? = nil
    ) {
        self.certificates = certificates
        self.tableHash = tableHash
        self.requestsInFlight = requestsInFlight
        self.requestsHeld = requestsHeld
        self.requestsTotal = requestsTotal
    }
}

/// Where the edge listens. Fixed for the life of an edge process.
public struct EdgeListeners: Codable, Sendable, Equatable {
    /// Public front door, `host:port`.
    public var publicAddress: String
    /// Public front door for TLS, `host:port`; nil for none.
    public var tlsAddress: String?
    /// Internal proxy, loopback only, `host:port`; nil for none.
    public var internalAddress: String?
    /// DNS responder, loopback only, `host:port`; nil for none.
    public var dnsAddress: String?
    /// Unix socket for the agent, mode 0600.
    public var controlSocket: String
    /// The last table, read at start so that an edge without its agent serves at once.
    public var tablePath: String
    /// Folder of the access log.
    public var logFolder: String
    /// Folder with a file for each token of an ACME HTTP-01 challenge (RFC 8555 section 8.3), answered for any host in
    /// clear text; nil for none.
    public var challengeFolder: String?

    public init(
        publicAddress: String, tlsAddress: String? = nil, internalAddress: String?, dnsAddress: String?,
        controlSocket: String, tablePath: String, logFolder: String, challengeFolder: String? = nil
    ) {
        self.tlsAddress = tlsAddress
        self.challengeFolder = challengeFolder
        self.publicAddress = publicAddress
        self.internalAddress = internalAddress
        self.dnsAddress = dnsAddress
        self.controlSocket = controlSocket
        self.tablePath = tablePath
        self.logFolder = logFolder
    }
}
