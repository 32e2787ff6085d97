import Model

/// The outside world of an agent or hub, as capabilities. What is not reachable through a `Host` cannot be injected,
/// and so could not be tested; nothing below the composition root touches the system any other way.
///
/// Three implementations: the live one (`LinuxHost`), the simulated one (`TestSupport`), and a host over SSH.
public struct Host: Sendable {
    public var files: any Files
    public var git: any Git
    public var archives: any Archives
    public var supervisor: any UnitSupervisor
    public var edge: any EdgeControl
    public var accounts: any Accounts
    public var names: any InternalNames
    public var firewall: any Firewall
    public var probes: any Probes
    public var facts: any Facts
    public var containers: any ContainerEngine
    public var clock: any HostClock
    public var random: any RandomSource
    /// Every change goes through here under its label, so that a test can cut the power before or after any of them.
    public var effects: any EffectGate

    public init(
        files: any Files, git: any Git, archives: any Archives, supervisor: any UnitSupervisor, edge: any EdgeControl,
        accounts: any Accounts, names: any InternalNames, firewall: any Firewall, probes: any Probes, facts: any Facts,
        clock: any HostClock,
        random: any RandomSource, effects: any EffectGate, containers: any ContainerEngine = NoContainerEngine()
    ) {
        self.files = files
        self.git = git
        self.archives = archives
        self.supervisor = supervisor
        self.edge = edge
        self.accounts = accounts
        self.names = names
        self.firewall = firewall
        self.probes = probes
        self.facts = facts
        self.clock = clock
        self.random = random
        self.effects = effects
        self.containers = containers
    }
}

/// Names an effect: `noun.verb`, unique per place in the code.
public struct EffectLabel: Sendable, Hashable, ExpressibleByStringLiteral, CustomStringConvertible {
    public let text: String
    public init(stringLiteral value: String) { text = value }
    public var description: String { text }
}

/// The door that every change to the world goes through.
public protocol EffectGate: Sendable {
    /// Called right before the effect; may throw (a test's power cut) or never return (a real one).
    func before(_ label: EffectLabel) async throws
    /// Called right after the effect.
    func after(_ label: EffectLabel) async throws
}

extension EffectGate {
    /// Runs a change under its label.
    public func run<Result: Sendable>(
        _ label: EffectLabel, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await before(label)
        let result = try await body()
        try await after(label)
        return result
    }
}

/// The gate of production: lets everything through.
public struct OpenGate: EffectGate {
    public init() {}
    public func before(_ label: EffectLabel) async throws {}
    public func after(_ label: EffectLabel) async throws {}
}

extension Host {
    /// Runs a change under its label.
    public func effect<Result: Sendable>(
        _ label: EffectLabel, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await effects.run(label, body)
    }
}
