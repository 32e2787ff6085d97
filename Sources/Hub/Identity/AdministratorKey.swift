import AccessResources
import AgentProtocol
import Host
import HubStore
import Logging
import Model
import ResourceKit

extension Hub {
    /// Sees to it that a file holds an API key that may do everything. Nothing happens when it does already; when the
    /// file is gone, or its key is not of this database, a new key replaces the one made before.
    ///
    /// - Parameter path: written with mode 0600.
    /// - Throws: `storage_failed`.
    public func ensureAdministratorKey(writeTo path: String) async throws {
        if let text = try SecretFile.read(path) {
            let key = String(text.prefix { $0 != "\n" })
            do {
                _ = try await authenticate(apiKey: key, address: "local")
                return
            } catch let problem as Problem where problem.code == .unauthenticated {
                logger.notice("The administrator's key file is not of this database; a new key is made.")
            }
        }
        let (id, now) = (world.random.uuid(), world.clock.now())
        let key = APIKey.text(id: id, secret: world.random.hex(16))
        let record = ResourceRecord(
            kind: "api-key", id: id, status: .active,
            spec: ["name": "administrator", "scopes": ["*:*"], "brands": ["*"]],
            state: ["key_sha256": .string(sha256Hex(Array(key.utf8)))], createdAt: now, updatedAt: now)
        // The file comes first: a key that is in no file would stay behind for ever after a crash in between.
        try SecretFile.write(path, key + "\n")
        try await write { transaction in
            if let old = try transaction.cell("administrator", "key")?.stringValue {
                try transaction.remove("api-key", old)
                try transaction.appendAudit(Self.note("delete", old, .null, transaction.now))
            }
            _ = try transaction.put(record)
            try transaction.appendAudit(Self.note("create", id, .object(record.spec), transaction.now))
            try transaction.putCell("administrator", "key", .string(id), expires: nil)
        }
    }

    private static func note(_ action: String, _ id: String, _ body: JSONValue, _ time: Timestamp) -> AuditEntry {
        AuditEntry(
            time: time, actor: Principal.local.name, action: action, resourceKind: "api-key", resourceId: id,
            address: Principal.local.address, outcome: "ok", body: body)
    }
}
