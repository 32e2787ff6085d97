import Host
import HubStore
import Logging
import Model
import ResourceKit

/// Previews that nobody looks at any more.
extension Hub {
    /// Notes which previews were used since the last look, and removes those that were idle for too long.
    public func removeIdlePreviews() async throws {
        guard let kind = kind("preview") else { return }
        let now = world.clock.now()
        let (used, idle) = try await store.read { [self] in try usage(of: $0, now: now) }
        if !used.isEmpty {
            try await write { transaction in
                for (id, seen) in used {
                    guard var preview = try transaction.get("preview", id) else { continue }
                    preview.state["requests_seen"] = .int(seen)
                    preview.state["last_request_at"] = .string(transaction.now.rfc3339)
                    _ = try transaction.put(preview)
                }
            }
        }
        for id in idle {
            logger.info("removing an idle preview", metadata: ["preview": "\(id)"])
            let principal = Principal(name: "idle timeout", scopes: ["*:*"], brands: .all, address: "local")
            _ = try await delete(kind, id: id, as: principal)
        }
    }

    /// - Returns: previews with requests since the last look and their new counts; ids of those that are to go.
    private func usage(
        of transaction: any ResourceTransaction, now: Timestamp
    ) throws -> (used: [(String, Int64)], idle: [String]) {
        let previews = try transaction.all("preview", parentId: nil)
        guard !previews.isEmpty else { return ([], []) }
        let nodes = try transaction.all("node", parentId: nil).map(current)
        var used: [(String, Int64)] = []
        var idle: [String] = []
        for preview in previews where preview.status != .deleting {
            guard let serviceId = preview.state["preview_service_id"]?.stringValue else { continue }
            let seen = nodes.reduce(Int64(0)) { $0 + ($1.state["requests"]?[serviceId]?.intValue ?? 0) }
            if seen != preview.state["requests_seen"]?.intValue ?? 0 {
                used.append((preview.id, seen))
                continue
            }
            guard let timeout = preview.spec["idle_timeout"].flatMap({ Duration(json: $0) }), timeout > .zero else {
                continue
            }
            let last = preview.state["last_request_at"]?.stringValue.flatMap { Timestamp(rfc3339: $0) }
            if now.since(last ?? preview.createdAt) > timeout { idle.append(preview.id) }
        }
        return (used, idle)
    }
}
