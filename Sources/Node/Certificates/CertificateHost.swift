public import Host

/// What of the outside world certificates are made with.
public struct CertificateHost: Sendable {
    public var files: any Files
    public var clock: any HostClock
    public var random: any RandomSource
    public var effects: any EffectGate

    public init(files: any Files, clock: any HostClock, random: any RandomSource, effects: any EffectGate) {
        self.files = files
        self.clock = clock
        self.random = random
        self.effects = effects
    }

    public init(_ host: Host) {
        self.init(files: host.files, clock: host.clock, random: host.random, effects: host.effects)
    }

    /// Runs a change under its label.
    func effect<Result: Sendable>(
        _ label: EffectLabel, _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        try await effects.run(label, body)
    }
}
