/// Which inbound connections a server accepts, as one value: it is put in force whole, and never edited.
public struct FirewallRules: Codable, Sendable, Equatable {
    /// How much is closed.
    public enum Mode: String, Codable, Sendable, CaseIterable {
        /// Nothing, but for SSH when networks are named that may reach it.
        case open
        /// All but SSH and the ports of the front door.
        case daemonPort = "daemon-port"
        /// All but SSH from networks that are named.
        case blocked
    }

    public var mode: Mode
    /// Networks that may reach SSH, in CIDR notation (RFC 4632).
    public var sshAllow: [String]
    /// TCP ports that the SSH server of the machine listens on.
    public var sshPorts: [Int]
    /// TCP ports that `daemon-port` leaves open.
    public var publicPorts: [Int]

    public init(mode: Mode, sshAllow: [String] = [], sshPorts: [Int] = [22], publicPorts: [Int] = []) {
        self.mode = mode
        self.sshAllow = sshAllow
        self.sshPorts = sshPorts
        self.publicPorts = publicPorts
    }

    /// Whether the machine is left as it is.
    public var isEmpty: Bool { mode == .open && sshAllow.isEmpty }
}

/// A port on which a machine can be reached from outside, as observed.
public struct ListeningPort: Codable, Sendable, Hashable {
    /// `tcp` or `udp`.
    public var `protocol`: String
    /// The local address: `0.0.0.0` and `::` are all of the machine's.
    public var address: String
    public var port: Int

    public init(protocol name: String, address: String, port: Int) {
        self.protocol = name
        self.address = address
        self.port = port
    }
}
