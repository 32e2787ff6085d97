public import Host
import Synchronization

/// The error of a simulated power cut.
public struct PowerCut: Error {
    public init() {}
}

/// Counts effects, and cuts the power at one of them; from then on nothing takes effect.
public final class CuttingGate: EffectGate {
    /// On which side of the effect.
    public enum Moment: Sendable, Equatable { case before, after }

    private struct State {
        var labels: [EffectLabel] = []
        var isCut = false
    }

    private let state = Mutex(State())
    private let cutAt: Int?
    private let moment: Moment
    private let onCut: @Sendable () -> Void

    /// - Parameter cutAt: number of the effect, from 0; nil for never.
    public init(cutAt: Int? = nil, _ moment: Moment = .before, onCut: @escaping @Sendable () -> Void = {}) {
        self.cutAt = cutAt
        self.moment = moment
        self.onCut = onCut
    }

    /// Labels of all effects so far.
    public var labels: [EffectLabel] { state.withLock { $0.labels } }
    public var isCut: Bool { state.withLock { $0.isCut } }

    /// Cuts now.
    public func cut() {
        state.withLock { $0.isCut = true }
        onCut()
    }

    public func before(_ label: EffectLabel) async throws {
        let number = state.withLock { state -> Int? in
            guard !state.isCut else { return nil }
            state.labels.append(label)
            return state.labels.count - 1
        }
        guard let number else { throw PowerCut() }
        if number == cutAt, moment == .before {
            cut()
            throw PowerCut()
        }
    }

    public func after(_ label: EffectLabel) async throws {
        if isCut { throw PowerCut() }
        if let cutAt, moment == .after, state.withLock({ $0.labels.count - 1 }) >= cutAt {
            cut()
            throw PowerCut()
        }
    }
}
