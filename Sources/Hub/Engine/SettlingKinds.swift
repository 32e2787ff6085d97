import Host
import HubStore
import Logging
import Model
import ResourceKit

/// Moves on what is pending or provisioning, for kinds that say by themselves how far they are. Level-triggered: it
/// finds its work by looking at what is stored, so that no death of the hub loses any of it.
extension Hub {
    private static let settlePause: Duration = .seconds(5)
    private static let batchMax = 100

    /// Settles whatever changes, until its task is cancelled.
    public func runSettling() async {
        let names = Set(kinds.filter(\.behaviour.settles).map(\.name))
        while !Task.isCancelled {
            let feed = changes.subscribe(to: .kinds(names))
            do {
                try await settle()
            } catch {
                logger.warning("resources could not be settled", metadata: ["error": "\(error)"])
            }
            await waitForChange(feed)
        }
    }

    private func waitForChange(_ feed: AsyncStream<HubChange>) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { for await _ in feed { return } }
            group.addTask {
                // A cancelled sleep means that a change came first, or that the hub ends.
                try? await self.world.clock.sleep(for: Self.settlePause)
            }
            await group.next()
            group.cancelAll()
        }
    }

    /// One look at everything that is on its way.
    public func settle() async throws {
        for kind in kinds where kind.behaviour.settles {
            for status in [ResourceStatus.pending, .provisioning] { try await settle(kind, status) }
        }
    }

    private func settle(_ kind: ResourceKind, _ status: ResourceStatus) async throws {
        var cursor: String?
        repeat {
            let query = ListQuery(limit: Self.batchMax, cursor: cursor, status: status.rawValue)
            let page = try await store.read { try $0.page(kind, query) }
            let ids = page.records.map(\.id)
            guard !ids.isEmpty else { return }
            try await write { transaction in
                for id in ids { try Self.settle(kind, id, transaction) }
            }
            cursor = page.nextCursor
        } while cursor != nil
    }

    private static func settle(_ kind: ResourceKind, _ id: String, _ transaction: any StoreTransaction) throws {
        guard let record = try transaction.get(kind.name, id), [.pending, .provisioning].contains(record.status),
            let settlement = try kind.behaviour.settle(record, transaction)
        else { return }
        var next = try transaction.get(kind.name, id) ?? record
        switch settlement {
        case .waiting(let message): (next.status, next.statusMessage) = (.provisioning, message)
        case .active(let message): (next.status, next.statusMessage) = (.active, message)
        case .failed(let message): (next.status, next.statusMessage) = (.failed, message)
        }
        // Nothing is written that changes nothing: each write would wake this again.
        if next != record { _ = try transaction.put(next) }
    }
}
