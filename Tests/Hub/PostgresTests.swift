import Glibc
import Host
import HubStore
import LinuxHost
import Model
import ResourceKit
import Synchronization
import TestSupport
import Testing

/// What only a database across a network can do: go away, come back, and be shared.
@Suite("PostgreSQL", .serialized)
struct PostgresTests {
    private func open(_ url: String) throws -> PostgresStore {
        try PostgresStore(
            address: PostgresAddress(url), kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
    }

    private final class Tally: Sendable {
        struct State {
            var acknowledged: Set<String> = []
            var unknown = 0
            var isDone = false
        }

        private let mutex = Mutex(State())
        var state: State { mutex.withLock { $0 } }
        func finish() { mutex.withLock { $0.isDone = true } }
        func acknowledge(_ id: String) { mutex.withLock { _ = $0.acknowledged.insert(id) } }
        func doubt() { mutex.withLock { $0.unknown += 1 } }
    }

    @Test("restarted underneath load, it loses nothing that was acknowledged and does nothing twice")
    func restarts() async throws {
        let server = try PostgresServer.own()
        let url = try server.newDatabase()
        let stores = [try open(url), try open(url)]
        let tally = Tally()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in 0..<16 {
                let store = stores[writer % 2]
                group.addTask {
                    var number = 0
                    while !tally.state.isDone {
                        number += 1
                        let name = "w\(writer)-\(number)"
                        do {
                            try await store.write { transaction in
                                let sum = try transaction.cell("n", "sum")?.intValue ?? 0
                                try transaction.putCell("n", "sum", .int(sum + 1), expires: nil)
                                _ = try transaction.put(shelfRecord(name))
                            }
                            tally.acknowledge("id-\(name)")
                        } catch let problem as Problem where problem.code == .unavailable {
                            tally.doubt()
                        }
                    }
                }
            }
            for _ in 0..<3 {
                let before = tally.state.acknowledged.count
                while tally.state.acknowledged.count < before + 200 {
                    try await Task.sleep(for: .milliseconds(10))
                }
                try server.restartImmediately()
            }
            tally.finish()
            try await group.waitForAll()
        }
        let (records, sum) = try await stores[0].read { transaction in
            (
                Set(try transaction.all("shelf", parentId: nil).map(\.id)),
                try transaction.cell("n", "sum")?.intValue ?? 0
            )
        }
        let end = tally.state
        #expect(end.acknowledged.isSubset(of: records), "lost: \(end.acknowledged.subtracting(records))")
        #expect(Int(sum) == records.count)
        #expect(records.count <= end.acknowledged.count + end.unknown)
        for store in stores { try await store.close() }
    }

    @Test("says that it is away, and goes on when it is back")
    func away() async throws {
        let server = try PostgresServer.own()
        let store = try open(try server.newDatabase())
        _ = try await store.write { try $0.put(shelfRecord("a")) }
        try server.stopImmediately()
        let refusal = try await problem { _ = try await store.write { try $0.put(shelfRecord("b")) } }
        #expect(refusal.code == .unavailable && refusal.hint != nil)
        let unread = try await problem { _ = try await store.read { try $0.get("shelf", "id-a") } }
        #expect(unread.code == .unavailable)
        try server.startAgain()
        _ = try await store.write { try $0.put(shelfRecord("c")) }
        let ids = try await store.read { try $0.all("shelf", parentId: nil).map(\.id) }
        #expect(ids == ["id-a", "id-c"])
        try await store.close()
    }

    @Test("two hubs write as one: sums, claims and the audit chain hold")
    func twoHubs() async throws {
        let url = try PostgresServer.running().newDatabase()
        let stores = [try open(url), try open(url)]
        let refused = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<200 {
                group.addTask {
                    do {
                        try await stores[number % 2].write { transaction in
                            let sum = try transaction.cell("n", "sum")?.intValue ?? 0
                            try transaction.putCell("n", "sum", .int(sum + 1), expires: nil)
                            try transaction.appendAudit(
                                AuditEntry(
                                    time: transaction.now, actor: "a", action: "create", resourceKind: "shelf",
                                    resourceId: "\(number)", address: "", outcome: "ok", body: [:]))
                            var record = shelfRecord("n\(number / 2)")
                            record.id = "id-\(number)"
                            _ = try transaction.put(record)
                        }
                        return 0
                    } catch let problem as Problem where problem.code == .conflict {
                        return 1
                    }
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(refused == 100)
        let (sum, broken, entries) = try await stores[1].read { transaction in
            (
                try transaction.cell("n", "sum"), try transaction.firstBrokenAudit(),
                try transaction.audit(.init(limit: 200)).map(\.id)
            )
        }
        #expect(sum == 100 && broken == nil && entries == (1...100).reversed().map { $0 })
        for store in stores { try await store.close() }
    }

    @Test("what one hub announces with its commit, the other hears", .timeLimit(.minutes(3)))
    func announcements() async throws {
        let url = try PostgresServer.running().newDatabase()
        let stores = [try open(url), try open(url)]
        let heard = try #require(try stores[1].announcements())
        let waiting = Task {
            for await changes in heard {
                if let change = changes.first(where: { $0.kind == "shelf" }) { return change.id }
            }
            return ""
        }
        // The listener connects in its own time.
        let writing = Task {
            for number in 0..<1000 where !Task.isCancelled {
                try await stores[0].write { try $0.announce([HubChange(kind: "shelf", id: "n\(number)")]) }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        #expect(await waiting.value.hasPrefix("n"))
        writing.cancel()
        for store in stores { try await store.close() }
    }

    @Test(
        "an address shows no password",
        arguments: [
            ("postgres://u:geheim@db.example.org:5432/roost?sslmode=require", "postgres://db.example.org:5432/roost"),
            ("postgresql:///roost?host=/run/postgresql", "postgres:///roost"),
        ])
    func addresses(_ url: String, _ shown: String) throws { #expect(try PostgresAddress(url).description == shown) }

    @Test("the store is chosen by option, environment or file, and a password on the command line is refused")
    func choices() throws {
        let folder = TemporaryFolder()
        let secret = "postgres://u:geheim@db/roost"
        let path = "\(folder.path)/store.url"
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT, 0o600)
        let line = Array("\(secret)\n".utf8)
        #expect(write(descriptor, line, line.count) == line.count)
        close(descriptor)
        func address(_ option: String?, _ environment: String?) throws -> String {
            switch try StoreChoice(option: option, environment: environment, sqlitePath: "/x") {
            case .sqlite(let path): path
            case .postgres(let address): address.description
            }
        }
        #expect(try address(nil, nil) == "/x")
        #expect(try address(nil, secret) == "postgres://db/roost")
        #expect(try address("postgres://u@other/roost", secret) == "postgres://other/roost")
        #expect(try address(path, nil) == "postgres://db/roost")
        for option in [secret, "postgres://db/roost?user=u&password=geheim", "/nothing/here"] {
            #expect(throws: Problem.self) { _ = try address(option, nil) }
        }
        #expect(chmod(path, 0o644) == 0)
        #expect(throws: Problem.self) { _ = try address(path, nil) }
    }

    @Test("other addresses are refused", arguments: ["mysql://x", "", "postgres://a b", "/var/lib/roost.db"])
    func refusedAddresses(_ url: String) { #expect(throws: Problem.self) { _ = try PostgresAddress(url) } }
}
