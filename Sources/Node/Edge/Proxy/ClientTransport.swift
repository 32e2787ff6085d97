/// What a client connection runs over.
enum ClientTransport {
    case plain
    case tls
    /// One stream of an HTTP/2 connection, which is always over TLS.
    case http2

    var scheme: String { self == .plain ? "http" : "https" }
    /// The kernel can send files by itself.
    var sendsFiles: Bool { self == .plain }
}
