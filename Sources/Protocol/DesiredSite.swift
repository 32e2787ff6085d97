public import Model

/// A domain in front of a service or of another address, as a node should serve it.
public struct DesiredSite: Codable, Sendable, Equatable {
    public var id: String
    /// Lower case, no trailing dot; may be `*.suffix`.
    public var domain: String
    /// Names that are served alike. The other form of a `www` redirect is not among them.
    public var aliases: [String]
    /// The form of the domain that clients are sent to from the other one; nil serves the domain alone.
    public var wwwRedirect: EdgeRedirect.Host?
    public var target: DesiredSiteTarget
    /// What is below a path, where that is something else; sorted by path, nil for none.
    public var paths: [DesiredSitePath]?
    public var tls: DesiredSiteTLS
    public var access: EdgeAccess?
    public var limits: EdgeRouteLimits?
    /// Header rules, HSTS among them.
    public var headers: EdgeHeaderRules?
    public var logsQuery: Bool?

    public init(
        id: String, domain: String, aliases: [String] = [], wwwRedirect: EdgeRedirect.Host? = nil,
        target: DesiredSiteTarget, paths: [DesiredSitePath]? = nil, tls: DesiredSiteTLS,
        access: EdgeAccess? = nil, limits: EdgeRouteLimits? = nil,
        headers: EdgeHeaderRules? = nil, logsQuery: Bool? = nil
    ) {
        self.id = id
        self.domain = domain
        self.aliases = aliases
        self.wwwRedirect = wwwRedirect
        self.target = target
        self.paths = paths
        self.tls = tls
        self.access = access
        self.limits = limits
        self.headers = headers
        self.logsQuery = logsQuery
    }
}

/// What is below a path of a site.
public struct DesiredSitePath: Codable, Sendable, Equatable {
    /// Begins with `/` and does not end in it; matches on segment borders.
    public var path: String
    /// Whether the path is removed before the request goes on.
    public var stripPath: Bool
    public var target: DesiredSiteTarget

    public init(path: String, stripPath: Bool = false, target: DesiredSiteTarget) {
        self.path = path
        self.stripPath = stripPath
        self.target = target
    }
}

/// What a site is in front of: exactly one of service, container, host and metrics.
public struct DesiredSiteTarget: Codable, Sendable, Equatable {
    /// A service of the stack.
    public var serviceId: String?
    /// Name of a container that the node's engine runs; `port` is the one inside of it.
    public var container: String?
    /// Name or address of a host.
    public var host: String?
    /// Nil for a service, which has its own.
    public var port: Int?
    /// The edge's own metrics; nil for no.
    public var showsMetrics: Bool?
    /// Nil for HTTP/1.1.
    public var `protocol`: EdgeProtocol?

    public init(
        serviceId: String? = nil, container: String? = nil, host: String? = nil, port: Int? = nil,
        showsMetrics: Bool? = nil, `protocol`: EdgeProtocol? = nil
    ) {
        self.showsMetrics = showsMetrics
        self.serviceId = serviceId
        self.container = container
        self.host = host
        self.port = port
        self.protocol = `protocol`
    }
}

/// How a site is reached by TLS.
public struct DesiredSiteTLS: Codable, Sendable, Equatable {
    /// Where its certificate comes from.
    public enum Mode: String, Codable, Sendable {
        /// Ordered and renewed by the node.
        case acme
        /// Given by its owner.
        case upload
        /// Made by the node, trusted by nobody; for development.
        case selfSigned = "self-signed"
        /// Clear text only.
        case off
    }

    public var mode: Mode
    /// Whether requests in clear text are sent on to `https`.
    public var redirectsClearText: Bool
    /// PEM of an upload: the certificate and those that lead to its root.
    public var certificatePem: String?
    /// PEM of an upload's private key; a secret.
    public var keyPem: String?
    /// Another number than before asks for the certificate to be ordered at once, whatever became of earlier attempts.
    public var attempt: Int?

    public init(
        mode: Mode, redirectsClearText: Bool, certificatePem: String? = nil, keyPem: String? = nil,
        attempt: Int? = nil
    ) {
        self.mode = mode
        self.redirectsClearText = redirectsClearText
        self.certificatePem = certificatePem
        self.keyPem = keyPem
        self.attempt = attempt
    }
}

/// Where a node orders the certificates of its sites (RFC 8555).
public struct DesiredAuthority: Codable, Sendable, Equatable {
    public var directoryUrl: String
    /// `mailto:` addresses that the authority writes to.
    public var contacts: [String]
    /// PEM of roots that the authority's own TLS is checked against, beside the system's; nil for those alone.
    public var rootsPem: String?

    public init(directoryUrl: String, contacts: [String], rootsPem: String? = nil) {
        self.directoryUrl = directoryUrl
        self.contacts = contacts
        self.rootsPem = rootsPem
    }
}

/// What a node says of one site.
public struct SiteReport: Codable, Sendable, Equatable {
    public var siteId: String
    /// `active`, `provisioning` or `failed`.
    public var state: String
    /// For a person who can act on it; nil when there is nothing to do.
    public var message: String?
    /// When its certificate ends; nil without one.
    public var certificateNotAfter: Timestamp?

    public init(siteId: String, state: String, message: String? = nil, certificateNotAfter: Timestamp? = nil) {
        self.siteId = siteId
        self.state = state
        self.message = message
        self.certificateNotAfter = certificateNotAfter
    }
}
