/// What a certificate says of itself.
public struct CertificateFacts: Sendable, Equatable {
    /// Host names that it is for, in lower case; `*.suffix` among them.
    public var names: [String]
    public var notBefore: Timestamp
    public var notAfter: Timestamp

    public init(names: [String], notBefore: Timestamp, notAfter: Timestamp) {
        self.names = names
        self.notBefore = notBefore
        self.notAfter = notAfter
    }

    /// Whether clients that ask for this name accept it (RFC 9525 section 6.3: `*` stands for exactly one label).
    public func covers(_ name: String) -> Bool {
        if names.contains(name) { return true }
        guard !name.hasPrefix("*."), let dot = name.firstIndex(of: "."), dot > name.startIndex else { return false }
        return names.contains("*\(name[dot...])")
    }
}

/// Reads certificates and their keys.
public protocol CertificateReader: Sendable {
    /// Reads a chain, its own certificate first, and the private key of that, both in PEM form (RFC 7468).
    ///
    /// - Throws: `invalid` unless both can be read and belong together; `fields` has `certificate_pem` or `key_pem`.
    ///   Nothing of the key is in the problem.
    func read(certificatePEM: String, keyPEM: String) throws(Problem) -> CertificateFacts
}
