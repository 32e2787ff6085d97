import AgentProtocol
import Catalog
import HubCore
import HubStore
import LinuxHost
import Model
import NIOHTTP1
import ResourceKit
import TestSupport
import Testing

/// Lines of all logs.
@Suite struct LogTests {
    @Test(arguments: [
        ("<3>disk gone", LogLevel.error), ("<14>started", .info), ("<191>x", .debug), ("ERROR: no room", .error),
        ("2030-01-01T00:00:00Z [warn] slow", .warning), ("{\"level\":\"error\",\"msg\":\"x\"}", .error),
        ("time=1 level=debug msg=x", .debug), ("main.c:3:1: warning: unused", .warning), ("panic: oh", .error),
        ("Traceback (most recent call last):", .info), ("no error was found", .info), ("GET /error/404 200", .info),
        ("error_log is open", .info), ("0 errors", .info), ("", .info), ("\u{1F4A5}", .info), ("FATAL", .error),
    ])
    func levelsAreToldFromLines(_ line: String, _ level: LogLevel) async throws {
        let page = try await stored([line + "\n"], .init())
        #expect(page.lines.map(\.level) == [level], "\(line)")
    }

    private func stored(_ texts: [String], _ filter: LogFilter) async throws -> LogPage {
        let store = try SQLiteStore(inMemory: TestKinds.all, clock: ManualClock(), random: LiveRandom())
        return try await store.write { transaction in
            _ = try transaction.put(shelfRecord("a"))
            for text in texts { try Self.append(text, to: "id-a", transaction) }
            return try transaction.logLines(filter)
        }
    }

    private static func append(
        _ text: String, to id: String, after: Duration = .zero, _ transaction: any StoreTransaction
    ) throws {
        let log = LogName(source: "shelf", id: id, nodeId: "n")
        let isNew = try !transaction.logNames(source: "shelf", id: id).contains(log)
        let end = isNew ? 0 : try transaction.log(log, from: 1 << 40, bytesMax: 1).end
        try transaction.appendLog(
            log, offset: end, text: text, time: transaction.now.advanced(by: after), bytesMax: 1 << 20)
    }

    /// Every line once, newest first by pages of any size, and once more in the order of arrival.
    @Test(arguments: Medium.allCases) func pagesAndFollowersSeeEachLineOnce(_ medium: Medium) async throws {
        let folder = TemporaryFolder()
        let clock = ManualClock()
        let store = try medium.open(clock, folder)
        let names = ["a", "b", "c"]
        try await store.write { transaction in
            for name in names { _ = try transaction.put(shelfRecord(name, brand: name == "c" ? "acme" : nil)) }
        }
        // What arrives late was written early.
        for piece in 0..<100 {
            let lines = (0..<(piece % 4 + 1)).map { "line \(piece)-\($0)\($0 == 1 ? " ERROR" : "")" }
            try await store.write { transaction in
                let time = Duration.seconds(piece % 10 == 9 ? -1000 + piece : piece)
                try Self.append(
                    lines.joined(separator: "\n") + "\n", to: "id-\(names[piece % 3])", after: time, transaction)
            }
        }
        for limit in [1, 7, 200] {
            var seen: [LogLine] = []
            var filter = LogFilter(limit: limit)
            repeat {
                let asked = filter
                let page = try await store.read { try $0.logLines(asked) }
                #expect(page.lines.count <= limit)
                seen += page.lines
                filter.before = page.hasMore ? page.end : nil
            } while filter.before != nil
            #expect(seen.count == 250 && Set(seen.map(\.place.text)).count == 250)
            #expect(zip(seen, seen.dropFirst()).allSatisfy { $0.place.timeMs >= $1.place.timeMs })
        }
        var followed: [LogLine] = []
        var after = LogFilter(limit: 9)
        after.after = LogPlace(timeMs: 0, piece: 0, line: -1)
        while true {
            let asked = after
            let page = try await store.read { try $0.logLines(asked) }
            followed += page.lines
            after.after = page.end
            if !page.hasMore { break }
        }
        #expect(followed.first?.message == "line 0-0" && followed.last?.message == "line 99-3")
        #expect(followed.count == 250 && Set(followed.map(\.place.text)).count == 250)
        try await filters(store)
        try await retention(store, clock)
        try await store.close()
    }

