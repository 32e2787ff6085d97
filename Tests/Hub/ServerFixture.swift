import AsyncHTTPClient
import Catalog
import Dashboard
import Glibc
import HTTPTypes
import HubAPI
import HubCore
import HubStore
import Hummingbird
import LinuxHost
import Logging
import Model
import NIOCore
import NIOHTTP1
import Synchronization
import TestSupport
import Testing

/// A hub with the real kinds behind its real HTTP server on loopback, and a client.
final class ServerFixture: Sendable {
    struct Answer: Sendable {
        var status: Int
        var headers: HTTPHeaders
        var bytes: [UInt8]
        var json: JSONValue {
            get throws { try JSONParser.parse(bytes) }
        }
        var text: String { String(decoding: bytes, as: UTF8.self) }
    }

    let folder: TemporaryFolder
    let hub: Hub
    let store: SQLiteStore
    let port: Int
    let key: String
    private let server: Task<Void, any Error>
    /// Nil until the document was read.
    private let documented = Mutex<DocumentedAnswers?>(nil)

    private init(
        _ folder: TemporaryFolder, _ hub: Hub, _ store: SQLiteStore, _ port: Int, _ key: String,
        _ server: Task<Void, any Error>
    ) {
        self.folder = folder
        self.hub = hub
        self.store = store
        self.port = port
        self.key = key
        self.server = server
    }

    /// Starts a server, runs the body, and stops the server.
    static func run(
        folder: TemporaryFolder = TemporaryFolder(), logger given: Logger? = nil,
        _ body: (ServerFixture) async throws -> Void
    ) async throws {
        let store = try SQLiteStore(
            path: "\(folder.path)/hub.sqlite", kinds: Catalog.kinds, clock: LiveClock(), random: LiveRandom())
        let hub = HubFixture.hub(store, Catalog.kinds, LiveClock(), logger: given)
        _ = try await hub.ensureSigningKey()
        let answer = try await hub.create(
            try #require(hub.kind("api-key")), body: ["name": "test", "scopes": ["*:*"], "brands": ["*"]], as: .local)
        let (ports, running) = AsyncStream.makeStream(of: Int.self)
        var logger = given ?? Logger(label: "test")
        if given == nil { logger.logLevel = .critical }
        let router = Router(context: HubRequestContext.self)
        try addDashboard(
            to: router, hub: hub, configuration: DashboardConfiguration { _, _ in "the join line" },
            address: { $1.remoteAddress?.ipAddress ?? "unknown" })
        let server = HubServer(
            api: HubAPI(hub: hub, options: .init(executablePath: try program(in: folder)), logger: logger),
            router: router, host: "127.0.0.1", port: 0, logger: logger
        ) { running.yield($0) }
        let task = Task {
            async let settling: Void = hub.runSettling()
            try await server.run()
            await settling
        }
        var iterator = ports.makeAsyncIterator()
        let port = try #require(await iterator.next())
        let fixture = ServerFixture(folder, hub, store, port, answer.body["key"]?.stringValue ?? "", task)
        do {
            let document = try await fixture.send(.GET, "/docs/openapi.json").json
            try fixture.documented.withLock { $0 = try DocumentedAnswers(document) }
            try await body(fixture)
        } catch {
            await fixture.stop()
            throw error
        }
        await fixture.stop()
    }

    /// A file that stands for the program that joining servers get.
    private static func program(in folder: TemporaryFolder) throws -> String {
        let path = "\(folder.path)/program"
        let file = try #require(fopen(path, "we"))
        fputs("#!the program\n" + String(repeating: "x", count: 1_000_000), file)
        fclose(file)
        return path
    }

    private func stop() async {
        server.cancel()
        // It ends with the cancellation that was just asked for.
        _ = await server.result
        do { try await store.close() } catch { Issue.record("\(error)") }
    }

    var url: String { "http://127.0.0.1:\(port)" }

    /// Sends a request with the administrator's key unless `headers` say otherwise.
    func send(
        _ method: HTTPMethod, _ path: String, _ body: JSONValue? = nil, raw: [UInt8]? = nil,
        headers: HTTPHeaders = [:], anonymous: Bool = false
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: path.hasPrefix("/") ? url + path : "\(url)/api/v1/\(path)")
        request.method = method
        request.headers = headers
        if !anonymous { request.headers.add(name: "Authorization", value: "Bearer \(key)") }
        if let bytes = raw ?? body?.canonicalBytes {
            if !headers.contains(name: "Content-Type") {
                request.headers.add(name: "Content-Type", value: "application/json")
            }
            request.body = .bytes(ByteBuffer(bytes: bytes))
        }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(70))
        let buffer = try await response.body.collect(upTo: 64 << 20)
        let answer = Answer(
            status: Int(response.status.code), headers: response.headers, bytes: Array(buffer.readableBytesView))
        documented.withLock { $0 }?.check(
            method.rawValue, String(request.url.dropFirst(url.count)), answer.status, answer.text)
        return answer
    }

    /// Creates a resource through the API; answers its id.
    func make(_ path: String, _ body: JSONValue) async throws -> String {
        let answer = try await send(.POST, path, body)
        try #require((200..<300).contains(answer.status), "\(answer.text)")
        return try #require(try answer.json["id"]?.stringValue)
    }

    /// Sends bytes as they are and reads until the server closes or the patience ends.
    func sendRaw(_ text: String, patience: Duration = .seconds(20)) async throws -> String {
        let port = port
        return try await RawConnection.apart {
            let connection = try RawConnection(port, patience: patience)
            connection.send(text)
            return connection.rest()
        }
    }
}
