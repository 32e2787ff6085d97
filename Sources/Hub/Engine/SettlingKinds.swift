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
            let started = world.clock.monotonic()
            do {
                try await settle()
            } catch {
                logger.warning("resources could not be settled", metadata: ["error": "\(error)"])
            }
            // With thousands under way a look takes long; it takes no more than a tenth of the time.
            let pause = min((world.clock.monotonic() - started) * 9, Self.settlePause)
            await waitForChange(feed)
            do { try await world.clock.sleep(for: pause) } catch { return }
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
            let (ids, next) = try await store.read { transaction in
                let page = try transaction.page(kind, query)
                // Most that wait still wait, and nothing is written for them.
                let moved = try page.records.filter { try Self.settled($0, kind, transaction) != nil }
                return (moved.map(\.id), page.nextCursor)
            }
            if !ids.isEmpty {
                try await write { transaction in
                    for id in ids { try Self.settle(kind, id, transaction) }
                }
            }
            cursor = next
        } while cursor != nil
    }

    private static func settle(_ kind: ResourceKind, _ id: String, _ transaction: any StoreTransaction) throws {
        guard let record = try transaction.get(kind.name, id), [.pending, .provisioning].contains(record.status),
            let next = try settled(record, kind, transaction)
        else { return }
        _ = try transaction.put(next)
    }

    /// The record as it should be; nil when it is so already, or when somebody else decides.
    private static func settled(
        _ record: ResourceRecord, _ kind: ResourceKind, _ transaction: any StoreTransaction
    ) throws -> ResourceRecord? {
        guard let settlement = try kind.behaviour.settle(record, transaction) else { return nil }
        var next = record
        switch settlement {
        case .waiting(let message): (next.status, next.statusMessage) = (.provisioning, message)
        case .active(let message): (next.status, next.statusMessage) = (.active, message)
        case .failed(let message): (next.status, next.statusMessage) = (.failed, message)
        }
        return next == record ? nil : next
    }
}
