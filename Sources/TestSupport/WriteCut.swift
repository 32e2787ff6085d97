import Synchronization

/// Counts writes, and kills the hub before or after one of them; from then on none of its calls gets through.
public final class WriteCut: Sendable {
    private struct State {
        var writes = 0
        var isCut = false
    }

    private let cutAt: Int?
    private let moment: CuttingGate.Moment
    private let onCut: @Sendable () -> Void
    private let state = Mutex(State())

    /// - Parameters:
    ///   - cutAt: number of the write, from 0; nil for never.
    ///   - onCut: is called when the write comes, not by ``cut()``.
    public init(cutAt: Int? = nil, _ moment: CuttingGate.Moment = .before, onCut: @escaping @Sendable () -> Void = {}) {
        self.cutAt = cutAt
        self.moment = moment
        self.onCut = onCut
    }

    /// Number of the writes so far.
    public var writes: Int { state.withLock { $0.writes } }

    /// Lets nothing through from now on.
    public func cut() { state.withLock { $0.isCut = true } }

    /// Lets everything through again.
    public func restore() { state.withLock { $0.isCut = false } }

    /// Lets a call through that writes nothing.
    /// - Throws: ``PowerCut``.
    public func check() throws { if state.withLock({ $0.isCut }) { throw PowerCut() } }

    /// Lets a write through.
    /// - Throws: ``PowerCut``; what the body throws.
    public func counted<Result>(_ body: () async throws -> Result) async throws -> Result {
        let number = try state.withLock { state -> Int in
            if state.isCut { throw PowerCut() }
            state.writes += 1
            return state.writes - 1
        }
        if number == cutAt, moment == .before { try die() }
        let result = try await body()
        if number == cutAt, moment == .after { try die() }
        return result
    }

    private func die() throws {
        cut()
        onCut()
        throw PowerCut()
    }
}
