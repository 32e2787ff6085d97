import Glibc
public import Host
public import Model

/// Supervises by systemd: one service per unit, whose main process is the same shim.
public struct SystemdSupervisor: UnitSupervisor {
    private let root: String
    private let binary: String
    private let commands: any Commands

    public init(root: String, binary: String, commands: any Commands) {
        self.root = root
        self.binary = binary
        self.commands = commands
    }
    public func list() async throws -> [UnitStatus] { [] }
    public func start(_ spec: UnitSpec) async throws {}
    public func stop(_ id: String) async throws {}
}
