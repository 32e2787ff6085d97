import AgentProtocol
import Host
import HubCore
import Model
import Node
import Synchronization

/// The way between agents and the hub: it delays, loses, repeats and reorders, and can be cut per server.
final class SimulatedNetwork: Sendable {
    struct Weather: Sendable {
        var latencyMax: Duration = .milliseconds(40)
        var lossProbability = 0.0
        var repeatProbability = 0.0
    }

    private struct State {
        var weather = Weather()
        var cut: Set<String> = []
        var hub: Hub?
        var exchanges = 0
        var replaysAccepted = 0
        var forgeriesAccepted = 0
        var sessionRequests = 0
        /// The server of the last proven request.
        var lastNode = ""
        /// FNV-1a, 64 bits.
        var trace: UInt64 = 0xCBF2_9CE4_8422_2325
    }

    private let state = Mutex(State())
    let clock: VirtualTime
    let random: SeededRandom

    init(clock: VirtualTime, random: SeededRandom) {
        self.clock = clock
        self.random = random
    }

    /// The hub that answers; nil while it is down.
    func setHub(_ hub: Hub?) { state.withLock { $0.hub = hub } }
    func setWeather(_ weather: Weather) { state.withLock { $0.weather = weather } }
    func cut(_ machine: String) { _ = state.withLock { $0.cut.insert(machine) } }
    func heal(_ machine: String) { _ = state.withLock { $0.cut.remove(machine) } }
    var exchanges: Int { state.withLock { $0.exchanges } }
    var trace: UInt64 { state.withLock { $0.trace } }
    /// Repeated requests that the hub let through; must stay 0.
    var replaysAccepted: Int { state.withLock { $0.replaysAccepted } }
    /// Requests that were altered on the way and let through; must stay 0.
    var forgeriesAccepted: Int { state.withLock { $0.forgeriesAccepted } }
    /// Requests that were proven by a session and let through.
    var sessionRequests: Int { state.withLock { $0.sessionRequests } }

    func deliver(_ request: HubRequest, from machine: String) async throws -> HubReply {
        let now = clock.monotonic().milliseconds
        let weather = state.withLock { state in
            state.exchanges += 1
            for byte in "\(now) \(machine) \(request.method) \(request.path)".utf8 {
                state.trace = (state.trace ^ UInt64(byte)) &* 0x100_0000_01B3
            }
            return state.weather
        }
        func travel() async throws {
            try await clock.sleep(for: weather.latencyMax * random.unit())
            let isLost =
                state.withLock { $0.cut.contains(machine) || $0.hub == nil } || random.chance(weather.lossProbability)
            if isLost {
                try await clock.sleep(for: .milliseconds(500))
                throw Problem(.unavailable, "The hub cannot be reached.")
            }
        }
        try await travel()
        guard let hub = state.withLock({ $0.hub }) else { throw Problem(.unavailable, "The hub cannot be reached.") }
        let reply = try await answer(request, hub)
        if request.headers[RequestSignature.macHeader] != nil, reply.status < 400 {
            state.withLock { $0.sessionRequests += 1 }
        }
        if random.chance(weather.repeatProbability), request.headers[RequestSignature.nonceHeader] != nil {
            try await clock.sleep(for: weather.latencyMax * random.unit())
            if let hub = state.withLock({ $0.hub }), try await answer(request, hub).status != 401 {
                state.withLock { $0.replaysAccepted += 1 }
            }
            let forgery = forgery(of: request)
            if let hub = state.withLock({ $0.hub }), try await answer(forgery, hub).status != 401 {
                state.withLock { $0.forgeriesAccepted += 1 }
            }
        }
        try await travel()
        return reply
    }

    /// What somebody on the way can make of a request without any key.
    private func forgery(of request: HubRequest) -> HubRequest {
        var request = request
        let headers = request.headers
        let other = state.withLock { state in
            defer { state.lastNode = headers[RequestSignature.nodeHeader] ?? "" }
            return state.lastNode
        }
        let isOfSession = headers[RequestSignature.macHeader] != nil
        let proof = isOfSession ? RequestSignature.macHeader : RequestSignature.signatureHeader
        let nonce = headers[RequestSignature.nonceHeader]!
        // One that was not used yet, and is the next of a session's.
        let fresh = SessionNonce(nonce).map { SessionNonce(session: $0.session, number: $0.number &+ 1).text }
        request.headers[RequestSignature.nonceHeader] = fresh ?? nonce
        switch random.below(6) {
        case 0: request.body.append(UInt8(ascii: " "))
        case 1:
            if other != headers[RequestSignature.nodeHeader] { request.headers[RequestSignature.nodeHeader] = other }
        case 2: request.headers[proof] = headers[proof].map { String($0.prefix(4 * random.below(11))) }
        case 3: request.headers[proof] = Base64.encode(random.bytes(isOfSession ? 32 : 64))
        case 4: request.path += "&"
        default:
            // The right proof under the other name.
            request.headers[proof] = nil
            request.headers[isOfSession ? RequestSignature.signatureHeader : RequestSignature.macHeader] =
                headers[proof]
        }
        return request
    }

