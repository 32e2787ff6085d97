import AccessResources
import AgentProtocol
import Host
import HubStore
import Logging
import Model
import ResourceKit
import Synchronization

/// When each key's last use was stored, so that it is stored at most once a minute.
final class KeyUse: Sendable {
    private let stored = Mutex<[String: Duration]>([:])

    /// Whether a use at this time should be stored.
    func isWorthStoring(_ id: String, at now: Duration) -> Bool {
        stored.withLock { stored in
            if let last = stored[id], now - last < .seconds(60) { return false }
            if stored.count > 10_000 { stored.removeAll() }
            stored[id] = now
            return true
        }
    }
}

extension Hub {
    private static let refused = Problem(
        .unauthenticated, "The API key is missing, wrong or expired.",
        hint: "Send it as \"Authorization: Bearer KEY\" or \"X-API-Key: KEY\".")

    /// Who an API key stands for.
    /// - Throws: `unauthenticated`.
    public func authenticate(apiKey: String, address: String) async throws -> Principal {
        guard let id = APIKey.id(in: apiKey) else { throw Self.refused }
        guard let record = try await store.read({ try $0.get("api-key", id) }),
            let principal = principal(of: record, address),
            let hash = record.state["key_sha256"]?.stringValue,
            constantTimeEqual(sha256Hex(Array(apiKey.utf8)), hash)
        else { throw Self.refused }
        await noteUse(id)
        return principal
    }

    /// What a key may do; nil when it has expired.
    func principal(of key: ResourceRecord, _ address: String) -> Principal? {
        if let text = key.spec["expires_at"]?.stringValue {
            guard let end = Timestamp(rfc3339: text), end > world.clock.now() else { return nil }
        }
        return Principal(
            name: "key:\(key.spec["name"]?.stringValue ?? key.id)",
            scopes: Set(key.spec["scopes"]?.arrayValue?.compactMap(\.stringValue) ?? []),
            brands: Self.brands(key.spec["brands"]), address: address)
    }

    static func brands(_ value: JSONValue?) -> BrandFilter {
        let ids = value?.arrayValue?.compactMap(\.stringValue) ?? []
        return ids.contains("*") ? .all : .only(ids)
    }

    private func noteUse(_ id: String) async {
        guard keyUse.isWorthStoring(id, at: world.clock.monotonic()) else { return }
        do {
            try await write { transaction in
                guard var record = try transaction.get("api-key", id) else { return }
                record.state["last_used_at"] = .string(transaction.now.rfc3339)
                _ = try transaction.put(record)
            }
        } catch {
            // A hub that cannot write must still answer reads.
            logger.warning("The last use of an API key could not be stored.", metadata: ["error": "\(error)"])
        }
    }
}
