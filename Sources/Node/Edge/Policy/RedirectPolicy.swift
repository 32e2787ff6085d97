import Model

/// Where a route sends its clients.
struct RedirectPolicy: Sendable {
    /// Requests that a certificate authority makes are answered where they arrive (RFC 8555 section 8.3).
    static let challengePrefix: StaticString = "/.well-known/acme-challenge/"
    private let source: EdgeRedirect

    var status: UInt16 { UInt16(source.status) }

    init(_ source: EdgeRedirect) { self.source = source }

    /// - Parameters:
    ///   - authority: host and port as the client named them.
    ///   - target: path and query, beginning with a slash or empty.
    /// - Returns: nil when the request is where it should be.
    func location(host: String, authority: String, isSecure: Bool, target: String) -> String? {
        if let url = source.url {
            guard source.keepsPath else { return url }
            let base = url.hasSuffix("/") ? String(url.dropLast()) : url
            return base + (target.hasPrefix("/") ? target : "/" + target)
        }
        guard !host.isEmpty else { return nil }
        let upgrades = source.https && !isSecure
        let other = otherForm(host.lowercased())
        guard upgrades || other != nil else { return nil }
        let name = other ?? host
        // A port belongs to the scheme that it was asked by.
        let port =
            upgrades
            ? source.httpsPort.map { ":\($0)" } ?? "" : String(authority.dropFirst(host.count).drop { $0 != ":" })
        return "\(isSecure || upgrades ? "https" : "http")://\(name)\(port)"
            + (target.hasPrefix("/") ? target : "/" + target)
    }

    private func otherForm(_ host: String) -> String? {
        switch source.host {
        case .www:
            let isDomain = host.contains(".") && !host.hasPrefix("[") && host.last?.isNumber != true
            return isDomain && !host.hasPrefix("www.") ? "www." + host : nil
        case .apex: return host.hasPrefix("www.") && host.count > 4 ? String(host.dropFirst(4)) : nil
        case nil: return nil
        }
    }
}