    /// A hub that dies in the middle answers nothing.
    private func answer(_ request: HubRequest, _ hub: Hub) async throws -> HubReply {
        do {
            let reply = try await AgentRequests.answer(request, hub)
            guard state.withLock({ $0.hub === hub }) else { throw Problem(.unavailable, "The hub went away.") }
            return reply
        } catch is PowerCut {
            throw Problem(.unavailable, "The hub went away.")
        }
    }
}

struct SimulatedLink: HubLink {
    let network: SimulatedNetwork
    let machine: String
    func exchange(_ request: HubRequest) async throws -> HubReply { try await network.deliver(request, from: machine) }
}

/// The agent endpoints without HTTP around them.
private enum AgentRequests {
    static func answer(_ request: HubRequest, _ hub: Hub) async throws -> HubReply {
        do {
            return try await route(request, hub)
        } catch let problem as Problem {
            let status =
                [.unauthenticated, .sessionRefused].contains(problem.code)
                ? 401 : problem.code == .forbidden ? 403 : 400
            let body: JSONValue = ["error": .string(problem.message), "code": .string(problem.code.rawValue)]
            return HubReply(status: status, body: body.canonicalBytes)
        }
    }

    private static func route(_ request: HubRequest, _ hub: Hub) async throws -> HubReply {
        let parts = request.path.split(separator: "?", maxSplits: 1)
        if parts[0] == "/api/v1/agent/register" {
            let message = try WireCoding.decode(RegisterRequest.self, from: try JSONParser.parse(request.body))
            return reply(try WireCoding.encode(try await hub.register(message, address: "simulated")))
        }
        let headers = request.headers
        guard let signature = RequestSignature(header: { headers[$0] }) else {
            throw Problem(.unauthenticated, "The request is not signed.")
        }
        let key = try await hub.nodeKey(signature.nodeId)
        let node = try await hub.authenticateAgent(
            signature, with: key, method: request.method, path: request.path, body: request.body)
        switch parts[0] {
        case "/api/v1/agent/sessions":
            guard !signature.isOfSession else { throw Hub.refusedSession }
            let answer = try await hub.openSession(try decode(SessionRequest.self, request), nodeId: node)
            return HubReply(status: 201, body: try WireCoding.encode(answer).canonicalBytes)
        case "/api/v1/agent/desired-state":
            let wait = parts.count > 1 ? Int(parts[1].dropFirst("wait=".count)) ?? 0 : 0
            let known = headers["If-None-Match"]?.filter { $0 != "\"" } ?? ""
            let envelope = try await hub.waitForChange(nodeId: node, hash: known, wait: .seconds(wait))
            return envelope.map { reply($0.json) } ?? HubReply(status: 304, body: [])
        case "/api/v1/agent/heartbeat":
            try await hub.heartbeat(try decode(Heartbeat.self, request), nodeId: node)
            return HubReply(status: 204, body: [])
        case "/api/v1/agent/events":
            let receipt = try await hub.receive(try decode(EventBatch.self, request), nodeId: node)
            return reply(try WireCoding.encode(receipt))
        case "/api/v1/agent/logs":
            try await hub.receive(try decode(LogBatch.self, request), nodeId: node)
            return HubReply(status: 204, body: [])
        case let path where path.hasPrefix("/api/v1/agent/uploads/"):
            let query = parts.count > 1 ? parts[1].split(separator: "&") : []
            let offset = query.first { $0.hasPrefix("offset=") }.flatMap { Int64($0.dropFirst("offset=".count)) }
            let bytes = try await hub.upload(
                String(path.split(separator: "/").last ?? ""), offset: offset ?? 0, count: 1024, nodeId: node)
            return HubReply(status: 200, body: bytes)
        default: return HubReply(status: 404, body: [])
        }
    }

    private static func decode<Value: Decodable>(_ type: Value.Type, _ request: HubRequest) throws -> Value {
        try WireCoding.decode(type, from: try JSONParser.parse(request.body))
    }

    private static func reply(_ value: JSONValue) -> HubReply { HubReply(status: 200, body: value.canonicalBytes) }
}
