/// Lets one task at a time through, in order of arrival.
public actor SerialGate {
    private var isTaken = false
    private var waiters: [CheckedContinuation<Void, Never>] = []

    public init() {}

    private func enter() async {
        if !isTaken {
            isTaken = true
            return
        }
        await withCheckedContinuation { waiters.append($0) }
    }

    private func leave() {
        if waiters.isEmpty { isTaken = false } else { waiters.removeFirst().resume() }
    }

    /// Runs `body` once all that came before have ended.
    /// - Throws: whatever `body` throws.
    public func run<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        await enter()
        defer { leave() }
        return try await body()
    }
}
