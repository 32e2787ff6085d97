/// The field names of responses that the proxy must understand.
enum ResponseHeaderName: UInt8 {
    case other, connection, contentLength, transferEncoding, keepAlive, upgrade, proxyConnection, date
}

/// A response head as offsets into the bytes it was read from. One per event loop, like ``RequestHead``.
struct ResponseHead: ~Copyable {
    static let fieldsMax = 128

    struct Field {
        var name: ByteRange
        var value: ByteRange
        var lineEnd: Int32
        var id: ResponseHeaderName
        var isHopByHop: Bool
    }

    let fields: UnsafeMutablePointer<Field>
    var fieldCount = 0
    var end = 0
    var status: UInt16 = 0
    /// Status code, reason and their CRLF.
    var statusText = ByteRange()
    /// Framing by the head alone; the request's method may make it none.
    var framing = BodyFraming.untilClose
    var hasDate = false
    /// The upstream keeps its connection open after this response.
    var keepAlive = true
    /// Seconds of `Keep-Alive: timeout=N`, if it said so.
    var keepAliveTimeoutSeconds: Int?

    init() { fields = .allocate(capacity: Self.fieldsMax) }

    deinit { fields.deallocate() }
}
