import GRDB
import Host
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

@testable import HubStore

/// Logs that an earlier version of the database held without times.
@Suite struct LogUpgradeTests {
    /// The tables as they were, with 10 bytes of a log that lost 5 in between, and a log that is empty.
    private static let sqlite = """
        CREATE TABLE logs (
            log INTEGER PRIMARY KEY, source TEXT NOT NULL, id TEXT NOT NULL, node_id TEXT NOT NULL,
            stream_end INTEGER NOT NULL, UNIQUE (source, id, node_id)) STRICT;
        CREATE TABLE log_chunks (
            log INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE, start INTEGER NOT NULL, gap INTEGER NOT NULL,
            text BLOB NOT NULL, PRIMARY KEY (log, start)) STRICT, WITHOUT ROWID;
        INSERT INTO logs VALUES (7, 'shelf', 'id-a', 'n', 15), (9, 'shelf', 'id-b', 'n', 0);
        INSERT INTO log_chunks VALUES (7, 9, 5, CAST('ERROR' || char(10) AS BLOB)), (7, 0, 0, x'6F6E650A');
        PRAGMA user_version = 1
        """

    private static let postgres = """
        CREATE TABLE roost_schema (version bigint NOT NULL);
        CREATE TABLE audit_count (count bigint NOT NULL);
        INSERT INTO roost_schema VALUES (1);
        INSERT INTO audit_count VALUES (0);
        CREATE TABLE logs (
            log bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL, id text NOT NULL,
            node_id text COLLATE "C" NOT NULL, stream_end bigint NOT NULL, UNIQUE (source, id, node_id));
        CREATE TABLE log_chunks (
            log bigint NOT NULL REFERENCES logs ON DELETE CASCADE, start bigint NOT NULL, gap bigint NOT NULL,
            text bytea NOT NULL, PRIMARY KEY (log, start));
        INSERT INTO logs (source, id, node_id, stream_end) VALUES ('shelf', 'id-a', 'n', 15), ('shelf', 'id-b', 'n', 0);
        INSERT INTO log_chunks VALUES
            (1, 9, 5, convert_to(E'ERROR\\n', 'UTF8')), (1, 0, 0, convert_to(E'one\\n', 'UTF8'))
        """

    private let log = LogName(source: "shelf", id: "id-a", nodeId: "n")

    @Test func theyAreMovedOnSQLite() async throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/hub.sqlite"
        let old = try DatabaseQueue(path: path)
        try await old.write { try $0.execute(sql: Self.sqlite) }
        try old.close()
        try await check {
            try SQLiteStore(path: path, kinds: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        }
    }

    @Test func theyAreMovedOnPostgreSQL() async throws {
        let address = try PostgresAddress(PostgresServer.running().newDatabase())
        try PostgresConnection(address).run(Self.postgres)
        try await check {
            try PostgresStore(address: address, kinds: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        }
    }

    private func check(_ open: () throws -> any Store) async throws {
        let before = LiveClock().now()
        var store = try open()
        try await store.write { _ = try $0.put(shelfRecord("a")) }
        // A second start finds nothing to move.
        try await store.close()
        store = try open()
        let log = log
        let text = try await store.read { try $0.log(log, from: 0, bytesMax: 100) }
        #expect(text.text == "one\n\n[5 bytes of output are missing here]\nERROR\n" && text.end == 15)
        var filter = LogFilter(limit: 10)
        filter.until = LiveClock().now().advanced(by: .seconds(60))
        let asked = filter
        let lines = try await store.read { try $0.logLines(asked) }.lines
        #expect(lines.map(\.message) == ["ERROR", "one"])
        #expect(lines.map(\.level) == [.error, .info])
        let eldest = before.advanced(by: .seconds(-5)).millisecondsSinceEpoch
        #expect(lines.allSatisfy { $0.place.timeMs >= eldest }, "they are as old as the upgrade")
        // It goes on where it ended, and its size is known, so that the limit holds.
        try await store.write { transaction in
            try transaction.appendLog(log, offset: 15, text: "two\n", time: transaction.now, bytesMax: 10)
        }
        let after = try await store.read { try $0.log(log, from: 0, bytesMax: 100) }
        #expect(after.text.hasSuffix("ERROR\ntwo\n") && !after.text.contains("one") && after.end == 19)
        try await store.close()
    }
}
