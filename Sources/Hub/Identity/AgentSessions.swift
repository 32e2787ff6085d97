public import AgentProtocol
import Crypto
import Host
import HubStore
import Model
import ResourceKit
import Synchronization

/// Sessions that agents opened with this hub. They end with the process, so that a request of theirs can be let through
/// once without the store: no other hub, and none after this one, knows what it is proven with.
final class AgentSessions: Sendable {
    static let lifetime: Duration = .seconds(3600)
    /// As many servers as keys are kept of; the others go on with signatures.
    private static let nodesMax = 65_536
    /// What is under way when an agent opens the next one still counts.
    private static let perNodeMax = 2

    private struct Session {
        var id: UInt64
        var key: SymmetricKey
        var expiresAt: Duration
        var numbers = ReplayWindow()
    }

    enum Verdict { case fresh, repeated, ended }

    private let sessions = Mutex<[String: [Session]]>([:])

    /// Keeps a session that was just agreed on.
    /// - Returns: false when there are too many.
    func keep(_ session: AgentSession, nodeId: String, at now: Duration) -> Bool {
        sessions.withLock { sessions in
            if sessions[nodeId] == nil, sessions.count >= Self.nodesMax {
                sessions = sessions.filter { $0.value.contains { $0.expiresAt > now } }
                if sessions.count >= Self.nodesMax { return false }
            }
            let former = (sessions[nodeId] ?? []).filter { $0.expiresAt > now && $0.id != session.id }
            sessions[nodeId] =
                former.suffix(Self.perNodeMax - 1)
                + [Session(id: session.id, key: session.key, expiresAt: now + Self.lifetime)]
            return true
        }
    }

    /// What requests of a server's session are proven with; nil when there is no such session.
    func key(_ id: UInt64, nodeId: String, at now: Duration) -> SymmetricKey? {
        sessions.withLock { sessions in
            sessions[nodeId]?.first { $0.id == id && $0.expiresAt > now }?.key
        }
    }

    /// Lets each request of a session through once.
    func spend(_ nonce: SessionNonce, nodeId: String) -> Verdict {
        sessions.withLock { sessions in
            guard let index = sessions[nodeId]?.firstIndex(where: { $0.id == nonce.session }) else { return .ended }
            return sessions[nodeId]![index].numbers.take(nonce.number)
        }
    }

    /// Ends what a server that was removed has open.
    func end(_ nodeId: String) { _ = sessions.withLock { $0.removeValue(forKey: nodeId) } }
}

/// Numbers that were taken: the highest, and which of those just below it (as RFC 4303 section 3.4.3 has it).
struct ReplayWindow {
    private static let width: UInt64 = 256
    private var highest: UInt64 = 0
    /// Bit `n` of the whole: `highest - n` was taken.
    private var words: (UInt64, UInt64, UInt64, UInt64) = (0, 0, 0, 0)

    /// What is below the window may have been taken: it counts as ended, so that its sender proves it in another way.
    mutating func take(_ number: UInt64) -> AgentSessions.Verdict {
        guard number > 0 else { return .ended }
        if number > highest {
            shift(by: number - highest)
            highest = number
            words.0 |= 1
            return .fresh
        }
        let distance = highest - number
        guard distance < Self.width else { return .ended }
        let bit: UInt64 = 1 << (distance % 64)
        return withUnsafeMutableBytes(of: &words) { bytes in
            let words = bytes.bindMemory(to: UInt64.self)
            let place = Int(distance / 64)
            guard words[place] & bit == 0 else { return .repeated }
            words[place] |= bit
            return .fresh
        }
    }

    private mutating func shift(by count: UInt64) {
        guard count < Self.width else { return words = (0, 0, 0, 0) }
        for _ in 0..<(count / 64) { words = (0, words.0, words.1, words.2) }
        let bits = count % 64
        guard bits > 0 else { return }
        let rest = 64 - bits
        words = (
            words.0 << bits, words.1 << bits | words.0 >> rest, words.2 << bits | words.1 >> rest,
            words.3 << bits | words.2 >> rest
        )
    }
}

// Opening sessions.
extension Hub {
    /// Agrees on a session with a server whose signature was verified.
    ///
    /// - Throws: `invalid` for a key that is none; `unavailable` when too many sessions are open; `storage_failed`.
    public func openSession(_ request: SessionRequest, nodeId: String) async throws -> SessionResponse {
        let own = try Curve25519.KeyAgreement.PrivateKey(rawRepresentation: world.random.bytes(32))
        var response = SessionResponse(
            sessionId: world.random.hex(8), publicKey: Base64.encode(Array(own.publicKey.rawRepresentation)),
            lifetimeMs: AgentSessions.lifetime.milliseconds, signature: "")
        let session: AgentSession
        do {
            session = try AgentSession(
                id: response.sessionId, own: own, agentKey: request.publicKey, hubKey: response.publicKey,
                nodeId: nodeId)
        } catch {
            throw Problem.invalid("public_key", "must be an X25519 public key in base64")
        }
        let transcript = AgentSession.transcript(response, nodeId: nodeId, agentKey: request.publicKey)
        response.signature = Base64.encode(Array(try await sessionSigningKey().signature(for: transcript)))
        guard sessions.keep(session, nodeId: nodeId, at: world.clock.monotonic()) else {
            throw Problem(.unavailable, "Too many sessions are open.", hint: "Requests that are signed are taken.")
        }
        return response
    }

    /// Read once: it never changes, and to unseal it costs more than all else here.
    private func sessionSigningKey() async throws -> Curve25519.Signing.PrivateKey {
        if let key = sessionKey.withLock({ $0 }) { return key }
        guard let key = try await store.read({ [self] in try signingKey($0) }) else {
            throw Problem(.internalError, "The hub has no signing key.")
        }
        sessionKey.withLock { $0 = key }
        return key
    }
}
