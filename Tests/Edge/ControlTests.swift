import Edge
import Glibc
import Host
import Logging
import Model
import TestSupport
import Testing

@Suite(.serialized, .exclusive)
struct ControlTests {
    @Test func theHashIsThatOfTheTable() async throws {
        let table = EdgeTable.single(1)
        try await EdgeFixture.with { edge in
            let before = try await edge.control.status()
            #expect(before == EdgeStatus())
            try await edge.control.apply(table)
            let after = try await edge.control.status()
            #expect(try after.tableHash == table.edgeHash())
            #expect(after.tableHash.utf8.count == 64)
        }
    }

    @Test func theTableOutlivesTheProcess() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { first in
            var information = stat()
            #expect(stat(first.listeners.tablePath, &information) == 0)
            #expect(information.st_mode & 0o777 == 0o600)
            #expect(stat(first.listeners.controlSocket, &information) == 0)
            #expect(information.st_mode & 0o777 == 0o600)
            first.server.cancel()
            try await first.server.value
            let again = Task.detached {
                try await EdgeServer(listeners: first.listeners, logger: Logger(label: "edge")).run()
            }
            let serves = try await eventually {
                do { return try await first.get("/").status == 200 } catch { return false }
            }
            #expect(serves)
            again.cancel()
            try await again.value
        }
    }

    @Test func aBrokenTableFileDoesNotKeepItFromStarting() async throws {
        try await EdgeFixture.with(.single(1)) { edge in
            edge.server.cancel()
            try await edge.server.value
            try writeFile(edge.listeners.tablePath, "{\"routes\":")
            var logger = Logger(label: "edge")
            logger.logLevel = .critical
            let quiet = logger
            let again = Task.detached { try await EdgeServer(listeners: edge.listeners, logger: quiet).run() }
            let serves = try await eventually {
                // It is told what to do after it serves, so the one does not mean the other.
                do {
                    _ = try await edge.control.status()
                    return try await edge.get("/").status == 404
                } catch {
                    return false
                }
            }
            #expect(serves)
            try await edge.control.apply(.single(1, mode: .down))
            let response = try await edge.get("/")
            #expect(response.status == 503)
            again.cancel()
            try await again.value
        }
    }

    @Test func aSecondEdgeOnTheSameAddressFails() async throws {
        try await EdgeFixture.with { edge in
            var other = edge.listeners
            let folder = try EdgeFixture.temporaryFolder()
            (other.controlSocket, other.tablePath) = (folder + "/edge.sock", folder + "/table.json")
            let sameEdge = await #expect(throws: Problem.self) {
                try await EdgeServer(listeners: other, logger: Logger(label: "edge")).run()
            }
            #expect(sameEdge?.code == .conflict)
            #expect(sameEdge?.message.contains("in use") == true)
            // The first still serves on all of its sockets.
            for _ in 0..<20 {
                let response = try await edge.get("/")
                #expect(response.status == 404)
            }
        }
    }

    @Test func aPortThatIsFreeAMomentLaterIsWaitedFor() async throws {
        try await EdgeFixture.with { edge in
            edge.server.cancel()
            try await edge.server.value
            let foreign = try RawUpstream(port: edge.port)
            let hasWaited = SharedFlag()
            let again = Task.detached {
                var limits = EdgeLimits()
                limits.startPatience = .seconds(60)
                let logger = Logger(label: "edge") { _ in FirstWord(flag: hasWaited) }
                try await EdgeServer(listeners: edge.listeners, limits: limits, logger: logger).run()
            }
            #expect(try await eventually { hasWaited.value })
            foreign.stop()
            let serves = try await eventually {
                do { return try await edge.get("/").status == 404 } catch { return false }
            }
            #expect(serves)
            again.cancel()
            try await again.value
        }
    }

    @Test func aForeignListenerIsToldApart() async throws {
        let foreign = try RawUpstream()
        let folder = try EdgeFixture.temporaryFolder()
        let listeners = EdgeListeners(
            publicAddress: "127.0.0.1:\(foreign.port)", internalAddress: nil, dnsAddress: nil,
            controlSocket: folder + "/edge.sock", tablePath: folder + "/table.json", logFolder: folder + "/log")
        let problem = await #expect(throws: Problem.self) {
            try await EdgeServer(listeners: listeners, logger: Logger(label: "edge")).run()
        }
        #expect(problem?.code == .conflict)
    }

    @Test func aSecondEdgeOnTheSameControlSocketFails() async throws {
        try await EdgeFixture.with { edge in
            var other = edge.listeners
            let ports = try FreePorts.take(3)
            other.publicAddress = "127.0.0.1:\(ports[0])"
            other.internalAddress = nil
            other.dnsAddress = nil
            let listeners = other
            let problem = await #expect(throws: Problem.self) {
                try await EdgeServer(listeners: listeners, logger: Logger(label: "edge")).run()
            }
            #expect(problem?.code == .conflict)
            let status = try await edge.control.status()
            #expect(status == EdgeStatus())
        }
    }

    @Test func theInternalProxyOnlyListensOnLoopback() async throws {
        let folder = try EdgeFixture.temporaryFolder()
        let ports = try FreePorts.take(2)
        let listeners = EdgeListeners(
            publicAddress: "127.0.0.1:\(ports[0])", internalAddress: "0.0.0.0:\(ports[1])", dnsAddress: nil,
            controlSocket: folder + "/edge.sock", tablePath: folder + "/table.json", logFolder: folder + "/log")
        let problem = await #expect(throws: Problem.self) {
            try await EdgeServer(listeners: listeners, logger: Logger(label: "edge")).run()
        }
        #expect(problem?.code == .invalid)
    }

    @Test func wrongTablesChangeNothing() async throws {
        let good = EdgeTable.single(1)
        try await EdgeFixture.with(good) { edge in
            let wrong: [(String, (inout EdgeTable) -> Void)] = [
                ("unknown upstream", { $0.routes[0].upstreamId = "no" }),
                ("host in capitals", { $0.routes[0].hosts = ["A.com"] }),
                ("host with a dot", { $0.routes[0].hosts = ["a.com."] }),
                ("bad host", { $0.routes[0].hosts = ["a b"] }),
                ("bad prefix", { $0.routes[0].pathPrefix = "a" }),
                ("climbing prefix", { $0.routes[0].pathPrefix = "/../a" }),
                ("port 0", { $0.upstreams[0].endpoints[0].port = 0 }),
                ("port 65536", { $0.upstreams[0].endpoints[0].port = 65536 }),
                ("no host", { $0.upstreams[0].endpoints[0].host = "" }),
                ("twice the same id", { $0.upstreams.append($0.upstreams[0]) }),
                ("relative folder", { $0.upstreams[0].staticFolder = "www" }),
                ("bad name", { $0.internalNames["A_b"] = "web" }),
                ("name of nothing", { $0.internalNames["api"] = "no" }),
                ("bad suffix", { $0.internalSuffix = "a..b" }),
                ("line break in a name", { $0.upstreams[0].name = "a\nb" }),
            ]
            for (name, change) in wrong {
                var table = good
                change(&table)
                let bad = table
                let problem = await #expect(throws: Problem.self, "\(name)") { try await edge.control.apply(bad) }
                #expect(problem?.code == .invalid, "\(name)")
                let status = try await edge.control.status()
                #expect(try status.tableHash == good.edgeHash(), "\(name)")
            }
        }
    }

    @Test func nonsenseOnTheControlSocketIsAnswered() async throws {
        try await EdgeFixture.with { edge in
            for nonsense in ["hello\n", "{}\n", "[]\n", "{\"apply\":1}\n", "{\"apply\":{}}\n", "\n", "\0\n"] {
                let path = edge.listeners.controlSocket
                let answer = try await blocking { try unixAsk(path, nonsense) }
                #expect(answer.contains("\"problem\""), "\(nonsense.debugDescription)")
            }
            let status = try await edge.control.status()
            #expect(status == EdgeStatus())
        }
    }

    @Test func anAbsentEdgeIsUnavailable() async throws {
        let client = EdgeControlClient(socket: "/tmp/there-is-no-edge-here.sock")
        let problem = await #expect(throws: Problem.self) { _ = try await client.status() }
        #expect(problem?.code == .unavailable)
        let second = await #expect(throws: Problem.self) { try await client.apply(EdgeTable()) }
        #expect(second?.code == .unavailable)
    }

    @Test func aLargeTableIsTaken() async throws {
        var table = EdgeTable.single(1, mode: .down)
        table.routes += (0..<5_000).map { EdgeRoute(hosts: ["h\($0).example.com"], upstreamId: "web") }
        try await EdgeFixture.with(table) { edge in
            let response = try await edge.get("/", host: "h4999.example.com")
            #expect(response.status == 503)
        }
    }

    @Test func theAccessLogTellsWhatHappened() async throws {
        let upstream = try RawUpstream()
        try await EdgeFixture.with(.single(upstream.port)) { edge in
            _ = try await edge.get("/a\"b?secret=1")
            _ = try await edge.ask("GARBAGE\r\n\r\n")
            let path = edge.listeners.logFolder + "/access.log"
            let isWritten = try await eventually { readFile(path).split(separator: "\n").count >= 2 }
            #expect(isWritten)
            let lines = try readFile(path).split(separator: "\n").map { try JSONParser.parse(Array($0.utf8)) }
            let first = try #require(lines.first { $0["status"]?.intValue == 200 })
            #expect(first["path"]?.stringValue == "/a\"b")
            #expect(first["method"]?.stringValue == "GET")
            #expect(first["host"]?.stringValue == "example.com")
            #expect(first["service"]?.stringValue == "web")
            #expect(first["upstream"]?.stringValue == "127.0.0.1:\(upstream.port)")
            #expect(first["request_id"]?.stringValue == upstream.requests.first?.fields("x-request-id").first)
            #expect(first["bytes"]?.intValue ?? 0 > 0)
            #expect(first["duration_ms"]?.doubleValue ?? -1 >= 0)
            #expect(Timestamp(rfc3339: first["time"]?.stringValue ?? "") != nil)
            #expect(lines.contains { $0["status"]?.intValue == 400 })
            #expect(!readFile(path).contains("secret"))
        }
    }
}

func readFile(_ path: String) -> String {
    let descriptor = open(path, O_RDONLY)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var all: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while case let count = read(descriptor, &chunk, chunk.count), count > 0 { all += chunk[..<count] }
    return String(decoding: all, as: UTF8.self)
}

/// Sends a line to a Unix socket and returns the answer.
func unixAsk(_ path: String, _ line: String) throws -> String {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw SocketFailure("socket") }
    let connection = RawSocket(taking: descriptor)
    connection.setTimeout(seconds: 5)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let status = withUnsafePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
        }
    }
    guard status == 0 else { throw SocketFailure("connect") }
    try connection.send(line)
    return String(decoding: try connection.receiveAll(), as: UTF8.self)
}

/// Tells that something was logged.
private struct FirstWord: LogHandler {
    let flag: SharedFlag
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.notice

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { flag.value = true }
}
