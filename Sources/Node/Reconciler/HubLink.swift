import AgentProtocol
import Crypto
import Host
import Model

/// One exchange with the hub. The live one is HTTP; the simulated one loses, delays and repeats.
public protocol HubLink: Sendable {
    /// - Throws: `unavailable` or `timeout` when there was no answer.
    func exchange(_ request: HubRequest) async throws -> HubReply
}

/// What is asked of the hub.
public struct HubRequest: Sendable, Equatable {
    public var method: String
    /// Path with query.
    public var path: String
    public var headers: [String: String]
    public var body: [UInt8]
    public var timeout: Duration

    public init(method: String, path: String, headers: [String: String], body: [UInt8], timeout: Duration) {
        self.method = method
        self.path = path
        self.headers = headers
        self.body = body
        self.timeout = timeout
    }
}

/// What the hub answered.
public struct HubReply: Sendable, Equatable {
    public var status: Int
    public var body: [UInt8]

    public init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}

/// Who an agent is: what registration gave it, and the key pair that it made itself.
public struct AgentIdentity: Codable, Sendable, Equatable {
    public var hubUrl: String
    public var nodeId: String
    public var nodeName: String
    /// Base64 of the 32 private bytes.
    public var privateKey: String
    /// The hub's Ed25519 key, pinned.
    public var hubPublicKey: String

    public init(hubUrl: String, nodeId: String, nodeName: String, privateKey: String, hubPublicKey: String) {
        self.hubUrl = hubUrl
        self.nodeId = nodeId
        self.nodeName = nodeName
        self.privateKey = privateKey
        self.hubPublicKey = hubPublicKey
    }
}

/// Requests to the agent endpoints of the hub: signed, or proven by a session.
struct SignedHub: Sendable {
    let identity: AgentIdentity
    let link: any HubLink
    let clock: any HostClock
    let random: any RandomSource
    let session: HubSession
    /// Made once: its public half costs as much as a signature.
    private let key: Curve25519.Signing.PrivateKey?

    init(identity: AgentIdentity, link: any HubLink, clock: any HostClock, random: any RandomSource) {
        self.identity = identity
        self.link = link
        self.clock = clock
        self.random = random
        session = HubSession(clock: clock, random: random)
        // A key that is none is told of by each request.
        key = Base64.decode(identity.privateKey).flatMap { try? Curve25519.Signing.PrivateKey(rawRepresentation: $0) }
    }

    func get(_ path: String, ifNoneMatch hash: String?, timeout: Duration) async throws -> HubReply {
        var headers: [String: String] = [:]
        if let hash { headers["If-None-Match"] = "\"\(hash)\"" }
        return try await send("GET", path, headers: headers, body: [], timeout: timeout)
    }

    func post(_ path: String, _ message: some Encodable) async throws -> JSONValue {
        let body = try WireCoding.encode(message).canonicalBytes
        let headers = ["Content-Type": "application/json"]
        let reply = try await send("POST", path, headers: headers, body: body, timeout: .seconds(15))
        guard (200..<300).contains(reply.status) else { throw Self.problem(reply) }
        return reply.body.isEmpty ? .null : try JSONParser.parse(reply.body)
    }

    private func send(
        _ method: String, _ path: String, headers: [String: String], body: [UInt8], timeout: Duration
    ) async throws -> HubReply {
        let request = HubRequest(method: method, path: path, headers: headers, body: body, timeout: timeout)
        guard let (nonce, key) = session.next() else { return try await link.exchange(try signed(request)) }
        let proof = RequestSignature.authenticate(
            method: method, path: path, body: body, nodeId: identity.nodeId, time: clock.now(), nonce: nonce, key: key)
        let reply: HubReply
        do {
            reply = try await link.exchange(Self.request(request, with: proof))
        } catch {
            if !(error is CancellationError) { session.end(nonce.session, isRefused: false) }
            throw error
        }
        guard reply.status == 401, Self.code(reply) == Problem.Code.sessionRefused.rawValue else { return reply }
        session.end(nonce.session, isRefused: true)
        return try await link.exchange(try signed(request))
    }

    /// The request with the signature of the agent's key.
    func signed(_ request: HubRequest) throws -> HubRequest {
        guard let key else { throw Problem(.internalError, "The agent's key cannot be read.") }
        let signature = try RequestSignature.sign(
            method: request.method, path: request.path, body: request.body, nodeId: identity.nodeId, time: clock.now(),
            nonce: random.hex(16), key: key)
        return Self.request(request, with: signature)
    }

    private static func request(_ request: HubRequest, with proof: RequestSignature) -> HubRequest {
        var request = request
        for (name, value) in proof.headers { request.headers[name] = value }
        return request
    }

    private static func code(_ reply: HubReply) -> String? {
        (try? JSONParser.parse(reply.body))?["code"]?.stringValue  // an answer without JSON has no code
    }

    /// The hub's own words, where it gave some.
    static func problem(_ reply: HubReply) -> Problem {
        let said = (try? JSONParser.parse(reply.body))?["error"]?.stringValue  // an answer without JSON says nothing
        let code: Problem.Code = reply.status == 401 || reply.status == 403 ? .forbidden : .unavailable
        return Problem(code, said ?? "The hub answered with status \(reply.status).")
    }
}
