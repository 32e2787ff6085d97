/// Everything the edge serves, as one value: it is replaced whole and atomically, and never edited.
public struct EdgeTable: Codable, Sendable, Equatable {
    /// Public routes, matched by host and longest path prefix.
    public var routes: [EdgeRoute]
    /// Names that the internal proxy and the DNS responder answer: service name → upstream id.
    public var internalNames: [String: String]
    /// The suffix of internal names, e.g. `svc.internal`.
    public var internalSuffix: String
    public var upstreams: [EdgeUpstream]
    /// Networks (CIDR) or addresses of proxies in front of this edge. Only from them is `X-Forwarded-For` believed; the
    /// client is then its right-most address that is none of theirs. Nil or empty: nobody is believed.
    public var trustedProxies: [String]?
    /// Certificates of the TLS listener, chosen by the name that a client asks for; nil for none.
    public var certificates: [EdgeCertificate]?
    /// Ids of all sites of this server, with or without a route. Lines of any other site are taken out of the access
    /// log. Nil when that is not known, and keeps them all.
    public var siteIds: [String]?

    public init(
        routes: [EdgeRoute] = [], internalNames: [String: String] = [:], internalSuffix: String = "svc.internal",
        upstreams: [EdgeUpstream] = [], trustedProxies: [String]? = nil, certificates: [EdgeCertificate]? = nil,
        siteIds: [String]? = nil
    ) {
        self.siteIds = siteIds
        self.trustedProxies = trustedProxies
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
    /// What the route is called in metrics and in the log; nil for host and prefix. Need not be unique.
    public var name: String?
    /// Who may pass; nil for anyone.
    public var access: EdgeAccess?
    /// How much one client or all of them may ask; nil for no limit.
    public var limits: EdgeRouteLimits?
    /// Where requests are sent on to instead of being served; nil when they are served.
    public var redirect: EdgeRedirect?
    /// Header fields that are set and removed; nil leaves all as they are.
    public var headers: EdgeHeaderRules?
    /// Whether the access log holds the query, which may hold secrets. Nil for no.
    public var logsQuery: Bool?
    /// The site that it is of, as the access log names it; nil for a route of a service's own.
    public var siteId: String?

    public init(
        hosts: [String] = [], pathPrefix: String = "/", stripPrefix: Bool = false, upstreamId: String,
        name: String? = nil, access: EdgeAccess? = nil, limits: EdgeRouteLimits? = nil,
        redirect: EdgeRedirect? = nil, headers: EdgeHeaderRules? = nil, logsQuery: Bool? = nil,
        siteId: String? = nil
    ) {
        self.siteId = siteId
        self.hosts = hosts
        self.pathPrefix = pathPrefix
        self.stripPrefix = stripPrefix
        self.upstreamId = upstreamId
        self.name = name
        self.access = access
        self.limits = limits
        self.redirect = redirect
        self.headers = headers
        self.logsQuery = logsQuery
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
        /// Nothing runs, but may: keep the request, ask the agent to start the service, and serve it then.
        case wake
        /// Answer with what the edge counts, in the text format of Prometheus.
        case metrics
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
    /// How requests are spread over the endpoints; nil for least connections.
    public var balance: EdgeBalance?
    /// How endpoints that fail are found and left out; nil for not at all.
    public var health: EdgeHealth?
    /// When the upstream as a whole is given a rest; nil for never.
    public var breaker: EdgeBreaker?
    /// How the folder is served; nil for the plain way.
    public var staticOptions: EdgeStaticOptions?
    /// How requests wait in mode `wake`; nil for the defaults.
    public var wake: EdgeWake?
    /// What its endpoints speak; nil for HTTP/1.1.
    public var `protocol`: EdgeProtocol?

    public init(
        id: String, name: String, mode: Mode = .serve, endpoints: [EdgeEndpoint] = [], staticFolder: String? = nil,
        downSince: Timestamp? = nil, balance: EdgeBalance? = nil, health: EdgeHealth? = nil,
        breaker: EdgeBreaker? = nil, staticOptions: EdgeStaticOptions? = nil, wake: EdgeWake? = nil,
        `protocol`: EdgeProtocol? = nil
    ) {
        self.protocol = `protocol`
        self.balance = balance
        self.health = health
        self.breaker = breaker
        self.staticOptions = staticOptions
        self.wake = wake
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
    /// Share of the requests among the endpoints of its group; nil for 1, 0 for none but those that a cookie binds.
    public var weight: Int?
    /// Endpoints of one name are a group. A group gets the share of the requests that its weights have in the sum of
    /// all, whatever its load: a canary. Nil is the group of those without a name.
    public var group: String?

    public init(host: String, port: Int, weight: Int? = nil, group: String? = nil) {
        self.host = host
        self.port = port
        self.weight = weight
        self.group = group
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
    /// Resolvers, `address:port`, that the DNS responder asks for names outside its zone; none: it refuses them.
    public var dnsResolvers: [String]?
    /// Unix socket for the agent, mode 0600.
    public var controlSocket: String
    /// The last table, read at start so that an edge without its agent serves at once.
    public var tablePath: String
    /// Folder of the access log.
    public var logFolder: String
    /// Folder with a file for each token of an ACME HTTP-01 challenge (RFC 8555 section 8.3), answered for any host in
    /// clear text; nil for none.
    public var challengeFolder: String?
    /// A process of a greater generation takes the listening sockets over from the one that runs; nil counts as 0.
    public var generation: Int?
    /// Version of the program that is to serve.
    public var program: String?

    public init(
        publicAddress: String, tlsAddress: String? = nil, internalAddress: String?, dnsAddress: String?,
        controlSocket: String, tablePath: String, logFolder: String, challengeFolder: String? = nil,
        dnsResolvers: [String]? = nil, generation: Int? = nil, program: String? = nil
    ) {
        self.tlsAddress = tlsAddress
        self.challengeFolder = challengeFolder
        self.dnsResolvers = dnsResolvers
        self.generation = generation
        self.program = program
        self.publicAddress = publicAddress
        self.internalAddress = internalAddress
        self.dnsAddress = dnsAddress
        self.controlSocket = controlSocket
        self.tablePath = tablePath
        self.logFolder = logFolder
    }
}
