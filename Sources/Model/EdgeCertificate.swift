/// A certificate that the edge shows to clients that ask for one of its names. The files hold it: the table never holds
/// a key.
public struct EdgeCertificate: Codable, Sendable, Equatable {
    /// Exact names, or `*.suffix` for one label in its place. Lower case, no trailing dot.
    public var names: [String]
    /// PEM file with the certificate and those that lead to its root; absolute. A renewed certificate has another path,
    /// so that its table is another one.
    public var certificatePath: String
    /// PEM file with the private key, readable by its owner only; absolute.
    public var keyPath: String

    public init(names: [String], certificatePath: String, keyPath: String) {
        self.names = names
        self.certificatePath = certificatePath
        self.keyPath = keyPath
    }
}

/// What became of one certificate of the table.
public struct EdgeCertificateStatus: Codable, Sendable, Equatable {
    public var names: [String]
    public var certificatePath: String
    /// When it ends; nil when it could not be read.
    public var notAfter: Timestamp?
    /// Why it is not shown, for a person; nil while it is. What was shown for its names before, still is.
    public var problem: String?

    public init(names: [String], certificatePath: String, notAfter: Timestamp? = nil, problem: String? = nil) {
        self.names = names
        self.certificatePath = certificatePath
        self.notAfter = notAfter
        self.problem = problem
    }
}

/// What the endpoints of an upstream speak, in clear text.
public enum EdgeProtocol: String, Codable, Sendable {
    case http1
    /// HTTP/2 with prior knowledge (RFC 9113 section 3.3), as gRPC servers do.
    case h2c
}
