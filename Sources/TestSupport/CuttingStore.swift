public import HubStore

/// A store whose hub can be killed before or after any of its writes.
public struct CuttingStore: Store {
    let inner: any Store
    let power: WriteCut

    public init(inner: any Store, power: WriteCut) {
        self.inner = inner
        self.power = power
    }

    public func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try power.check()
        return try await inner.read(body)
    }

    public func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try await power.counted { try await inner.write(body) }
    }

    public func close() async throws {}
}
