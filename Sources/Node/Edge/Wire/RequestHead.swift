/// A request head as offsets into the bytes it was read from. One per event loop, used again and again, so that reading
/// a request allocates nothing.
struct RequestHead: ~Copyable {
    static let fieldsMax = 100

    enum Target: Equatable {
        case origin
        case absolute
        case asterisk
    }

    enum Method: UInt8 {
        case get, head, post, put, delete, options, patch, other

        /// RFC 9110 section 9.2.2.
        var isIdempotent: Bool {
            switch self {
            case .get, .head, .put, .delete, .options: true
            case .post, .patch, .other: false
            }
        }
    }

    let fields: UnsafeMutablePointer<HeaderField>
    var fieldCount = 0
    /// Where the head begins (after empty lines) and ends (after the last CRLF).
    var start = 0
    var end = 0
    var methodRange = ByteRange()
    var method = Method.other
    var target = Target.origin
    /// Path and query as they came, without scheme and authority; empty for an absolute form without a path.
    var path = ByteRange()
    /// The path alone, without the query.
    var pathOnly = ByteRange()
    /// The authority that counts: of the target in absolute form, of `Host` otherwise; may be empty.
    var host = ByteRange()
    /// The host without port, brackets kept and trailing dot removed.
    var hostName = ByteRange()
    var isHTTP10 = false
    var framing = BodyFraming.none
    var keepAlive = true
    var upgradeField: Int32 = -1
    var wantsUpgrade = false
    var hasConnectionField = false
    /// `Max-Forwards` of an OPTIONS request; -1 for none.
    var maxForwards = -1

    init() {
        fields = .allocate(capacity: Self.fieldsMax)
    }

    deinit { fields.deallocate() }

    /// The trimmed value of the first field with this name.
    func value(of id: HeaderName) -> ByteRange? {
        for index in 0..<fieldCount where fields[index].id == id { return fields[index].value }
        return nil
    }

    /// The path names something that a person would spell differently: dot segments or needless escapes.
    func pathNeedsNormalising(_ bytes: UnsafePointer<UInt8>) -> Bool {
        PathNormaliser.isNeeded(bytes + pathOnly.start, count: pathOnly.count)
    }
}
