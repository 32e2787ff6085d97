import GRDB
import Host
import HubCore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

@testable import HubStore

/// Entries of the audit log that an earlier version of the database held without ids of who did it.
@Suite struct AuditUpgradeTests {
    private func note(_ store: any Store, actorId: String?) async throws {
        try await store.write { transaction in
            try transaction.appendAudit(
                AuditEntry(
                    time: transaction.now, actor: "key:bot", actorId: actorId, action: "create", resourceKind: "shelf",
                    resourceId: "id", address: "192.0.2.1", outcome: "ok", body: ["n": 1]))
        }
    }

    private func check(_ open: () throws -> any Store, withoutIds: () async throws -> Void) async throws {
        let id = "9d2c7a2e-0b62-4a3b-8f0e-3f6f2a0c5d11"
        let old = try open()
        for _ in 0..<3 { try await note(old, actorId: nil) }
        try await old.close()
        try await withoutIds()
        let store = try open()
        try await note(store, actorId: id)
        let (all, own, named) = try await store.read { transaction in
            #expect(try transaction.firstBrokenAudit() == nil)
            return (
                try transaction.audit(.init()), try transaction.audit(.init(actor: id)),
                try transaction.audit(.init(actor: "key:bot"))
            )
        }
        #expect(all.map(\.actorId) == [id, nil, nil, nil] && own.map(\.id) == [4] && named == all)
        try await store.close()
    }

    @Test func theyStayWholeOnSQLite() async throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/hub.sqlite"
        try await check {
            try SQLiteStore(path: path, kinds: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        } withoutIds: {
            let queue = try DatabaseQueue(path: path)
            try await queue.write {
                try $0.execute(sql: "DROP INDEX audit_actor_id; ALTER TABLE audit DROP COLUMN actor_id")
            }
            try queue.close()
        }
        // A changed id breaks the chain like any other change.
        let queue = try DatabaseQueue(path: path)
        try await queue.write { try $0.execute(sql: "UPDATE audit SET actor_id = 'other' WHERE id = 4") }
        try queue.close()
        let store = try SQLiteStore(path: path, kinds: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        #expect(try await store.read { try $0.firstBrokenAudit() } == 4)
    }

    @Test func theyStayWholeOnPostgreSQL() async throws {
        let address = try PostgresAddress(PostgresServer.running().newDatabase())
        try await check {
            try PostgresStore(address: address, kinds: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        } withoutIds: {
            try PostgresConnection(address).run("ALTER TABLE audit DROP COLUMN actor_id")
        }
    }
}
