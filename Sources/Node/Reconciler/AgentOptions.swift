/// How an agent runs on its machine.
public struct AgentOptions: Sendable, Equatable {
    /// Folder of everything that the agent keeps.
    public var dataFolder: String
    /// Path of this program, for the edge's unit.
    public var program: String
    /// Front door, `host:port`; nil: as the stack says.
    public var edgeAddress: String?
    /// Front door for TLS, `host:port`; nil: as the stack says. Bound only while a site wants TLS.
    public var edgeTLSAddress: String?
    /// Internal proxy, loopback only.
    public var internalHost: String
    public var internalPort: Int
    public var dnsPort: Int
    /// Asked for names outside the internal zone, `address:port`; nil: such names are refused.
    public var dnsResolvers: [String]?
    public var agentVersion: String

    public init(
        dataFolder: String, program: String, edgeAddress: String?, edgeTLSAddress: String? = nil,
        internalHost: String = "127.53.0.1",
        internalPort: Int = 80, dnsPort: Int = 53, dnsResolvers: [String]? = nil, agentVersion: String
    ) {
        self.dataFolder = dataFolder
        self.program = program
        self.edgeAddress = edgeAddress
        self.edgeTLSAddress = edgeTLSAddress
        self.internalHost = internalHost
        self.internalPort = internalPort
        self.dnsPort = dnsPort
        self.dnsResolvers = dnsResolvers
        self.agentVersion = agentVersion
    }
}
