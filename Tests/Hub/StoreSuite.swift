import Host
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// Where a store under test keeps its data. A new kind of store is a new case.
enum Medium: String, CaseIterable, Sendable {
    case memory, file, postgres

    func open(_ clock: any HostClock, _ folder: TemporaryFolder) throws -> any Store {
        switch self {
        case .memory: try SQLiteStore(inMemory: TestKinds.all, clock: clock, random: LiveRandom())
        case .file:
            try SQLiteStore(
                path: "\(folder.path)/hub.sqlite", kinds: TestKinds.all, clock: clock, random: LiveRandom())
        case .postgres:
            try PostgresStore(
                address: PostgresAddress(PostgresServer.running().newDatabase()), kinds: TestKinds.all, clock: clock,
                random: LiveRandom())
        }
    }
}

func shelfRecord(_ name: String, brand: String? = nil, at time: Timestamp = ManualClock.start) -> ResourceRecord {
    ResourceRecord(
        kind: "shelf", id: "id-\(name)", brandId: brand, status: .active, spec: ["name": .string(name), "height": 100],
        createdAt: time, updatedAt: time)
}

/// What every store must do, written against the protocol.
@Suite struct StoreSuite {
    let folder = TemporaryFolder()
    let clock = ManualClock()

    @Test(arguments: Medium.allCases)
    func keepsRecords(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        var record = shelfRecord("a")
        record.statusMessage = "fine"
        record.state = ["deep": ["list": [1, 2.5, "ü\u{0}\n\"\\", nil]]]
        let sent = record
        let stored = try await store.write { try $0.put(sent) }
        #expect(stored.version == 1)
        #expect(try await store.read { try $0.get("shelf", "id-a") } == stored)
        #expect(try await store.read { try $0.statuses("shelf", ["id-b", "id-a"]) } == ["id-a": .active])
        clock.move(.seconds(5))
        let again = try await store.write { try $0.put(stored) }
        #expect(again.version == 2 && again.updatedAt == clock.now() && again.createdAt == ManualClock.start)
        try await store.write { try $0.remove("shelf", "id-a") }
        #expect(try await store.read { try $0.get("shelf", "id-a") } == nil)
        try await store.write { try $0.remove("shelf", "id-a") }
        try await store.close()
    }

