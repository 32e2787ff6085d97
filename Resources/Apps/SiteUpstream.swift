import Model

/// What a site is in front of, as people write it.
public enum SiteUpstream: Sendable, Equatable {
    /// Name or id of a service of the stack.
    case service(String)
    /// A container that the server's engine runs, and the port inside of it.
    case container(String, port: Int)
    /// Any host; an IPv6 address stands here without brackets.
    case host(String, port: Int)
    /// What the edge of each server counts, in the text format of Prometheus.
    case metrics

    /// Reads `SERVICE`, `CONTAINER:PORT` or `HOST:PORT`.
    ///
    /// A single word before the port is a container, anything with a dot, `localhost` and `[IPv6]` a host;
    /// `container:NAME:PORT` and `host:NAME:PORT` say which, where that is not what is meant. `edge:metrics` is what
    /// the edge counts.
    public init?(_ text: String) {
        guard case .success(let upstream) = Self.parse(text) else { return nil }
        self = upstream
    }

    /// Why a text names no upstream; nil when it does.
    @Sendable public static func flaw(_ text: String) -> String? {
        guard case .failure(let flaw) = parse(text) else { return nil }
        return flaw.why
    }

    private struct Flaw: Error {
        var why: String
        init(_ why: String) { self.why = why }
    }

    private static let metricsText = "edge:metrics"
    private static let form = "must be a service, CONTAINER:PORT or HOST:PORT"

    private static func parse(_ text: String) -> Result<SiteUpstream, Flaw> {
        if text == metricsText { return .success(.metrics) }
        if text.contains("://") { return .failure(Flaw("must be no URL; write HOST:PORT")) }
        if text.hasPrefix("container:"), text.dropFirst(10).contains(":") {
            return port(of: text.dropFirst(10)).flatMap { container(String($0.name), $0.port) }
        }
        if text.hasPrefix("host:"), text.dropFirst(5).contains(":") {
            return port(of: text.dropFirst(5)).flatMap { host($0.name, $0.port) }
        }
        if text.hasPrefix("[") { return port(of: text[...]).flatMap { host($0.name, $0.port) } }
        guard text.contains(":") else { return service(text) }
        if Names.addressFlaw(text) == nil {
            return .failure(Flaw("must have an IPv6 address in brackets, and a port: [\(text)]:8080"))
        }
        return port(of: text[...]).flatMap { name, port in
            name.contains(".") || name == "localhost" ? host(name, port) : container(String(name), port)
        }
    }

    private static func service(_ text: String) -> Result<SiteUpstream, Flaw> {
        if text.contains("."), Names.hostnameFlaw(text) == nil || Names.addressFlaw(text) == nil {
            return .failure(Flaw("lacks the port of the host, as in \(text.prefix(100)):8080"))
        }
        return Names.dnsLabelFlaw(text) == nil ? .success(.service(text)) : .failure(Flaw(form))
    }

    private static func container(_ name: String, _ port: Int) -> Result<SiteUpstream, Flaw> {
        let isSound = name.utf8.allSatisfy { byte in
            Names.isAlphanumeric(byte) || byte == 0x2D || byte == 0x2E || byte == 0x5F
        }
        guard isSound, name.utf8.count <= 255, let first = name.utf8.first, Names.isAlphanumeric(first) else {
            return .failure(Flaw(form))
        }
        return .success(.container(name, port: port))
    }

    private static func host(_ text: Substring, _ port: Int) -> Result<SiteUpstream, Flaw> {
        if text.hasPrefix("[") {
            let address = String(text.dropFirst().dropLast())
            guard text.hasSuffix("]"), address.contains(":"), Names.addressFlaw(address) == nil else {
                return .failure(Flaw("must have an IPv6 address in the brackets"))
            }
            return .success(.host(address, port: port))
        }
        let name = Names.normalizedHost(String(text))
        // What ends in a number is an address or nothing (RFC 3696 section 2).
        let isNumeric = name.split(separator: ".").last?.allSatisfy(\.isNumber) ?? true
        guard isNumeric ? Names.addressFlaw(name) == nil : Names.hostnameFlaw(name) == nil else {
            return .failure(Flaw("must name a host or an address before the port"))
        }
        return .success(.host(name, port: port))
    }

    /// Splits at the last colon.
    private static func port(of text: Substring) -> Result<(name: Substring, port: Int), Flaw> {
        guard let colon = text.lastIndex(of: ":"), colon > text.startIndex else { return .failure(Flaw(form)) }
        let digits = text[text.index(after: colon)...]
        guard digits.utf8.count <= 5, digits.utf8.allSatisfy(Names.isDigit), let port = Int(digits),
            (1...65535).contains(port)
        else { return .failure(Flaw("must end in a port of 1 to 65535")) }
        return .success((text[..<colon], port))
    }
}

extension SiteUpstream: CustomStringConvertible {
    /// As people write it, always in the same form for the same upstream.
    public var description: String {
        switch self {
        case .service(let name): name
        case .metrics: Self.metricsText
        case .container(let name, let port): name.contains(".") ? "container:\(name):\(port)" : "\(name):\(port)"
        case .host(let name, let port):
            name.contains(":")
                ? "[\(name)]:\(port)"
                : name.contains(".") || name == "localhost" ? "\(name):\(port)" : "host:\(name):\(port)"
        }
    }
}
