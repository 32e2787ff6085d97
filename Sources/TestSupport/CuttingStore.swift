import HubStore
import Synchronization

/// A store whose hub can be killed before or after any of its writes.
final class CuttingStore: Store {
    private struct State {
        var writes = 0
        var isCut = false
    }

    private let inner: any Store
    private let cutAt: Int?
    private let moment: CuttingGate.Moment
    private let onCut: @Sendable () -> Void
    private let state = Mutex(State())

    init(
        _ inner: any Store, cutAt: Int? = nil, _ moment: CuttingGate.Moment = .before,
        onCut: @escaping @Sendable () -> Void = {}
    ) {
        self.inner = inner
        self.cutAt = cutAt
        self.moment = moment
        self.onCut = onCut
    }

    var writes: Int { state.withLock { $0.writes } }
    func cut() { state.withLock { $0.isCut = true } }

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        if state.withLock({ $0.isCut }) { throw PowerCut() }
        return try await inner.read(body)
    }

    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        let number = try state.withLock { state -> Int in
            if state.isCut { throw PowerCut() }
            state.writes += 1
            return state.writes - 1
        }
        if number == cutAt, moment == .before { try die() }
        let result = try await inner.write(body)
        if number == cutAt, moment == .after { try die() }
        return result
    }

    private func die() throws {
        cut()
        onCut()
        throw PowerCut()
    }

    func close() async throws {}
}
