import AgentProtocol
import Crypto
import Host
import LinuxHost
import Model
import NIOHTTP1
import Testing

/// A server that joined through the API.
struct JoinedAgent {
    let key = Curve25519.Signing.PrivateKey()
    let server: ServerFixture
    var nodeId = ""

    init(_ server: ServerFixture, stack: String) async throws {
        self.server = server
        let made = try await server.send(.POST, "install-tokens", ["stack_id": .string(stack)])
        let token = try #require(try made.json["token"]?.stringValue)
        let answer = try await register(token)
        try #require(answer.status == 201, "\(answer.text)")
        nodeId = try #require(try answer.json["node_id"]?.stringValue)
        // The token is used up: nobody else joins with it.
        let thief = try await register(token, key: Curve25519.Signing.PrivateKey())
        #expect(thief.status == 401 || thief.status == 403, "\(thief.status)")
    }

    func register(
        _ token: String, key: Curve25519.Signing.PrivateKey? = nil
    ) async throws -> ServerFixture.Answer {
        let key = key ?? self.key
        let message = RegisterRequest(
            token: token, publicKey: Base64.encode(Array(key.publicKey.rawRepresentation)), hostname: "web-1",
            agentVersion: "1", protocolVersion: protocolVersion)
        return try await server.send(
            .POST, "agent/register", try WireCoding.encode(message), anonymous: true)
    }

    func headers(
        _ method: String, _ path: String, _ body: [UInt8], at time: Timestamp = LiveClock().now(),
        nonce: String = LiveRandom().hex(16)
    ) throws -> HTTPHeaders {
        let signature = try RequestSignature.sign(
            method: method, path: "/api/v1/\(path)", body: body, nodeId: nodeId, time: time, nonce: nonce, key: key)
        return HTTPHeaders(signature.headers.map { ($0.name, $0.value) })
    }

    func send(
        _ method: HTTPMethod, _ path: String, _ body: [UInt8] = [], extra: HTTPHeaders = [:]
    ) async throws -> ServerFixture.Answer {
        var headers = try headers(method.rawValue, path, body)
        headers.add(contentsOf: extra)
        return try await server.send(
            method, path, raw: method == .GET ? nil : body, headers: headers, anonymous: true)
    }
}
