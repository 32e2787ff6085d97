import NIOCore

/// What is known of the request under way.
struct ClientRequest {
    /// A part of its head has arrived.
    var hasBegun = false
    var method = RequestHead.Method.other
    var isHTTP10 = false
    var keepAlive = true
    var wantsUpgrade = false
    /// The head could not be read.
    var isRefused = false
    /// What of its body is still to come.
    var framing = BodyFraming.none
    /// All of it went upstream.
    var isSent = true
    /// Body bytes since `bodyPeriodStart`, to tell a slow client from one that does not mean to end.
    var bodyBytes = 0
    var bodyPeriodStart: UInt64 = 0
    /// What its body may still have of chunks' content; `max` for no limit, below 0 when it had more.
    var bodyBytesLeft = Int.max
    /// Body bytes that went upstream and can be sent again; nil when some are gone.
    var replay: ByteBuffer? = nil
    var isRetried = false
    var startedAt: UInt64 = 0
    var id: (UInt64, UInt64) = (0, 0)
    /// Of the response; 0 before its head.
    var status: UInt16 = 0
    var bytesOut: UInt64 = 0
    /// Of its head and body.
    var bytesIn: UInt64 = 0
    /// Time that opening a connection took, if one was opened; from the start to the first byte of the answer.
    var connectMicroseconds: UInt64 = 0
    var firstByteMicroseconds: UInt64 = 0
    /// What a trusted proxy says of the client.
    var claim: TrustedProxies.Claim?
    /// Endpoints by position: what the cookie asks for, what was taken.
    var stickyWanted: Int?
    var stickyChosen: Int?
    var isBreakerAsked = false
    /// The response's body is wrapped into chunks, or unwrapped from them.
    var encodesChunks = false
    var decodesChunks = false
}
