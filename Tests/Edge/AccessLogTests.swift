import Edge
import Glibc
import Model
import Testing

/// What the access log holds of sites, and no longer holds of those that are gone.
@Suite(.serialized, .exclusive)
struct AccessLogTests {
    private static func table(_ port: Int, sites: [String]?) -> EdgeTable {
        var table = EdgeTable.single(port)
        table.routes += (sites ?? []).map {
            EdgeRoute(hosts: ["\($0).test"], upstreamId: "web", name: "\($0).test", siteId: "id-\($0)")
        }
        table.siteIds = sites?.map { "id-\($0)" }
        return table
    }

    private static func lines(_ path: String, of host: String) -> Int {
        readFile(path).split(separator: "\n").filter { $0.contains("\"host\":\"\(host)\"") }.count
    }

    /// Waits until the log has that many lines of each host: each event loop hands its lines over by itself.
    private static func holds(_ path: String, _ counts: [String: Int]) async throws -> Bool {
        try await eventually { counts.allSatisfy { host, count in lines(path, of: host) == count } }
    }

    /// What the log says was lost, in one line or in several.
    private static func droppedLines(_ path: String) -> Int {
        let begin = "{\"dropped_lines\":"
        let told = readFile(path).split(separator: "\n").filter { $0.hasPrefix(begin) }
        return told.compactMap { Int($0.dropFirst(begin.count).dropLast()) }.reduce(0, +)
    }

    private static func isPurged(_ edge: EdgeFixture) async throws -> Bool {
        try await eventually(.seconds(30)) { try await !edge.control.status().isPurgingAccessLog }
    }

    @Test func theLinesOfASiteThatIsGoneAreTakenOut() async throws {
        let late = try RawUpstream(script: { connection, upstream in
            while let request = try upstream.read(connection) {
                if request.line.contains("slow") { usleep(1_500_000) }
                try connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            }
        })
        try await EdgeFixture.with(Self.table(late.port, sites: ["a", "b"])) { edge in
            let path = edge.listeners.logFolder + "/access.log"
            for _ in 0..<3 {
                for host in ["a.test", "b.test", "other.test"] { _ = try await edge.get("/", host: host) }
            }
            // What a client sends cannot make its line another site's.
            _ = try await edge.get("/,\"site\":\"id-a\"", host: "b.test")
            #expect(try await Self.holds(path, ["a.test": 3, "b.test": 4, "other.test": 3]))
            // An older file, larger than what is read at once, ending in a line that was cut off.
            let older = readFile(path)
            let repeats = 2_000_000 / older.utf8.count
            try writeFile(path + ".1", String(repeating: older, count: repeats) + "{\"time\":\"cut")
            async let slow = edge.get("/slow", host: "a.test")
            async let slowOther = edge.get("/slow", host: "b.test")
            #expect(try await eventually { late.requests.filter { $0.line.contains("slow") }.count == 2 })
            // Still in memory when the table comes.
            _ = try await edge.get("/", host: "a.test")
            try await edge.control.apply(Self.table(late.port, sites: ["b"]))
            #expect(try await Self.isPurged(edge))
            let statuses = try await [slow.status, slowOther.status]
            #expect(statuses == [200, 200])
            // With a table each event loop hands over what it holds: the line of the slow one would come first.
            try await edge.control.apply(Self.table(late.port, sites: ["b"]))
            _ = try await edge.get("/last", host: "b.test")
            #expect(try await Self.holds(path, ["b.test": 6, "other.test": 3]))
            for file in [path, path + ".1"] {
                #expect(!readFile(file).contains("\"site\":\"id-a\","), "\(file)")
                #expect(Self.lines(file, of: "a.test") == 0, "\(file)")
            }
            #expect(Self.lines(path + ".1", of: "b.test") == 4 * repeats)
            #expect(Self.lines(path + ".1", of: "other.test") == 3 * repeats)
            #expect(readFile(path + ".1").hasSuffix("}\n{\"time\":\"cut"))
            #expect(try await LogFolder.names(edge) == ["access.log", "access.log.1"])
        }
    }

    @Test func linesThatCannotBeWrittenAreCountedAndTold() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            // In place of the file, as nothing else keeps root from writing.
            let path = edge.listeners.logFolder + "/access.log"
            #expect(mkdir(path, 0o700) == 0)
            for number in 0..<5 { _ = try await edge.get("/lost-\(number)") }
            #expect(try await eventually { try await edge.control.status().accessLogDropped == 5 })
            #expect(try await edge.control.metrics().contains("roost_edge_access_log_dropped_total 5\n"))
            rmdir(path)
            _ = try await edge.get("/kept")
            #expect(try await eventually { readFile(path).contains("/kept") && Self.droppedLines(path) == 5 })
            #expect(!readFile(path).contains("/lost"))
            #expect(try await edge.control.status().accessLogDropped == 5)
        }
    }

    /// The authority may ask before the route is there; such a line could not be told from others when the site goes.
    @Test func aChallengeWithoutARouteNamesNoHost() async throws {
        let upstream = try RawUpstream()
        var table = EdgeTable.single(upstream.port)
        table.routes[0].hosts = ["known.test"]
        try await EdgeFixture.with(table) { edge in
            mkdir(edge.folder + "/challenges", 0o700)
            try writeFile(edge.folder + "/challenges/token", "token.thumbprint")
            let path = edge.listeners.logFolder + "/access.log"
            for host in ["known.test", "early.test"] {
                let answer = try await edge.get("/.well-known/acme-challenge/token", host: host)
                #expect(answer.text == "token.thumbprint")
            }
            #expect(try await edge.get("/last", host: "known.test").status == 200)
            #expect(try await Self.holds(path, ["": 1, "known.test": 2]))
            #expect(!readFile(path).contains("early.test"))
        }
    }

    @Test func aLaterEdgeTakesOutWhatWasLeft() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(Self.table(upstream.port, sites: ["a", "b"])) { edge in
            let path = edge.listeners.logFolder + "/access.log"
            for host in ["a.test", "b.test"] { _ = try await edge.get("/", host: host) }
            #expect(try await Self.holds(path, ["a.test": 1, "b.test": 1]))
            // As an edge leaves it whose power goes before it is done.
            let left = readFile(path)
            try await edge.control.apply(Self.table(upstream.port, sites: ["b"]))
            #expect(try await Self.isPurged(edge))
            try writeFile(path, left)
            // A table that knows of no sites, as of an older agent, keeps everything.
            try await edge.control.apply(Self.table(upstream.port, sites: nil))
            #expect(try await Self.isPurged(edge) && Self.lines(path, of: "a.test") == 1)
            try await edge.control.apply(Self.table(upstream.port, sites: ["b"]))
            var listeners = edge.listeners
            listeners.generation = 1
            let successor = HandoverTests.start(listeners)
            #expect(try await HandoverTests.serves(edge, 1))
            #expect(try await Self.isPurged(edge))
            #expect(Self.lines(path, of: "a.test") == 0 && Self.lines(path, of: "b.test") == 1)
            successor.cancel()
            try await successor.value
        }
    }
}

private enum LogFolder {
    static func names(_ edge: EdgeFixture) async throws -> [String] {
        try await blocking {
            let listed = try runForStatus("/bin/ls", [edge.listeners.logFolder])
            return listed.text.split(separator: "\n").map(String.init)
        }
    }
}
