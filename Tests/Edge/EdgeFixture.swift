import Glibc
import Logging
import Model
import TestSupport

@testable import Edge

/// A running edge with folders and ports of its own.
final class EdgeFixture: Sendable {
    let listeners: EdgeListeners
    let port: Int
    let internalPort: Int
    let dnsPort: Int
    let tlsPort: Int
    let folder: String
    let control: EdgeControlClient
    let server: Task<Void, any Error>

    private init(listeners: EdgeListeners, ports: [Int], folder: String, limits: EdgeLimits, names: NameLookup) {
        self.listeners = listeners
        self.folder = folder
        (port, internalPort, dnsPort, tlsPort) = (ports[0], ports[1], ports[2], ports[3])
        control = EdgeControlClient(socket: listeners.controlSocket)
        var logger = Logger(label: "edge")
        logger.logLevel = .error
        let edge = EdgeServer(listeners: listeners, limits: limits, names: names, logger: logger)
        server = Task.detached { try await edge.run() }
    }

    /// Starts an edge, gives it to `body`, and stops it.
    static func with(
        _ table: EdgeTable? = nil, limits: EdgeLimits = EdgeLimits(), names: NameLookup = NameLookup(),
        _ body: (EdgeFixture) async throws -> Void
    ) async throws {
        let folder = try temporaryFolder()
        let ports = try FreePorts.take(4)
        let listeners = EdgeListeners(
            publicAddress: "127.0.0.1:\(ports[0])", tlsAddress: "127.0.0.1:\(ports[3])",
            internalAddress: "127.0.0.1:\(ports[1])",
            dnsAddress: "127.0.0.1:\(ports[2])", controlSocket: folder + "/edge.sock",
            tablePath: folder + "/table.json", logFolder: folder + "/log",
            challengeFolder: folder + "/challenges")
        let fixture = EdgeFixture(listeners: listeners, ports: ports, folder: folder, limits: limits, names: names)
        do {
            try await fixture.waitUntilServing()
            if let table { try await fixture.control.apply(table) }
            try await body(fixture)
        } catch {
            fixture.server.cancel()
            _ = await fixture.server.result
            throw error
        }
        fixture.server.cancel()
        try await fixture.server.value
    }

    private func waitUntilServing() async throws {
        for _ in 0..<500 {
            do {
                _ = try await control.status()
                return
            } catch let problem as Problem where problem.code == .unavailable {
                try await Task.sleep(for: .milliseconds(10))
            }
        }
        server.cancel()
        try await server.value
        throw SocketFailure("the edge did not serve in time")
    }

    func connect() throws -> RawSocket { try RawSocket(port: port) }

    /// One request on a connection of its own.
    func ask(_ request: String, toHead: Bool = false) async throws -> RawResponse {
        let port = port
        return try await blocking {
            let client = try RawSocket(port: port)
            try client.send(request)
            guard let response = try client.response(toHead: toHead) else { throw SocketFailure("no response") }
            return response
        }
    }

    func get(_ path: String, host: String = "example.com", fields: String = "") async throws -> RawResponse {
        try await ask("GET \(path) HTTP/1.1\r\nHost: \(host)\r\n\(fields)\r\n")
    }

    static func temporaryFolder() throws -> String {
        var template = Array("/tmp/edge-test-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SocketFailure("mkdtemp") }
        return String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

extension EdgeTable {
    /// One service behind everything.
    static func single(
        _ ports: Int..., mode: EdgeUpstream.Mode = .serve, id: String = "web", staticFolder: String? = nil
    ) -> EdgeTable {
        EdgeTable(
            routes: [EdgeRoute(upstreamId: id)], internalNames: [id: id],
            upstreams: [
                EdgeUpstream(
                    id: id, name: id, mode: mode, endpoints: ports.map { EdgeEndpoint(host: "127.0.0.1", port: $0) },
                    staticFolder: staticFolder)
            ])
    }
}

/// Waits until `condition` holds.
func eventually(_ limit: Duration = .seconds(30), _ condition: () async throws -> Bool) async throws -> Bool {
    let clock = ContinuousClock()
    let end = clock.now + limit
    while clock.now < end {
        if try await condition() { return true }
        try await Task.sleep(for: .milliseconds(10))
    }
    return try await condition()
}
