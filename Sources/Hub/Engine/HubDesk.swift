import HubStore
import ResourceKit

/// What workflows have of the hub.
struct HubDesk: WorkflowDesk {
    let hub: Hub

    var world: HubWorld { hub.world }

    func read<Result: Sendable>(
        _ body: @escaping @Sendable (any ResourceTransaction) throws -> Result
    ) async throws -> Result {
        try await hub.read { try body($0) }
    }

    func write<Result: Sendable>(
        _ body: @escaping @Sendable (any ResourceTransaction) throws -> Result
    ) async throws -> Result {
        try await hub.write { try body($0) }
    }

    func finishDeletion(_ kind: String, _ id: String, _ transaction: any ResourceTransaction) throws {
        try hub.finishDeletion(kind, id, transaction)
    }
}
