/// Times and counts that bound what a client or an upstream may take.
public struct EdgeLimits: Sendable {
    /// From the first byte of a request to the end of its head.
    public var requestHeadTimeout = Duration.seconds(10)
    /// How long a connection may stay open between requests.
    public var keepAliveTimeout = Duration.seconds(75)
    public var connectTimeout = Duration.seconds(2)
    /// How long a port that is taken may turn out to be that of an edge that hands it over.
    public var startPatience = Duration.seconds(1)
    /// How often the names of endpoints are looked up again.
    public var lookupInterval = Duration.seconds(30)
    /// Connections of clients at once; nil for as many as there are descriptors for.
    public var connectionsMax: Int?
    /// How old a request may get while no descriptor is left to connect it to its upstream with.
    public var descriptorTimeout = Duration.seconds(10)
    /// From the request to the head of its response.
    public var responseHeadTimeout = Duration.seconds(60)
    /// How long a body may make no progress.
    public var bodyIdleTimeout = Duration.seconds(60)
    /// Bytes of a request's body that must arrive within each `bodyIdleTimeout` until the answer begins.
    public var bodyBytesMin = 4096
    public var tunnelIdleTimeout = Duration.seconds(3600)
    /// How long a request waits for a held upstream.
    public var holdTimeout = Duration.seconds(15)
    /// Requests that may wait for one held upstream.
    public var heldMax = 1_000
    /// How long an idle upstream connection is trusted when the upstream does not say.
    public var upstreamIdleTimeout = Duration.seconds(4)
    /// How long requests under way may take to finish when the edge is stopped.
    public var drainTimeout = Duration.seconds(10)
    /// The same when another process took over, so that nobody waits for it.
    public var handoverDrainTimeout = Duration.seconds(30)

    /// From the connection to the end of its TLS handshake.
    public var handshakeTimeout = Duration.seconds(10)
    /// TLS handshakes under way on one event loop; more connections are closed at once.
    public var handshakesMax = 2_000
    /// Requests at once on one HTTP/2 connection.
    public var concurrentStreamsMax = 128

    public init() {}
}

extension Duration {
    var wholeNanoseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds)) * 1_000_000_000 + UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}

/// The same as nanoseconds, which is what deadlines are added up in.
struct LimitTimes {
    let requestHeadTimeout: UInt64
    let keepAliveTimeout: UInt64
    let connectTimeout: UInt64
    let descriptorTimeout: UInt64
    let responseHeadTimeout: UInt64
    let bodyIdleTimeout: UInt64
    let tunnelIdleTimeout: UInt64
    let holdTimeout: UInt64
    let upstreamIdleTimeout: UInt64
    let handshakeTimeout: UInt64

    init(_ limits: EdgeLimits) {
        requestHeadTimeout = limits.requestHeadTimeout.wholeNanoseconds
        keepAliveTimeout = limits.keepAliveTimeout.wholeNanoseconds
        connectTimeout = limits.connectTimeout.wholeNanoseconds
        descriptorTimeout = limits.descriptorTimeout.wholeNanoseconds
        responseHeadTimeout = limits.responseHeadTimeout.wholeNanoseconds
        bodyIdleTimeout = limits.bodyIdleTimeout.wholeNanoseconds
        tunnelIdleTimeout = limits.tunnelIdleTimeout.wholeNanoseconds
        holdTimeout = limits.holdTimeout.wholeNanoseconds
        upstreamIdleTimeout = limits.upstreamIdleTimeout.wholeNanoseconds
        handshakeTimeout = limits.handshakeTimeout.wholeNanoseconds
    }
}
