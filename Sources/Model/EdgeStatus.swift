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
    /// Ids of the upstreams in mode `wake` that a request waits or waited for since the table came into force.
    public var wakeRequested: [String]
    /// Grows with each wake request, so that a caller can wait for the next.
    public var wakeSerial: Int
    /// What the edge saw of each upstream, by id.
    public var upstreams: [String: EdgeUpstreamStatus]
    /// Lines that the access log dropped since start, because the disk did not keep up.
    public var accessLogDropped: Int
    /// Whether lines of sites that are gone are still to be taken out of the access log.
    public var isPurgingAccessLog: Bool
    /// One for each certificate of the table, in its order; nil when it has none.
    public var certificates: [EdgeCertificateStatus]?
    /// ``EdgeListeners/generation`` of the process that answers.
    public var generation: Int?

    public init(
        tableHash: String = "", requestsInFlight: [String: Int] = [:], requestsHeld: [String: Int] = [:],
        requestsTotal: [String: Int] = [:], wakeRequested: [String] = [], wakeSerial: Int = 0,
        upstreams: [String: EdgeUpstreamStatus] = [:], accessLogDropped: Int = 0,
        certificates: [EdgeCertificateStatus]? = nil, generation: Int? = nil, isPurgingAccessLog: Bool = false
    ) {
        self.isPurgingAccessLog = isPurgingAccessLog
        self.generation = generation
        self.tableHash = tableHash
        self.requestsInFlight = requestsInFlight
        self.requestsHeld = requestsHeld
        self.requestsTotal = requestsTotal
        self.wakeRequested = wakeRequested
        self.wakeSerial = wakeSerial
        self.upstreams = upstreams
        self.accessLogDropped = accessLogDropped
        self.certificates = certificates
    }

    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            tableHash: try values.decode(String.self, forKey: .tableHash),
            requestsInFlight: try values.decode(.requestsInFlight, or: [:]),
            requestsHeld: try values.decode(.requestsHeld, or: [:]),
            requestsTotal: try values.decode(.requestsTotal, or: [:]),
            wakeRequested: try values.decode(.wakeRequested, or: []),
            wakeSerial: try values.decode(.wakeSerial, or: 0), upstreams: try values.decode(.upstreams, or: [:]),
            accessLogDropped: try values.decode(.accessLogDropped, or: 0),
            certificates: try values.decodeIfPresent([EdgeCertificateStatus].self, forKey: .certificates),
            generation: try values.decodeIfPresent(Int.self, forKey: .generation),
            isPurgingAccessLog: try values.decode(.isPurgingAccessLog, or: false))
    }
}

/// What the edge saw of one upstream. Rates and percentiles are of the last whole minute or less.
public struct EdgeUpstreamStatus: Codable, Sendable, Equatable {
    /// When the last request for it began; nil for none since the edge started.
    public var lastRequestAt: Timestamp?
    /// Requests that are under way or held.
    public var inFlight: Int
    public var requestsPerSecond: Double
    /// Answers of class 5xx.
    public var errorsPerSecond: Double
    /// From the request's head to the answer's last byte; an upper bound by the histogram's next border. Nil for none.
    public var p50Milliseconds: Double?
    public var p95Milliseconds: Double?
    public var p99Milliseconds: Double?
    /// Endpoints, `host:port`, that get no requests because they failed.
    public var endpointsOut: [String]
    /// Whether the circuit breaker refuses requests.
    public var isBreakerOpen: Bool

    public init(
        lastRequestAt: Timestamp? = nil, inFlight: Int = 0, requestsPerSecond: Double = 0, errorsPerSecond: Double = 0,
        p50Milliseconds: Double? = nil, p95Milliseconds: Double? = nil, p99Milliseconds: Double? = nil,
        endpointsOut: [String] = [], isBreakerOpen: Bool = false
    ) {
        self.lastRequestAt = lastRequestAt
        self.inFlight = inFlight
        self.requestsPerSecond = requestsPerSecond
        self.errorsPerSecond = errorsPerSecond
        self.p50Milliseconds = p50Milliseconds
        self.p95Milliseconds = p95Milliseconds
        self.p99Milliseconds = p99Milliseconds
        self.endpointsOut = endpointsOut
        self.isBreakerOpen = isBreakerOpen
    }
}

extension KeyedDecodingContainer {
    /// The member, or `fallback` when an older writer did not know it.
    func decode<Value: Decodable>(_ key: Key, or fallback: Value) throws -> Value {
        try decodeIfPresent(Value.self, forKey: key) ?? fallback
    }
}
