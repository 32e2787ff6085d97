public import AgentProtocol
import Crypto
import Host
import HubStore
import Logging
public import Model
import ResourceKit

extension Hub {
    /// The answer to a request that no known server signed.
    public static let refusedAgent = Problem(
        .unauthenticated, "The request is not signed by a server that this hub knows.",
        hint: "If the server was removed, join it again with a new install token.")

    /// The answer to a request of a session that this hub does not have: it may be sent again, signed.
    public static let refusedSession = Problem(.sessionRefused, "The session is not known here; sign the request.")

    /// Verifies what proves an agent's request, and that it was never received before, also not before a restart of the
    /// hub.
    ///
    /// - Parameters:
    ///   - known: what ``nodeKey(_:)`` answered for the node that the request names.
    ///   - path: path with query, as it was sent.
    /// - Returns: the id of the node.
    /// - Throws: `unauthenticated`; `session_refused`; `storage_failed`.
    public func authenticateAgent(
        _ signature: RequestSignature, with known: NodeKey?, method: String, path: String, body: [UInt8]
    ) async throws -> String {
        guard let known, known.nodeId == signature.nodeId else { throw Self.refusedAgent }
        guard isProven(signature, with: known, method: method, path: path, body: body) else {
            throw signature.isOfSession ? Self.refusedSession : Self.refusedAgent
        }
        switch try await gate.admit(.init(signature), store: store, clock: world.clock) {
        case .fresh: break
        case .repeated: throw Self.repeatedRequest
        case .unknownNode:
            nodeKeys.forget(known.nodeId)
            sessions.end(known.nodeId)
            throw Self.refusedAgent
        }
        switch spend(signature) {
        case .fresh: return signature.nodeId
        case .repeated: throw Self.repeatedRequest
        case .ended: throw Self.refusedSession
        }
    }

    private static let repeatedRequest = Problem(.unauthenticated, "This signed request was received before.")

    /// Whether a request was made by who has the server's key, or the key of a session that was opened with that one.
    func isProven(
        _ signature: RequestSignature, with known: NodeKey, method: String, path: String, body: [UInt8]
    ) -> Bool {
        let now = world.clock.now()
        switch signature.proof {
        case .signature:
            return signature.isValid(method: method, path: path, body: body, now: now, key: known.key)
        case .sessionMAC:
            guard let nonce = SessionNonce(signature.nonce),
                let key = sessions.key(nonce.session, nodeId: signature.nodeId, at: world.clock.monotonic())
            else { return false }
            return signature.isValid(method: method, path: path, body: body, now: now, key: key)
        }
    }

    /// Lets a request of a session through once. The one who looks after the others is ``SignedRequestGate``, which has
    /// to agree before: what it refuses is not spent, and may be looked at once more.
    func spend(_ signature: RequestSignature) -> AgentSessions.Verdict {
        guard signature.isOfSession else { return .fresh }
        guard let nonce = SessionNonce(signature.nonce) else { return .ended }
        return sessions.spend(nonce, nodeId: signature.nodeId)
    }
}

extension RequestSignature {
    /// Proven by a session's key.
    public var isOfSession: Bool {
        if case .sessionMAC = proof { true } else { false }
    }
}

// Tokens are too long to be guessed; this keeps a flood of guesses from costing database reads.
extension Hub {
    /// - Throws: `rate_limited` after too many refused registrations from an address.
    public func admitRegistration(address: String) throws {
        try loginLimits.admit(account: "install from \(address)", address: address, at: world.clock.monotonic())
    }

    /// Counts a refused registration against its address.
    public func noteRefusedRegistration(address: String) {
        loginLimits.noteFailure(account: "install from \(address)", address: address, at: world.clock.monotonic())
    }
}
