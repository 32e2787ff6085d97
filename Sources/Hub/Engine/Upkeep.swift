import Host
import HubStore
import Logging
import Model
import PlatformResources
import ResourceKit

extension Hub {
    /// How long events are kept when the settings do not say.
    public static let eventRetention: Duration = .seconds(30 * 86_400)
    /// How long output of services and builds is kept when the settings do not say.
    public static let logRetention: Duration = .seconds(30 * 86_400)
    private static let upkeepInterval: Duration = .seconds(60)

    /// Removes what is older than the settings of the platform say.
    public func removeExpired() async throws {
        try await store.write { transaction in
            let config = try transaction.get("platform-config", "platform-config")
            let events = PlatformConfig.retention(of: "events", config) ?? Self.eventRetention
            _ = try transaction.removeExpiredCells()
            _ = try transaction.removeEvents(before: transaction.now.advanced(by: .zero - events))
            let logs = PlatformConfig.retention(of: "logs", config) ?? Self.logRetention
            _ = try transaction.removeLogs(
                before: transaction.now.advanced(by: .zero - logs), bytesMax: PlatformConfig.logsBytesMax(config))
            if let audit = PlatformConfig.retention(of: "audit_logs", config) {
                _ = try transaction.removeAudit(before: transaction.now.advanced(by: .zero - audit))
            }
        }
    }

    /// Removes what has expired, once a minute, until its task is cancelled. A failing store is logged and tried again.
    public func runUpkeep() async {
        while !Task.isCancelled {
            do {
                try await removeExpired()
                try await pruneUploads()
                try await removeIdlePreviews()
            } catch {
                logger.error("Expired entries could not be removed.", metadata: ["error": "\(error)"])
            }
            do { try await world.clock.sleep(for: Self.upkeepInterval) } catch { return }
        }
    }
}
