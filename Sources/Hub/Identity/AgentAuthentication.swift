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

    /// Verifies the signature of an agent's request and that its nonce was never seen before, also not before a restart
    /// of the hub.
    ///
    /// - Parameters:
    ///   - known: what ``nodeKey(_:)`` answered for the node that the request names.
    ///   - path: path with query, as it was sent.
    /// - Returns: the id of the node.
    /// - Throws: `unauthenticated`; `storage_failed`.
    public func authenticateAgent(
        _ signature: RequestSignature, with known: NodeKey?, method: String, path: String, body: [UInt8]
    ) async throws -> String {
        guard let known, known.nodeId == signature.nodeId,
            signature.isValid(method: method, path: path, body: body, now: world.clock.now(), key: known.key)
        else { throw Self.refusedAgent }
        switch try await gate.admit(.init(signature), store: store, clock: world.clock) {
        case .fresh: break
        case .repeated: throw Problem(.unauthenticated, "This signed request was received before.")
        case .unknownNode:
            nodeKeys.forget(known.nodeId)
            throw Self.refusedAgent
        }
        return signature.nodeId
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
