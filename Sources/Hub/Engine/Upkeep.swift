import Host
import HubStore
import Logging
import Model
import ResourceKit

extension Hub {
    /// How long events are kept.
    public static let eventRetention: Duration = .seconds(30 * 86_400)
    private static let upkeepInterval: Duration = .seconds(60)

    /// Removes what has expired, once a minute, until its task is cancelled. A failing store is logged and tried again.
    public func runUpkeep() async {
        while !Task.isCancelled {
            do {
                let oldest = world.clock.now().advanced(by: .zero - Self.eventRetention)
                try await store.write { transaction in
                    _ = try transaction.removeExpiredCells()
                    _ = try transaction.removeEvents(before: oldest)
                }
                try await pruneUploads()
                try await removeIdlePreviews()
            } catch {
                logger.error("Expired entries could not be removed.", metadata: ["error": "\(error)"])
            }
            do { try await world.clock.sleep(for: Self.upkeepInterval) } catch { return }
        }
    }
}
