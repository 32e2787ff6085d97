/// Names of HTTP header fields that people give.
extension Names {
    /// Fields that decide where a message ends, that belong to one connection, or that the edge vouches for.
    private static let reservedHeaders: Set<String> = [
        "connection", "content-length", "expect", "forwarded", "host", "http2-settings", "keep-alive",
        "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding",
        "upgrade", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id",
    ]

    /// A header field that a rule may set or remove (RFC 9110 section 5.1).
    public static func headerNameFlaw(_ text: String) -> String? {
        guard (1...128).contains(text.utf8.count), text.utf8.allSatisfy(isTokenByte) else {
            return "must be the name of a header field"
        }
        // Programs behind a gateway cannot tell `_` from `-`, and rules do not either.
        let name = text.lowercased().replacing("_", with: "-")
        return reservedHeaders.contains(name) ? "names a field that is the edge's own" : nil
    }

    /// A character of a token (RFC 9110 section 5.6.2).
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        isAlphanumeric(byte) || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
