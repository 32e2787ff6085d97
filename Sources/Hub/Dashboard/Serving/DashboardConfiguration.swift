/// What the pages need to know about how the hub is run.
public struct DashboardConfiguration: Sendable {
    /// Whether browsers reach the hub by TLS: cookies are then marked `Secure`.
    public var isTLS: Bool
    /// Address of the hub for agents and webhooks, e.g. `https://hub.example.org`; nil: the host that the browser used.
    public var publicURL: String?
    /// `host:port` of the local agent's front door, when this program runs one: links to services lead there.
    public var edgeAddress: String?
    /// The one line that makes a server join, from the hub's address and a token.
    public var joinCommand: @Sendable (_ hubURL: String, _ token: String) -> String

    public init(
        isTLS: Bool = false, publicURL: String? = nil, edgeAddress: String? = nil,
        joinCommand: @escaping @Sendable (_ hubURL: String, _ token: String) -> String
    ) {
        self.isTLS = isTLS
        self.publicURL = publicURL
        self.edgeAddress = edgeAddress
        self.joinCommand = joinCommand
    }
}
