import AgentProtocol
import Crypto
import Host
import Model
import Synchronization

/// The session that an agent has with its hub, if any, and when it opens the next one.
///
/// Whatever is in doubt ends it: a request without an answer may mean a hub that was restarted. Requests are signed
/// until the next session is open, and that is one to three minutes later: a hub that comes back to a whole fleet hears
/// all of it again before it is asked for sessions, and not for thousands at once.
final class HubSession: Sendable {
    /// An agent that starts waits for a random part of this.
    private static let firstPause: Duration = .seconds(60)
    /// After a session that broke, at least and at most.
    private static let pauseMin: Duration = .seconds(60)
    private static let pauseMax: Duration = .seconds(180)
    /// After a hub that opened none: one of an earlier version, or one with too many.
    private static let failurePause: Duration = .seconds(600)
    private static let refusalsMax = 6

    private struct State {
        var session: AgentSession?
        var number: UInt64 = 0
        var opensAt: Duration?
        /// How many sessions in a row the hub did not know, e.g. because another hub answers each time.
        var refusals = 0
    }

    private let state = Mutex(State())
    private let clock: any HostClock
    private let random: any RandomSource

    init(clock: any HostClock, random: any RandomSource) {
        self.clock = clock
        self.random = random
    }

    /// What the next request is proven with; nil when it has to be signed.
    func next() -> (nonce: SessionNonce, key: SymmetricKey)? {
        state.withLock { state in
            guard let session = state.session else { return nil }
            state.number += 1
            return (SessionNonce(session: session.id, number: state.number), session.key)
        }
    }

    /// Whether it is time to open one.
    func isDue() -> Bool {
        let now = clock.monotonic()
        let first = now + Self.firstPause * random.unit()
        return state.withLock { state in
            guard let opensAt = state.opensAt else {
                state.opensAt = first
                return false
            }
            return now >= opensAt
        }
    }

    func opened(_ session: AgentSession, lifetime: Duration) {
        // Before its end, and not all at once.
        let next = clock.monotonic() + lifetime * (0.5 + 0.4 * random.unit())
        state.withLock { state in
            if state.session != nil { state.refusals = 0 }
            state.session = session
            state.number = 0
            state.opensAt = next
        }
    }

    /// Notes that none could be opened. What is open goes on until the hub does not know it any more.
    func failed() {
        let next = clock.monotonic() + Self.failurePause * (0.5 + random.unit())
        state.withLock { $0.opensAt = next }
    }

    /// Ends the session that a request was proven with.
    /// - Parameter isRefused: the hub said that it does not know it.
    func end(_ id: UInt64, isRefused: Bool) {
        let pause = Self.pauseMin + (Self.pauseMax - Self.pauseMin) * random.unit()
        let now = clock.monotonic()
        state.withLock { state in
            guard state.session?.id == id else { return }
            state.session = nil
            if isRefused { state.refusals = min(state.refusals + 1, Self.refusalsMax) }
            state.opensAt = now + pause * (1 << max(0, state.refusals - 1))
        }
    }
}

extension SignedHub {
    /// Opens a session when it is time. Without one, requests are signed: nothing depends on it.
    func openSessionIfDue() async throws {
        guard session.isDue() else { return }
        do {
            let own = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: random.bytes(32))
            let agentKey = Base64.encode(Array(own.publicKey.rawRepresentation))
            let body = try WireCoding.encode(SessionRequest(publicKey: agentKey)).canonicalBytes
            let request = HubRequest(
                method: "POST", path: "/api/v1/agent/sessions", headers: ["Content-Type": "application/json"],
                body: body, timeout: .seconds(5))
            let reply = try await link.exchange(try signed(request))
            guard reply.status == 201 else { throw Self.problem(reply) }
            let answer = try WireCoding.decode(SessionResponse.self, from: try JSONParser.parse(reply.body))
            session.opened(
                try agreed(answer, own: own, agentKey: agentKey), lifetime: .milliseconds(answer.lifetimeMs))
        } catch let error as CancellationError {
            throw error
        } catch {
            session.failed()
            throw error
        }
    }

    /// - Throws: `untrusted` for an answer that is not of the pinned hub, or for another question.
    private func agreed(
        _ answer: SessionResponse, own: Curve25519.KeyAgreement.PrivateKey, agentKey: String
    ) throws -> AgentSession {
        let transcript = AgentSession.transcript(answer, nodeId: identity.nodeId, agentKey: agentKey)
        guard let rawKey = Base64.decode(identity.hubPublicKey), let raw = Base64.decode(answer.signature),
            let hubKey = try? Curve25519.Signing.PublicKey(rawRepresentation: rawKey),  // what is no key signs nothing
            hubKey.isValidSignature(raw, for: transcript), answer.lifetimeMs > 0
        else { throw Problem(.untrusted, "The session is not signed by the hub that this agent joined.") }
        return try AgentSession(
            id: answer.sessionId, own: own, agentKey: agentKey, hubKey: answer.publicKey, nodeId: identity.nodeId)
    }
}