    @Test(arguments: Medium.allCases)
    func findsWhatRefersToAResource(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let found = try await store.write { transaction in
            for (name, brand) in [("a", "acme"), ("b", "other"), ("c", "acme"), ("d", nil)] as [(String, String?)] {
                var record = shelfRecord(name)
                record.spec["brand_id"] = brand.map { .string($0) }
                _ = try transaction.put(record)
            }
            return try ["acme", "other", "nobody", ""].map { brand in
                try transaction.all("shelf", referringTo: brand, in: "brand_id").map(\.id)
            }
        }
        #expect(found == [["id-a", "id-c"], ["id-b"], [], []])
        await #expect(throws: Problem.self) {
            try await store.read { _ = try $0.all("shelf", referringTo: "a", in: "name") }
        }
        try await store.close()
    }

    @Test(arguments: Medium.allCases)
    func rollsBackWhatThrows(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let refusal = try await problem {
            try await store.write { transaction in
                _ = try transaction.put(shelfRecord("a"))
                try transaction.putCell("space", "key", 1, expires: nil)
                try transaction.emit(HubEvent(time: transaction.now, kind: "config", message: "x"))
                throw Problem(.conflict, "no")
            }
        }
        #expect(refusal.code == .conflict)
        let left = try await store.read { transaction in
            (
                try transaction.get("shelf", "id-a"), try transaction.cell("space", "key"),
                try transaction.events(.init()).count, try transaction.claimHolder("shelf/a")
            )
        }
        #expect(left.0 == nil && left.1 == nil && left.2 == 0 && left.3 == nil)
    }

    @Test(arguments: Medium.allCases)
    func holdsClaims(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        _ = try await store.write { try $0.put(shelfRecord("a")) }
        var rival = shelfRecord("a")
        rival.id = "rival"
        let second = rival
        let refusal = try await problem { _ = try await store.write { try $0.put(second) } }
        #expect(refusal.code == .conflict && refusal.fields == ["name": "is taken already"])
        #expect(try await store.read { try $0.claimHolder("shelf/a") } == "id-a")
        // Renaming frees the old name; leaving frees all names.
        try await store.write { transaction in
            var first = try #require(try transaction.get("shelf", "id-a"))
            first.spec["name"] = "b"
            _ = try transaction.put(first)
            _ = try transaction.put(second)
            first = try #require(try transaction.get("shelf", "id-a"))
            first.status = .deleting
            _ = try transaction.put(first)
        }
        let holders = try await store.read { (try $0.claimHolder("shelf/a"), try $0.claimHolder("shelf/b")) }
        #expect(holders.0 == "rival" && holders.1 == nil)
    }

    @Test(arguments: Medium.allCases)
    func sortsByCreation(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        try await store.write { transaction in
            for name in ["z", "m", "a"] { _ = try transaction.put(shelfRecord(name)) }
        }
        #expect(try await store.read { try $0.all("shelf", parentId: nil).map(\.id) } == ["id-z", "id-m", "id-a"])
    }

    @Test(arguments: Medium.allCases)
    func keepsCellsUntilTheyExpire(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let end = clock.now().advanced(by: .seconds(10))
        let isNew = try await store.write { transaction in
            try transaction.putCell("s", "b", ["x": 1], expires: nil)
            try transaction.putCell("s", "b", ["x": 2], expires: nil)
            return [
                try transaction.insertCell("s", "a", 1, expires: end),
                try transaction.insertCell("s", "a", 2, expires: end),
                try transaction.insertCell("s", "b", 3, expires: nil),
            ]
        }
        #expect(isNew == [true, false, false])
        let cells = try await store.read { try $0.cells("s").map { "\($0.key)=\($0.value.canonicalText)" } }
        #expect(cells == ["a=1", "b={\"x\":2}"])
        clock.move(.seconds(10))
        #expect(try await store.read { try $0.cell("s", "a") } == nil)
        #expect(try await store.write { try $0.insertCell("s", "a", 9, expires: nil) })
        #expect(try await store.write { try $0.removeExpiredCells() } == 0)
        try await store.write { try $0.putCell("s", "c", 1, expires: ManualClock.start) }
        #expect(try await store.write { try $0.removeExpiredCells() } == 1)
    }

    @Test(arguments: Medium.allCases)
    func insertsCellsAtOnce(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let end = clock.now().advanced(by: .seconds(10))
        let inserted = try await store.write { transaction in
            [
                try transaction.insertCells("s", ["a", "b"], expires: end),
                try transaction.insertCells("s", ["b", "ü \"'?"], expires: end),
                try transaction.insertCells("s", [], expires: end),
            ]
        }
        #expect(inserted == [["a", "b"], ["ü \"'?"], []])
        clock.move(.seconds(10))
        let again = clock.now().advanced(by: .seconds(1))
        #expect(try await store.write { try $0.insertCells("s", ["a"], expires: again) } == ["a"])
        #expect(try await store.read { try $0.cells("s").map { "\($0.key)=\($0.value)" } } == ["a=null"])
    }

    @Test(arguments: Medium.allCases)
    func filtersEvents(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        try await store.write { transaction in
            for number in 1...6 {
                try transaction.emit(
                    HubEvent(
                        time: transaction.now.advanced(by: .seconds(number)), kind: number < 4 ? "build" : "run",
                        nodeId: "n\(number % 2)", serviceId: "s", message: "\(number)"))
            }
        }
        func messages(_ filter: EventFilter) async throws -> [String] {
            try await store.read { try $0.events(filter).map(\.message) }
        }
        #expect(try await messages(.init(limit: 2)) == ["6", "5"])
        #expect(try await messages(.init(beforeId: 3)) == ["2", "1"])
        #expect(try await messages(.init(afterId: 4)) == ["5", "6"])
        #expect(try await messages(.init(nodeId: "n1", kind: "build")) == ["3", "1"])
        #expect(try await messages(.init(serviceId: "other")) == [])
        let removed = try await store.write { try $0.removeEvents(before: $0.now.advanced(by: .seconds(3))) }
        #expect(removed == 2)
    }

    @Test(arguments: Medium.allCases)
    func chainsTheAuditLog(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        try await store.write { transaction in
            for number in 1...3 {
                try transaction.appendAudit(
                    AuditEntry(
                        time: transaction.now, actor: "key:\(number)", action: "create", resourceKind: "shelf",
                        resourceId: "id", address: "192.0.2.1", outcome: number == 2 ? "conflict" : "ok",
                        body: ["n": .int(Int64(number))]))
            }
        }
        let (entries, refused, broken) = try await store.read { transaction in
            (
                try transaction.audit(.init()), try transaction.audit(.init(outcome: "conflict")),
                try transaction.firstBrokenAudit()
            )
        }
        #expect(entries.map(\.id) == [3, 2, 1] && refused.map(\.actor) == ["key:2"] && broken == nil)
    }

    @Test(arguments: Medium.allCases)
    func keepsTheNewestOfALog(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let log = LogName(source: "build", id: "d", nodeId: "n")
        func text(_ from: Int64, _ bytesMax: Int = 10_000) async throws -> LogText {
            try await store.read { try $0.log(log, from: from, bytesMax: bytesMax) }
        }
        func append(_ offset: Int64, _ text: String, bytesMax: Int = 1000) async throws {
            try await store.write {
                try $0.appendLog(log, offset: offset, text: text, time: $0.now, bytesMax: bytesMax)
            }
        }
        try await append(0, "hello ")
        try await append(0, "hello ")
        try await append(3, "lo world")
        #expect(try await text(0) == LogText(offset: 0, text: "hello world", end: 11))
        #expect(try await text(6, 3) == LogText(offset: 6, text: "wor", end: 9))
        try await append(20, "later")
        #expect(try await text(11).text == "\n[9 bytes of output are missing here]\nlater")
        #expect(try await text(11).end == 25)
        try await append(25, String(repeating: "é", count: 600), bytesMax: 1000)
        let tail = try await text(0)
        #expect(tail.text.allSatisfy { $0 == "é" } && tail.text.utf8.count <= 1000 && tail.end == 1225)
        #expect(tail.offset >= 225)
        // A piece that ends inside a character is cut before it.
        #expect(try await text(225, 5).text == "éé")
        #expect(try await store.read { try $0.logNames(source: "build", id: "d") } == [log])
        try await store.write { try $0.removeLog(log) }
        #expect(try await text(0).text == "")
    }

    @Test(arguments: Medium.allCases)
    func sharesCommitsAmongWriters(_ medium: Medium) async throws {
        let store = try medium.open(clock, folder)
        let outcomes = await withTaskGroup(of: Bool.self) { group in
            for number in 0..<400 {
                group.addTask {
                    do {
                        try await store.write { transaction in
                            let old = try transaction.cell("n", "sum")?.intValue ?? 0
                            try transaction.putCell("n", "sum", .int(old + 1), expires: nil)
                            if number % 4 == 0 { throw Problem(.conflict, "no") }
                        }
                        return true
                    } catch {
                        return false
                    }
                }
            }
            return await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
        }
        #expect(outcomes == 300)
        #expect(try await store.read { try $0.cell("n", "sum") } == 300)
    }
}
