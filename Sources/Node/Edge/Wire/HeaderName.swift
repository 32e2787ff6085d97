/// The field names that the proxy must understand; all others pass through unread.
enum HeaderName: UInt8 {
    case other
    case host
    case connection
    case contentLength
    case transferEncoding
    case expect
    case upgrade
    case keepAlive
    case proxyConnection
    case proxyAuthorization
    case te
    case http2Settings
    /// `Forwarded`, `X-Forwarded-*`, `X-Real-IP`, `X-Request-Id`: what a stranger could lie with.
    case claimed
    case accept
    case range
    case ifRange
    case ifNoneMatch
    case ifModifiedSince
    case ifMatch
    case ifUnmodifiedSince
    /// Reads like one of the above to a CGI or WSGI program because `_` stands for `-`.
    case disguised

    /// Never passed on as it came, whatever it says.
    @inline(__always)
    var isReplaced: Bool {
        switch self {
        case .other, .accept, .range, .ifRange, .ifNoneMatch, .ifModifiedSince, .ifMatch, .ifUnmodifiedSince, .expect:
            false
        default: true
        }
    }

    @inline(__always)
    static func of(_ name: UnsafePointer<UInt8>, count: Int) -> HeaderName {
        let exact = recognised(name, count: count)
        guard exact == .other else { return exact }
        if count >= 2, holdsUnderscore(name, count: count), isDisguise(name, count: count) { return .disguised }
        return .other
    }

    private static func recognised(_ name: UnsafePointer<UInt8>, count: Int) -> HeaderName {
        func matches(_ text: StaticString) -> Bool { name.equalsIgnoringCase(text, count: count) }
        switch count {
        case 2: return matches("te") ? .te : .other
        case 4: return matches("host") ? .host : .other
        case 5: return matches("range") ? .range : .other
        case 6: return matches("accept") ? .accept : matches("expect") ? .expect : .other
        case 7: return matches("upgrade") ? .upgrade : .other
        case 8: return matches("if-range") ? .ifRange : matches("if-match") ? .ifMatch : .other
        case 9: return matches("forwarded") || matches("x-real-ip") ? .claimed : .other
        case 10: return matches("connection") ? .connection : matches("keep-alive") ? .keepAlive : .other
        case 12: return matches("x-request-id") ? .claimed : .other
        case 13: return matches("if-none-match") ? .ifNoneMatch : .other
        case 14:
            return matches("content-length")
                ? .contentLength : matches("http2-settings") ? .http2Settings : recognisedLong(name, count: count)
        default: return recognisedLong(name, count: count)
        }
    }

    private static func recognisedLong(_ name: UnsafePointer<UInt8>, count: Int) -> HeaderName {
        func matches(_ text: StaticString) -> Bool { name.equalsIgnoringCase(text, count: count) }
        if name.equalsIgnoringCase("x-forwarded-", count: 12) { return .claimed }
        switch count {
        case 16: return matches("proxy-connection") ? .proxyConnection : .other
        case 17:
            return matches("transfer-encoding")
                ? .transferEncoding : matches("if-modified-since") ? .ifModifiedSince : .other
        case 19:
            return matches("proxy-authorization")
                ? .proxyAuthorization : matches("if-unmodified-since") ? .ifUnmodifiedSince : .other
        default: return .other
        }
    }

    private static func holdsUnderscore(_ name: UnsafePointer<UInt8>, count: Int) -> Bool {
        for index in 0..<count where name[index] == UInt8(ascii: "_") { return true }
        return false
    }

    private static func isDisguise(_ name: UnsafePointer<UInt8>, count: Int) -> Bool {
        func matches(_ text: StaticString) -> Bool { name.equalsLoosely(text, count: count) }
        if count > 12, name.equalsLoosely("x-forwarded-", count: 12) { return true }
        return matches("content-length") || matches("transfer-encoding") || matches("x-real-ip")
            || matches("x-request-id") || matches("proxy-connection") || matches("proxy-authorization")
            || matches("keep-alive") || matches("http2-settings")
    }
}

/// One field of a head: where its name and its trimmed value are, and where its line ends (after CRLF).
struct HeaderField {
    var name: ByteRange
    var value: ByteRange
    var lineEnd: Int32
    var id: HeaderName
    /// Named by a `Connection` field: it ends at this hop.
    var isHopByHop: Bool
}

/// How the length of a body is told (RFC 9112 section 6).
enum BodyFraming: Equatable {
    case none
    case length(UInt64)
    case chunked
    /// Responses only: the body ends with the connection.
    case untilClose
}
