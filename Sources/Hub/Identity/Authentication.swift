import AccessResources
import AgentProtocol
import Host
import HubStore
import Logging
public import Model
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
        let found = try await store.read { transaction in
            try transaction.get("api-key", id).map { ($0, try Self.limits(of: $0, transaction)) }
        }
        guard let (record, limits) = found, var principal = principal(of: record, address),
            let hash = record.state["key_sha256"]?.stringValue,
            constantTimeEqual(sha256Hex(Array(apiKey.utf8)), hash)
        else { throw Self.refused }
        await noteUse(id)
        principal.limits = limits
        return principal
    }

    /// What a key or user may ask for in a minute: by itself, and together with all others of its brands.
    static func limits(of record: ResourceRecord, _ transaction: any StoreTransaction) throws -> [RequestLimit] {
        let standard = RequestLimits.standardPerMinute
        var limits = [
            RequestLimit(
                name: "\(record.kind)/\(record.id)", perMinute: record.spec["rate_limit"]?.intValue ?? standard)
        ]
        guard case .only(let ids) = brands(record.spec["brands"]) else { return limits }
        for id in ids {
            guard let brand = try transaction.get("brand", id) else { continue }
            limits.append(
                RequestLimit(name: "brand/\(id)", perMinute: brand.spec["rate_limit"]?.intValue ?? standard))
        }
        return limits
    }

    /// Counts a request of the caller.
    /// - Throws: `rate_limited` with the time until the next one fits.
    public func countRequest(of principal: Principal) throws(Problem) {
        try requestLimits.admit(principal.limits, at: world.clock.monotonic())
    }

    /// What a key may do; nil when it has expired.
    func principal(of key: ResourceRecord, _ address: String) -> Principal? {
        if let text = key.spec["expires_at"]?.stringValue {
            guard let end = Timestamp(rfc3339: text), end > world.clock.now() else { return nil }
        }
        return Principal(
            name: Self.name(of: key), id: key.id,
            scopes: Set(key.spec["scopes"]?.arrayValue?.compactMap(\.stringValue).map(APIKey.inHyphens) ?? []),
            brands: Self.brands(key.spec["brands"]), address: address)
    }

    /// What the audit log calls a key or a user.
    static func name(of record: ResourceRecord) -> String {
        record.kind == "user"
            ? "user:\(record.spec["email"]?.stringValue ?? record.id)"
            : "key:\(record.spec["name"]?.stringValue ?? record.id)"
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
                try transaction.note(record.state, of: record.kind, id)
            }
        } catch {
            // A hub that cannot write must still answer reads.
            logger.warning("The last use of an API key could not be stored.", metadata: ["error": "\(error)"])
        }
    }
}
