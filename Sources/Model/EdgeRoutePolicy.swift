/// Who may pass a route. All that is configured must be satisfied: the networks first, then basic authentication, then
/// the token, then the forwarded question.
public struct EdgeAccess: Codable, Sendable, Equatable {
    /// Refuse everybody with 403.
    public var isDenied: Bool
    /// The first rule whose network holds the client decides. Where none does, the client is refused if any rule
    /// allows, and passes otherwise.
    public var networks: [EdgeNetworkRule]
    /// User names and passwords (RFC 7617).
    public var basic: EdgeBasicAuth?
    /// SHA-256 (64 hexadecimal digits) of each token that passes, in `Authorization: Bearer` or in `X-Token`.
    public var tokenHashes: [String]
    /// A service that is asked.
    public var forward: EdgeForwardAuth?
    /// Whether the upstream gets `Authorization` and `X-Token` that were checked here.
    public var passesCredentials: Bool

    public init(
        isDenied: Bool = false, networks: [EdgeNetworkRule] = [], basic: EdgeBasicAuth? = nil,
        tokenHashes: [String] = [], forward: EdgeForwardAuth? = nil, passesCredentials: Bool = false
    ) {
        self.isDenied = isDenied
        self.networks = networks
        self.basic = basic
        self.tokenHashes = tokenHashes
        self.forward = forward
        self.passesCredentials = passesCredentials
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            isDenied: try values.decode(.isDenied, or: false), networks: try values.decode(.networks, or: []),
            basic: try values.decodeIfPresent(EdgeBasicAuth.self, forKey: .basic),
            tokenHashes: try values.decode(.tokenHashes, or: []),
            forward: try values.decodeIfPresent(EdgeForwardAuth.self, forKey: .forward),
            passesCredentials: try values.decode(.passesCredentials, or: false))
    }
}

/// One line of a list of networks.
public struct EdgeNetworkRule: Codable, Sendable, Equatable {
    /// CIDR or an address, IPv4 or IPv6.
    public var network: String
    /// Whether its clients pass or are refused.
    public var isAllowed: Bool

    public init(network: String, isAllowed: Bool) {
        self.network = network
        self.isAllowed = isAllowed
    }
}

/// Basic authentication (RFC 7617).
public struct EdgeBasicAuth: Codable, Sendable, Equatable {
    /// Shown by the browser; no quotation marks or backslashes.
    public var realm: String
    /// At least one.
    public var users: [EdgeUser]

    public init(realm: String = "restricted", users: [EdgeUser]) {
        self.realm = realm
        self.users = users
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            realm: try values.decode(.realm, or: "restricted"),
            users: try values.decode([EdgeUser].self, forKey: .users))
    }
}

/// One user of basic authentication. The upstream learns the name in `X-Forwarded-User`.
public struct EdgeUser: Codable, Sendable, Equatable {
    /// Without colon.
    public var name: String
    /// bcrypt, `$2a$`, `$2b$` or `$2y$`, cost 4 to 14.
    public var passwordHash: String

    public init(name: String, passwordHash: String) {
        self.name = name
        self.passwordHash = passwordHash
    }
}

/// A question to a service before the request is passed on: a GET without body, with the request's header fields and
/// `X-Forwarded-Method`, `-Proto`, `-Host`, `-Uri` and `-For`. An answer of class 2xx lets the request pass; any other
/// is the client's answer. No answer in time: 503.
public struct EdgeForwardAuth: Codable, Sendable, Equatable {
    /// Upstream of the table that is asked; it has endpoints.
    public var upstreamId: String
    /// Path and query of the question.
    public var path: String
    public var timeoutMs: Int
    /// Fields of a 2xx answer that replace the request's own; those that the answer lacks are removed from the request.
    public var copiedHeaders: [String]

    public init(
        upstreamId: String, path: String = "/", timeoutMs: Int = 5000, copiedHeaders: [String] = []
    ) {
        self.upstreamId = upstreamId
        self.path = path
        self.timeoutMs = timeoutMs
        self.copiedHeaders = copiedHeaders
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            upstreamId: try values.decode(String.self, forKey: .upstreamId), path: try values.decode(.path, or: "/"),
            timeoutMs: try values.decode(.timeoutMs, or: 5000), copiedHeaders: try values.decode(.copiedHeaders, or: [])
        )
    }
}

/// Limits of one route. A client is an IPv4 address or an IPv6 /64.
public struct EdgeRouteLimits: Codable, Sendable, Equatable {
    /// What a client may ask in the long run; more is answered with 429 and `Retry-After`.
    public var requestsPerSecond: Double?
    /// How many requests it may ask at once; nil for one second's worth, at least 1.
    public var burst: Int?
    /// Requests of one client under way at once; more is answered with 429.
    public var concurrentPerClient: Int?
    /// Requests of the route under way at once; more is answered with 503.
    public var concurrentRequests: Int?
    /// What the body of one request may have; more is answered with 413.
    public var maxBodyBytes: Int?

