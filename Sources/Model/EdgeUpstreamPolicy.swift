/// How requests are spread over an upstream's endpoints.
public struct EdgeBalance: Codable, Sendable, Equatable {
    /// How one of several endpoints that answer is chosen.
    public enum Policy: String, Codable, Sendable {
        /// The one with the fewest requests under way for its weight; in turn where several have the fewest.
        case leastConnections = "least_connections"
        /// In turn, by weight.
        case roundRobin = "round_robin"
    }

    public var policy: Policy
    /// A cookie of this name binds a browser to an endpoint for as long as that answers. Its value names the endpoint
    /// and nothing else.
    public var stickyCookie: String?
    /// How often a request is tried at another endpoint: only when nothing of it was sent, or when its method is
    /// idempotent, it has no body, and no byte of the answer was seen. 0 to 5.
    public var retries: Int

    public init(
        policy: Policy = .leastConnections, stickyCookie: String? = nil, retries: Int = 1
    ) {
        self.policy = policy
        self.stickyCookie = stickyCookie
        self.retries = retries
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            policy: try values.decode(.policy, or: .leastConnections),
            stickyCookie: try values.decodeIfPresent(String.self, forKey: .stickyCookie),
            retries: try values.decode(.retries, or: 1))
    }
}

/// How endpoints that do not work are found. When none is left, all are tried.
public struct EdgeHealth: Codable, Sendable, Equatable {
    /// Failures in a row (no connection, no answer, a broken one) after which an endpoint is left out; 0 for never.
    public var failuresMax: Int
    /// How long it is left out before one request tries it again; doubled each time, up to ten times as long.
    public var outMs: Int
    /// Questions that the edge asks by itself.
    public var check: EdgeHealthCheck?

    public init(failuresMax: Int = 3, outMs: Int = 10_000, check: EdgeHealthCheck? = nil) {
        self.failuresMax = failuresMax
        self.outMs = outMs
        self.check = check
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            failuresMax: try values.decode(.failuresMax, or: 3), outMs: try values.decode(.outMs, or: 10_000),
            check: try values.decodeIfPresent(EdgeHealthCheck.self, forKey: .check))
    }
}

/// A question that each endpoint is asked again and again.
public struct EdgeHealthCheck: Codable, Sendable, Equatable {
    public var path: String
    /// The `Host` of the question; nil for the endpoint's.
    public var host: String?
    /// 100 or more.
    public var intervalMs: Int
    public var timeoutMs: Int
    /// Good answers (2xx or 3xx) in a row that bring it back.
    public var healthyAfter: Int
    /// Bad or missing answers in a row after which it is left out.
    public var unhealthyAfter: Int

    public init(
        path: String = "/", host: String? = nil, intervalMs: Int = 10_000, timeoutMs: Int = 2_000,
        healthyAfter: Int = 2, unhealthyAfter: Int = 3
    ) {
        self.path = path
        self.host = host
        self.intervalMs = intervalMs
        self.timeoutMs = timeoutMs
        self.healthyAfter = healthyAfter
        self.unhealthyAfter = unhealthyAfter
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            path: try values.decode(.path, or: "/"), host: try values.decodeIfPresent(String.self, forKey: .host),
            intervalMs: try values.decode(.intervalMs, or: 10_000), timeoutMs: try values.decode(.timeoutMs, or: 2_000),
            healthyAfter: try values.decode(.healthyAfter, or: 2),
            unhealthyAfter: try values.decode(.unhealthyAfter, or: 3))
    }
}

/// After too many failures an upstream gets no requests for a time; they are answered with 503. Then one tries.
public struct EdgeBreaker: Codable, Sendable, Equatable {
    /// Failures (no usable answer, or 502, 503 or 504 of the upstream) within the window.
    public var failures: Int
    public var windowMs: Int
    public var openMs: Int

    public init(failures: Int = 20, windowMs: Int = 10_000, openMs: Int = 10_000) {
        self.failures = failures
        self.windowMs = windowMs
        self.openMs = openMs
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            failures: try values.decode(.failures, or: 20), windowMs: try values.decode(.windowMs, or: 10_000),
            openMs: try values.decode(.openMs, or: 10_000))
    }
}

/// How a folder is served.
public struct EdgeStaticOptions: Codable, Sendable, Equatable {
    /// File below the folder that answers navigations (GET or HEAD that accept HTML) which find nothing, with 200: the
    /// page of a single-page application.
    public var fallback: String?
    /// File below the folder that is the body of a 404, where it exists; nil for the edge's own page.
    public var notFoundPage: String?
    /// Whether `name.br` and `name.gz` answer for `name` where the client takes them.
    public var usesPrecompressed: Bool
    /// `Cache-Control` of all answers of 200, 206 and 304.
    public var cacheControl: String?
    /// `public, max-age=31536000, immutable` for names with a hash in them, such as `app.3f9a1c2b.js`.
    public var cachesHashedNames: Bool

    public init(
        fallback: String? = nil, notFoundPage: String? = nil, usesPrecompressed: Bool = true,
        cacheControl: String? = nil, cachesHashedNames: Bool = false
    ) {
        self.fallback = fallback
        self.notFoundPage = notFoundPage
        self.usesPrecompressed = usesPrecompressed
        self.cacheControl = cacheControl
        self.cachesHashedNames = cachesHashedNames
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            fallback: try values.decodeIfPresent(String.self, forKey: .fallback),
            notFoundPage: try values.decodeIfPresent(String.self, forKey: .notFoundPage),
            usesPrecompressed: try values.decode(.usesPrecompressed, or: true),
            cacheControl: try values.decodeIfPresent(String.self, forKey: .cacheControl),
            cachesHashedNames: try values.decode(.cachesHashedNames, or: false))
    }
}

/// How requests wait for a service that is started for them.
public struct EdgeWake: Codable, Sendable, Equatable {
    /// How long a request is kept.
    public var holdMs: Int
    /// After this a browser gets a page that waits and asks again, in place of the kept request.
    public var pageAfterMs: Int

    public init(holdMs: Int = 30_000, pageAfterMs: Int = 3_000) {
        self.holdMs = holdMs
        self.pageAfterMs = pageAfterMs
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            holdMs: try values.decode(.holdMs, or: 30_000), pageAfterMs: try values.decode(.pageAfterMs, or: 3_000))
    }
}
