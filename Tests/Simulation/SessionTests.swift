import AgentProtocol
import Crypto
import Host
import HubCore
import Model
import Synchronization
import TestSupport
import Testing

@testable import Node

/// Agents' sessions with a hub that goes and comes.
@Suite struct SessionTests {
    @Test func `agents open sessions, again after the hub's restart, and nobody speaks for them`()
        async throws
    {
        try await Simulation.withServer(seed: 5) { world, _, stack in
            world.setHostility(0.5)
            for _ in 0..<4 { world.startAgent(try await world.addMachine(stackId: stack)) }
            for _ in 0..<2 {
                try await world.clock.sleep(for: .seconds(200))
                let (all, proven) = (world.exchanges, world.sessionRequests)
                try await world.clock.sleep(for: .seconds(120))
                let (more, moreProven) = (world.exchanges - all, world.sessionRequests - proven)
                // All but what was on its way at one of the ends.
                #expect(moreProven > 10 && moreProven * 4 > more * 3, "\(moreProven) of \(more)")
                world.killHub()
            }
            // Signed, until new ones are open: an interval and a backoff later each was heard.
            let proven = world.sessionRequests
            try await world.clock.sleep(for: .seconds(2))
            let exchanges = world.exchanges
            try await world.clock.sleep(for: .seconds(20))
            #expect(world.exchanges - exchanges > 10)
            #expect(world.sessionRequests - proven < world.exchanges - exchanges)
            #expect(world.requestsWronglyTaken == 0)
            for machine in world.machines { #expect(machine.violations == []) }
            let nodes = try await world.withHub { hub in
                try await hub.list(hub.kind("node")!, as: .local).items
            }
            #expect(nodes.count == 5)
            for node in nodes { #expect(node["is_silent"] != true) }
        }
    }

    private static func withLink<Result: Sendable>(
        _ body: @escaping @Sendable (SessionLink, SignedHub, VirtualTime) async throws -> Result
    ) async throws -> Result {
        let random = SeededRandom(7)
        let clock = VirtualTime(random: random.fork())
        let link = SessionLink()
        let hub = SignedHub(
            identity: AgentIdentity(
                hubUrl: "", nodeId: "n", nodeName: "n", privateKey: Base64.encode(random.bytes(32)),
                hubPublicKey: Base64.encode(Array(link.key.publicKey.rawRepresentation))),
            link: link, clock: clock, random: random)
        return try await clock.run { try await body(link, hub, clock) }
    }

    /// What a question was proven with, each time that it was sent.
    private static func proofs(_ link: SessionLink, _ hub: SignedHub) async -> [String] {
        // What becomes of it is another matter.
        _ = try? await hub.get("/x", ifNoneMatch: nil, timeout: .seconds(1))
        return link.takeProofs()
    }

    @Test func `an agent signs until it has a session, and again when the hub does not know it or does not answer`()
        async throws
    {
        try await Self.withLink { link, hub, clock in
            func open() async throws {
                try await hub.openSessionIfDue()
                #expect(link.takeProofs() == [])
                try await clock.sleep(for: .seconds(180))
                try await hub.openSessionIfDue()
                #expect(link.takeProofs() == ["signature"])
                #expect(await Self.proofs(link, hub) == ["mac"])
            }
            try await open()
            link.behave { $0.knowsSessions = false }
            #expect(await Self.proofs(link, hub) == ["mac", "signature"])
            link.behave { $0.knowsSessions = true }
            #expect(await Self.proofs(link, hub) == ["signature"])
            try await open()
            link.behave { $0.answers = false }
            #expect(await Self.proofs(link, hub) == ["mac"])
            link.behave { $0.answers = true }
            #expect(await Self.proofs(link, hub) == ["signature"])
            try await open()
            // Another answer of 401 is about the request, and no session comes before its time.
            link.behave { $0.status = 401 }
            #expect(await Self.proofs(link, hub) == ["mac"])
            #expect(await Self.proofs(link, hub) == ["mac"])
            try await clock.sleep(for: .seconds(1700))
            try await hub.openSessionIfDue()
            #expect(link.takeProofs() == [])
            try await clock.sleep(for: .seconds(1600))
            try await hub.openSessionIfDue()
            #expect(link.takeProofs() == ["signature"])
        }
    }

    @Test func `an agent believes nobody but the hub that it joined, and leaves one alone that has no sessions`()
        async throws
    {
        try await Self.withLink { link, hub, clock in
            try await hub.openSessionIfDue()
            let alterations: [@Sendable (inout SessionResponse) -> Void] = [
                { $0.publicKey = Base64.encode([9] + [UInt8](repeating: 0, count: 31)) }, { $0.lifetimeMs += 1 },
                { $0.sessionId = "0123456789abcdef" }, { $0.signature = "" },
            ]
            for alter in alterations {
                link.behave { $0.alter = alter }
                try await clock.sleep(for: .seconds(900))
                let refused = await #expect(throws: Problem.self) { try await hub.openSessionIfDue() }
                #expect(refused?.code == .untrusted)
                #expect(link.takeProofs() == ["signature"])
                #expect(await Self.proofs(link, hub) == ["signature"])
            }
            link.behave { $0.opensSessions = false }
            try await clock.sleep(for: .seconds(900))
            await #expect(throws: Problem.self) { try await hub.openSessionIfDue() }
            try await clock.sleep(for: .seconds(299))
            try await hub.openSessionIfDue()
            #expect(link.takeProofs() == ["signature"])
        }
    }
}

/// A hub that knows sessions and nothing else.
private final class SessionLink: HubLink {
    struct Behaviour: Sendable {
        var opensSessions = true
        var knowsSessions = true
        var answers = true
        var status = 204
        var alter: @Sendable (inout SessionResponse) -> Void = { _ in }
    }

    let key = Curve25519.Signing.PrivateKey()
    private let behaviour = Mutex(Behaviour())
    private let proofs = Mutex<[String]>([])

    func behave(_ change: (inout Behaviour) -> Void) { behaviour.withLock { change(&$0) } }

    func takeProofs() -> [String] {
        proofs.withLock { proofs in
            defer { proofs = [] }
            return proofs
        }
    }

    func exchange(_ request: HubRequest) async throws -> HubReply {
        let isOfSession = request.headers[RequestSignature.macHeader] != nil
        proofs.withLock { $0.append(isOfSession ? "mac" : "signature") }
        let behaviour = behaviour.withLock { $0 }
        guard behaviour.answers else { throw Problem(.unavailable, "The hub cannot be reached.") }
        if isOfSession, !behaviour.knowsSessions {
            return HubReply(status: 401, body: Array("{\"code\":\"session_refused\"}".utf8))
        }
        guard request.path == "/api/v1/agent/sessions" else { return HubReply(status: behaviour.status, body: []) }
        guard behaviour.opensSessions else { return HubReply(status: 404, body: []) }
        let question = try WireCoding.decode(SessionRequest.self, from: try JSONParser.parse(request.body))
        let own = Curve25519.KeyAgreement.PrivateKey()
        var answer = SessionResponse(
            sessionId: "00000000000000ab", publicKey: Base64.encode(Array(own.publicKey.rawRepresentation)),
            lifetimeMs: 3_600_000, signature: "")
        let transcript = AgentSession.transcript(answer, nodeId: "n", agentKey: question.publicKey)
        answer.signature = Base64.encode(Array(try key.signature(for: transcript)))
        behaviour.alter(&answer)
        return HubReply(status: 201, body: try WireCoding.encode(answer).canonicalBytes)
    }
}