    public init(
        requestsPerSecond: Double? = nil, burst: Int? = nil, concurrentPerClient: Int? = nil,
        concurrentRequests: Int? = nil, maxBodyBytes: Int? = nil
    ) {
        self.maxBodyBytes = maxBodyBytes
        self.requestsPerSecond = requestsPerSecond
        self.burst = burst
        self.concurrentPerClient = concurrentPerClient
        self.concurrentRequests = concurrentRequests
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            requestsPerSecond: try values.decodeIfPresent(Double.self, forKey: .requestsPerSecond),
            burst: try values.decodeIfPresent(Int.self, forKey: .burst),
            concurrentPerClient: try values.decodeIfPresent(Int.self, forKey: .concurrentPerClient),
            concurrentRequests: try values.decodeIfPresent(Int.self, forKey: .concurrentRequests),
            maxBodyBytes: try values.decodeIfPresent(Int.self, forKey: .maxBodyBytes))
    }
}

/// Where a route sends its clients. `/.well-known/acme-challenge/` is never redirected.
public struct EdgeRedirect: Codable, Sendable, Equatable {
    /// The two forms of a domain.
    public enum Host: String, Codable, Sendable {
        /// `example.com` → `www.example.com`
        case www
        /// `www.example.com` → `example.com`
        case apex
    }

    /// Send on to the other form of the host; nil leaves it. `www` leaves hosts that are no domain names alone.
    public var host: Host?
    /// Send `http` on to `https`.
    public var https: Bool
    /// Port of the `https` that clients are sent on to; nil for 443.
    public var httpsPort: Int?
    /// Send everything to this `http` or `https` URL; the others are then not looked at.
    public var url: String?
    /// Whether path and query are added to `url`.
    public var keepsPath: Bool
    /// 301, 302, 303, 307 or 308.
    public var status: Int

    public init(
        host: Host? = nil, https: Bool = false, url: String? = nil, keepsPath: Bool = true, status: Int = 308,
        httpsPort: Int? = nil
    ) {
        self.httpsPort = httpsPort
        self.host = host
        self.https = https
        self.url = url
        self.keepsPath = keepsPath
        self.status = status
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            host: try values.decodeIfPresent(Host.self, forKey: .host), https: try values.decode(.https, or: false),
            url: try values.decodeIfPresent(String.self, forKey: .url),
            keepsPath: try values.decode(.keepsPath, or: true), status: try values.decode(.status, or: 308),
            httpsPort: try values.decodeIfPresent(Int.self, forKey: .httpsPort))
    }
}

/// Header fields of a route. Framing and hop-by-hop fields and those that the edge sets itself cannot be named.
public struct EdgeHeaderRules: Codable, Sendable, Equatable {
    /// Set towards the upstream, instead of what the client sent.
    public var requestSet: [EdgeHeader]
    /// Not passed to the upstream.
    public var requestRemove: [String]
    /// Set towards the client, instead of what the upstream sent.
    public var responseSet: [EdgeHeader]
    /// Not passed to the client.
    public var responseRemove: [String]
    /// `X-Content-Type-Options: nosniff`, `Referrer-Policy: strict-origin-when-cross-origin` and `X-Frame-Options:
    /// SAMEORIGIN`, each unless the answer has its own.
    public var addsSecurityHeaders: Bool
    /// Removes `Server` and `X-Powered-By`.
    public var hidesServer: Bool
    /// `Strict-Transport-Security` (RFC 6797) on answers over TLS.
    public var hsts: EdgeHSTS?

    public init(
        requestSet: [EdgeHeader] = [], requestRemove: [String] = [], responseSet: [EdgeHeader] = [],
        responseRemove: [String] = [], addsSecurityHeaders: Bool = false, hidesServer: Bool = false,
        hsts: EdgeHSTS? = nil
    ) {
        self.requestSet = requestSet
        self.requestRemove = requestRemove
        self.responseSet = responseSet
        self.responseRemove = responseRemove
        self.addsSecurityHeaders = addsSecurityHeaders
        self.hidesServer = hidesServer
        self.hsts = hsts
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            requestSet: try values.decode(.requestSet, or: []),
            requestRemove: try values.decode(.requestRemove, or: []),
            responseSet: try values.decode(.responseSet, or: []),
            responseRemove: try values.decode(.responseRemove, or: []),
            addsSecurityHeaders: try values.decode(.addsSecurityHeaders, or: false),
            hidesServer: try values.decode(.hidesServer, or: false),
            hsts: try values.decodeIfPresent(EdgeHSTS.self, forKey: .hsts))
    }
}

/// One header field.
public struct EdgeHeader: Codable, Sendable, Equatable {
    public var name: String
    /// One line.
    public var value: String

    public init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// Strict transport security (RFC 6797).
public struct EdgeHSTS: Codable, Sendable, Equatable {
    /// 0 makes browsers forget it.
    public var maxAgeSeconds: Int
    public var includesSubdomains: Bool
    public var allowsPreload: Bool

    public init(
        maxAgeSeconds: Int = 31_536_000, includesSubdomains: Bool = false, allowsPreload: Bool = false
    ) {
        self.maxAgeSeconds = maxAgeSeconds
        self.includesSubdomains = includesSubdomains
        self.allowsPreload = allowsPreload
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            maxAgeSeconds: try values.decode(.maxAgeSeconds, or: 31_536_000),
            includesSubdomains: try values.decode(.includesSubdomains, or: false),
            allowsPreload: try values.decode(.allowsPreload, or: false))
    }
}
