import AgentProtocol
import HTTPTypes
import HubCore
import Hummingbird
import Model

/// What agents ask. Everything but registration is signed with the node's key.
extension HubAPI {
    /// Logs come in larger pieces than other messages, in bytes.
    private static let logBatchBytesMax = 4_194_304

    func agentEndpoints() -> [Endpoint] {
        [
            agent(.post, "register", access: .anyone, "Exchange an install token for an identity.") {
                try await register($0)
            },
            agent(.post, "sessions", "Open a session, whose requests are proven without a signature.") { request in
                // A session does not open the next one: it would outlive the signature without an end.
                guard RequestSignature(request.request.headers)?.isOfSession != true else { throw Hub.refusedSession }
                let (nodeId, body) = try await verified(request, limit: 1024)
                let message = try WireCoding.decode(SessionRequest.self, from: body)
                return Answers.json(
                    try WireCoding.encode(try await hub.openSession(message, nodeId: nodeId)), status: .created)
            },
            agent(.get, "desired-state", "Read what this server should run; waits for a change with ?wait=SECONDS.") {
                try await desiredState($0)
            },
            agent(.post, "heartbeat", "Report how the server does.") { request in
                let (nodeId, bytes) = try await verifiedBytes(request)
                let beat = try WireCoding.decode(Heartbeat.self, from: try Self.json(bytes))
                try await hub.heartbeat(beat, HeartbeatParts(bytes), nodeId: nodeId)
                return Answers.empty(.noContent)
            },
            agent(.post, "events", "Deliver events, in order.") { request in
                let (nodeId, body) = try await verified(request)
                let receipt = try await hub.receive(try WireCoding.decode(EventBatch.self, from: body), nodeId: nodeId)
                return Answers.json(try WireCoding.encode(receipt))
            },
            agent(.get, "uploads/{id}", "Read a piece of an upload that this server is to run.") { request in
                let (nodeId, _) = try await verified(request)
                return try await uploadPiece(request, nodeId: nodeId)
            },
            agent(.post, "logs", "Deliver output of builds and services.") { request in
                let (nodeId, body) = try await verified(request, limit: Self.logBatchBytesMax)
                try await hub.receive(try WireCoding.decode(LogBatch.self, from: body), nodeId: nodeId)
                return Answers.empty(.noContent)
            },
        ]
    }

    private func agent(
        _ method: HTTPRequest.Method, _ name: String, access: Endpoint.Access = .signature, _ summary: String,
        _ handle: @escaping @Sendable (APIRequest) async throws -> Response
    ) -> Endpoint {
        var operation = Operation(id: "agent-\(name)", tag: "agent", summary: summary)
        operation.isHidden = true
        return Endpoint(
            method: method, path: "\(Self.base)/agent/\(name)", access: access, operation: operation, handle: handle)
    }

    /// The node that signed the request, and its body.
    private func verified(
        _ request: APIRequest, limit: Int = APIRequest.bodyBytesMax
    ) async throws -> (nodeId: String, body: JSONValue) {
        let (nodeId, bytes) = try await verifiedBytes(request, limit: limit)
        return (nodeId, try Self.json(bytes))
    }

    private static func json(_ bytes: [UInt8]) throws -> JSONValue {
        bytes.isEmpty ? .null : try JSONParser.parse(bytes)
    }

    private func verifiedBytes(
        _ request: APIRequest, limit: Int = APIRequest.bodyBytesMax
    ) async throws -> (nodeId: String, body: [UInt8]) {
        guard let signature = RequestSignature(request.request.headers) else {
            throw Problem(.unauthenticated, "The request is not signed.")
        }
        // Asked before the body is read: a stranger gets no memory.
        guard let key = try await hub.nodeKey(signature.nodeId) else { throw Hub.refusedAgent }
        let body = try await request.body(limit: limit)
        let nodeId = try await hub.authenticateAgent(
            signature, with: key, method: request.request.method.rawValue, path: request.request.uri.string, body: body)
        return (nodeId, body)
    }

    private func register(_ request: APIRequest) async throws -> Response {
        try hub.admitRegistration(address: request.address)
        let message = try WireCoding.decode(RegisterRequest.self, from: try await request.json(limit: 16_384))
        do {
            let answer = try await hub.register(message, address: request.address)
            return Answers.json(try WireCoding.encode(answer), status: .created)
        } catch let problem as Problem where problem.code == .unauthenticated || problem.code == .forbidden {
            hub.noteRefusedRegistration(address: request.address)
            throw problem
        }
    }

    private func desiredState(_ request: APIRequest) async throws -> Response {
        let (nodeId, _) = try await verified(request)
        let wait = try request.query.integer("wait", in: 0...60, default: 0)
        let known = (request.request.headers[.ifNoneMatch] ?? "").filter { $0 != "\"" }
        let envelope: DesiredStateEnvelope?
        if known.isEmpty {
            envelope = try await hub.desiredState(nodeId: nodeId)
        } else {
            envelope = try await hub.waitForChange(nodeId: nodeId, hash: known, wait: .seconds(wait))
        }
        guard let envelope, envelope.hash != known else {
            return Answers.empty(.notModified, headers: [.eTag: "\"\(known)\""])
        }
        return Answers.json(envelope.json, headers: [.eTag: "\"\(envelope.hash)\""])
    }
}
