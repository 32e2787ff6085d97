/// What an upstream is told of the way that a request took: `X-Forwarded-For` and `-Proto`, and the same again as
/// `Forwarded` (RFC 7239).
enum ForwardedLines {
    /// - Parameter hops: client and proxies, the one that spoke to this edge last. What is no address has no text.
    static func make(chain: [UInt8], hops: [String?], _ scheme: String) -> [UInt8] {
        var lines = Array("X-Forwarded-For: ".utf8)
        lines += chain
        lines += "\r\nX-Forwarded-Proto: \(scheme)\r\nForwarded: ".utf8
        lines += hops.map { "for=\(node($0))" }.joined(separator: ", ").utf8
        lines += ";proto=\(scheme)\r\n".utf8
        return lines
    }

    /// An address of version 6 is in brackets, which only quotes may hold (RFC 7239 section 6).
    private static func node(_ address: String?) -> String {
        guard let address else { return "unknown" }
        return address.utf8.contains(UInt8(ascii: ":")) ? "\"[\(address)]\"" : address
    }
}
