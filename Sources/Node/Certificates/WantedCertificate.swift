public import Model

/// A set of names that needs a certificate, and where that comes from.
public struct WantedCertificate: Sendable, Equatable {
    /// Where a certificate comes from.
    public enum Source: Sendable, Equatable {
        /// Ordered from the certificate authority, and renewed by itself.
        case acme
        /// Given by its owner, both in PEM form.
        case upload(certificatePEM: String, keyPEM: String)
        /// Made here, and trusted by nobody who was not told to.
        case selfSigned
    }

    /// Host names, `*.suffix` among them; their order says nothing.
    public var names: [String]
    public var source: Source
    /// Another number than before has the certificate ordered at once, whatever became of earlier attempts.
    public var attempt: Int?

    public init(names: [String], source: Source, attempt: Int? = nil) {
        self.names = Array(Set(names)).sorted()
        self.source = source
        self.attempt = attempt
    }
}

/// How it stands with one certificate.
public struct CertificateStatus: Codable, Sendable, Equatable {
    /// Whether there is a certificate to serve.
    public enum State: String, Codable, Sendable {
        /// None yet; it is being got.
        case pending
        /// There is a valid one.
        case active
        /// There is none that is valid, and the last attempt failed.
        case failed
    }

    public var names: [String]
    public var state: State
    /// For a person who can act on it; nil when there is nothing to do.
    public var message: String?
    public var notAfter: Timestamp?
    /// Of the last attempt, when that failed; also while an older certificate is still good.
    public var lastError: String?
    /// When it is ordered or renewed next; nil for an uploaded one.
    public var nextTry: Timestamp?
}

/// What the keeper has: what the edge shall show, and how it stands.
public struct CertificateReport: Sendable, Equatable {
    public var entries: [EdgeCertificate]
    public var statuses: [CertificateStatus]

    public init(entries: [EdgeCertificate], statuses: [CertificateStatus]) {
        self.entries = entries
        self.statuses = statuses
    }
}