    private func filters(_ store: any Store) async throws {
        func count(_ change: @Sendable (inout LogFilter) -> Void) async throws -> Int {
            var filter = LogFilter(limit: 1000)
            change(&filter)
            let asked = filter
            return try await store.read { try $0.logLines(asked).lines.count }
        }
        #expect(try await count { $0.level = .error } == 75)
        #expect(try await count { $0.text = "LINE 1" } == 29)
        #expect(try await count { $0.type = "shelf" } == 250)
        #expect(try await count { $0.type = "book" } == 0)
        #expect(try await count { $0.brands = .only(["acme"]) } == 83)
        #expect(try await count { $0.brands = .only([]) } == 0)
        #expect(try await count { $0.nodeId = "x" } == 0)
        #expect(try await count { $0.since = ManualClock.start.advanced(by: .seconds(50)) } == 111)
        #expect(
            try await count {
                $0.since = ManualClock.start.advanced(by: .seconds(50))
                $0.until = ManualClock.start.advanced(by: .seconds(52))
            } == 7)
    }

    /// What is too old goes, then the oldest of what is too much, then what belongs to nobody.
    private func retention(_ store: any Store, _ clock: ManualClock) async throws {
        @Sendable func size(_ transaction: any StoreTransaction) throws -> Int {
            try ["a", "b", "c"].map {
                try transaction.log(LogName(source: "shelf", id: "id-\($0)", nodeId: "n"), from: 0, bytesMax: 1 << 20)
                    .text.utf8.count
            }.reduce(0, +)
        }
        let before = try await store.read(size)
        let old = try await store.write { try $0.removeLogs(before: ManualClock.start, bytesMax: 1 << 40) }
        #expect(old > 0)
        #expect(try await store.read { try $0.logLines(.init(limit: 1000)).lines.count } == 220)
        let much = try await store.write { try $0.removeLogs(before: ManualClock.start, bytesMax: 1000) }
        let left = try await store.read { try $0.logLines(.init(limit: 1000)).lines }
        #expect(left.first?.message == "line 98-2" && left.count == 85, "\(left.count)")
        #expect(Int(old + much) <= before && Int(old + much) >= before - 1000)
        try await store.write { try $0.remove("shelf", "id-a") }
        try await store.write { _ = try $0.removeLogs(before: ManualClock.start, bytesMax: 1 << 40) }
        #expect(try await store.read { try $0.logNames(source: "shelf", id: "id-a") } == [])
    }

    // MARK: through the API

    @Test func whatAgentsSendIsThereOnceAndForItsBrandAlone() async throws {
        try await ServerFixture.run { server in
            let stack = try await server.make("stacks", ["name": "base"])
            let service = try await server.make(
                "stacks/\(stack)/services",
                ["name": "web", "git_url": "https://git.example.org/x.git", "run_command": "x"])
            let agent = try await JoinedAgent(server, stack: stack)
            let now = LiveClock().now()
            let chunk = LogChunk(
                source: "service", id: service, offset: 0, text: "one\n<script>alert(1)</script> ERROR\n", stream: "a1",
                time: now.advanced(by: .seconds(-60)))
            let late = LogChunk(
                source: "service", id: service, offset: 37, text: "three\n", stream: "a1",
                time: now.advanced(by: .seconds(86_400)))
            for chunks in [[chunk], [chunk], [chunk, late]] {
                let body = try WireCoding.encode(LogBatch(chunks: chunks)).canonicalBytes
                #expect(try await agent.send(.POST, "agent/logs", body).status == 204)
            }
            let page = try await server.send(.GET, "logs").json
            let items = try #require(page["items"]?.arrayValue)
            let said = items.compactMap { $0["message"]?.stringValue }
            #expect(said == ["three", "<script>alert(1)</script> ERROR", "one"], "\(page.canonicalText)")
            #expect(items[2]["time"] == .string(now.advanced(by: .seconds(-60)).rfc3339))
            let newest = try #require(items[0]["time"]?.stringValue.flatMap { Timestamp(rfc3339: $0) })
            #expect(newest <= LiveClock().now(), "nothing was written tomorrow")
            #expect(items[0]["service_id"] == .string(service) && items[0]["node_id"] == .string(agent.nodeId))
            try await filters(server, service)
            try await strangers(server, service)
        }
    }

    private func filters(_ server: ServerFixture, _ service: String) async throws {
        func said(_ query: String) async throws -> [String] {
            try await server.send(.GET, "logs?\(query)").json["items"]?.arrayValue?
                .compactMap { $0["message"]?.stringValue } ?? []
        }
        #expect(try await said("level=error&service=\(service)").count == 1)
        #expect(try await said("text=THREE&log_type=service") == ["three"])
        for query in ["log_type=build", "webroot=web_x", "cron_job_id=x"] { #expect(try await said(query) == []) }
        let first = try await server.send(.GET, "logs?limit=1").json
        let cursor = try #require(first["next_cursor"]?.stringValue)
        #expect(try await said("limit=1&cursor=\(cursor)") == ["<script>alert(1)</script> ERROR"])
        for (query, status) in [
            ("cursor=x", 400), ("cursor=1.2", 400), ("level=loud", 400), ("since=x", 400), ("limit=0", 400),
            ("service=none", 404), ("tenant=none", 404), ("text=%00", 400),
        ] {
            #expect(try await server.send(.GET, "logs?\(query)").status == status, "\(query)")
        }
        let session = try await server.hub.loginWithKey(server.key, address: "127.0.0.1")
        let cookie: HTTPHeaders = ["Cookie": "roost_session=\(session.token)"]
        let shown = try await server.send(.GET, "/logs?level=error", headers: cookie, anonymous: true)
        #expect(shown.status == 200 && shown.text.contains("&lt;script&gt;alert(1)") && !shown.text.contains("three"))
    }

    private func strangers(_ server: ServerFixture, _ service: String) async throws {
        let samples = KindSamples(server)
        let tenant = try await samples.one("tenant")
        let own = try await server.send(.GET, "tenants/\(tenant)/logs")
        #expect(own.status == 200)
        #expect(try own.json["items"] == [])
        let brand = try #require(samples.shared["brand"])
        let made = try await server.send(
            .POST, "api-keys", ["name": "k", "scopes": ["logs:read"], "brands": [.string(brand)]])
        let key: HTTPHeaders = ["X-API-Key": try #require(try made.json["key"]?.stringValue)]
        func ask(_ path: String) async throws -> ServerFixture.Answer {
            try await server.send(.GET, path, headers: key, anonymous: true)
        }
        #expect(try await ask("logs").json["items"] == [])
        #expect(try await ask("logs?service=\(service)").status == 404)
        #expect(try await ask("tenants/\(tenant)/logs").status == 200)
        let other = try await server.send(.POST, "brands", try await samples.body(try samples.kind("brand")))
        samples.forget("tenant")
        let foreign = try await server.send(
            .POST, "api-keys",
            ["name": "k", "scopes": ["*:*"], "brands": [try #require(try other.json["id"])]])
        let stranger: HTTPHeaders = ["X-API-Key": try #require(try foreign.json["key"]?.stringValue)]
        let refused = try await server.send(.GET, "tenants/\(tenant)/logs", headers: stranger, anonymous: true)
        #expect(refused.status == 404)
        let narrow = try await server.send(
            .POST, "api-keys", ["name": "k", "scopes": ["services:read"], "brands": ["*"]])
        let without: HTTPHeaders = ["X-API-Key": try #require(try narrow.json["key"]?.stringValue)]
        #expect(try await server.send(.GET, "logs", headers: without, anonymous: true).status == 403)
    }
}
