import HubStore

/// A store whose hub can be killed before or after any of its writes.
struct CuttingStore: Store {
    let inner: any Store
    let power: WriteCut

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try power.check()
        return try await inner.read(body)
    }

    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try await power.counted { try await inner.write(body) }
    }

    func close() async throws {}
}
