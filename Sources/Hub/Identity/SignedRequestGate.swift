import AgentProtocol
import Host
import HubStore
import Model
import ResourceKit
import Synchronization

/// Lets each signed request through once, and only those of servers that are still known. Requests that arrive close to
/// each other share one transaction; the store decides, so that the answer also holds after a restart and for other
/// hubs on the same database.
final class SignedRequestGate: Sendable {
    struct Entry: Sendable {
        var nodeId: String
        /// What makes the request this one, in text that the store can keep. Nil for one of a session, whose numbers
        /// are looked after where the session is.
        var nonce: String?

        init(_ signature: RequestSignature) {
            nodeId = signature.nodeId
            if signature.isOfSession { return }
            // The time comes first, so that the store writes new nonces beside each other. It is signed, too: what is
            // sent again has the same.
            nonce = "\(signature.timeMs) \(signature.nodeId) \(signature.nonce.lowercased())"
        }
    }

    enum Verdict: Sendable {
        case fresh
        /// It was received before.
        case repeated
        /// The server was removed.
        case unknownNode
    }

    /// What a waiting request hears.
    private enum Turn {
        case decided(Result<Verdict, any Error>)
        /// It asks the store next, for itself and those that wait behind it.
        case asks
    }

    private struct Waiting {
        var entry: Entry
        var hear: @Sendable (Turn) -> Void
    }

    private struct State {
        var waiting: [Waiting] = []
        var isAsking = false
        var askedAt: Duration?
    }

    private let state = Mutex(State())
    /// Between two transactions: a busy hub syncs its disk a few dozen times a second, and not for each request. What
    /// comes after a quiet moment does not wait.
    private static let pause: Duration = .milliseconds(50)
    private static let batchMax = 256

    /// - Throws: `storage_failed`.
    func admit(_ entry: Entry, store: any Store, clock: any HostClock) async throws -> Verdict {
        let turn = await withCheckedContinuation { continuation in
            queue(Waiting(entry: entry) { continuation.resume(returning: $0) })
        }
        switch turn {
        case .decided(let verdict): return try verdict.get()
        case .asks: return try await ask(for: entry, store, clock)
        }
    }

    /// As ``admit(_:store:clock:)``, for callers that have no task: nearly all of them wait for one that others made.
    /// - Parameter hear: is called on any thread.
    func admit(
        _ entry: Entry, store: any Store, clock: any HostClock,
        hear: @escaping @Sendable (Result<Verdict, any Error>) -> Void
    ) {
        queue(
            Waiting(entry: entry) { [self] turn in
                switch turn {
                case .decided(let verdict): hear(verdict)
                case .asks:
                    Task {
                        do { hear(.success(try await ask(for: entry, store, clock))) } catch { hear(.failure(error)) }
                    }
                }
            })
    }

    private func queue(_ waiting: Waiting) {
        let asks = state.withLock { state in
            guard state.isAsking else {
                state.isAsking = true
                return true
            }
            state.waiting.append(waiting)
            return false
        }
        if asks { waiting.hear(.asks) }
    }

    private func ask(for entry: Entry, _ store: any Store, _ clock: any HostClock) async throws -> Verdict {
        let rest = state.withLock { state in
            state.askedAt.map { Self.pause - (clock.monotonic() - $0) } ?? .zero
        }
        // Whoever gave up waiting for this answer still has to ask for the others.
        if rest > .zero { try? await clock.sleep(for: rest) }
        let others = state.withLock { state in
            state.askedAt = clock.monotonic()
            let others = Array(state.waiting.prefix(Self.batchMax - 1))
            state.waiting.removeFirst(others.count)
            return others
        }
        let verdicts: Result<[Verdict], any Error>
        do {
            verdicts = .success(try await Self.decide([entry] + others.map(\.entry), store))
        } catch {
            verdicts = .failure(error)
        }
        let next = state.withLock { state in
            state.isAsking = !state.waiting.isEmpty
            return state.isAsking ? state.waiting.removeFirst() : nil
        }
        next?.hear(.asks)
        for (index, other) in others.enumerated() { other.hear(.decided(verdicts.map { $0[index + 1] })) }
        return try verdicts.get()[0]
    }

    private static func decide(_ entries: [Entry], _ store: any Store) async throws -> [Verdict] {
        let nodeIds = Set(entries.map(\.nodeId))
        // Nothing is written for those of sessions, and nothing waits for the disk.
        if entries.allSatisfy({ $0.nonce == nil }) {
            let speaking = try await store.read { try speakingNodes(nodeIds, $0) }
            return entries.map { speaking.contains($0.nodeId) ? .fresh : .unknownNode }
        }
        return try await store.write { transaction in
            let speaking = try speakingNodes(nodeIds, transaction)
            let known = Set(entries.lazy.filter { speaking.contains($0.nodeId) }.compactMap(\.nonce))
            // What is taken out is not there for an equal request of the same batch.
            var fresh = try transaction.insertCells(
                "nonce", known.sorted(), expires: transaction.now.advanced(by: RequestSignature.window * 2))
            return entries.map { entry in
                guard speaking.contains(entry.nodeId) else { return .unknownNode }
                guard let nonce = entry.nonce else { return .fresh }
                return fresh.remove(nonce) == nil ? .repeated : .fresh
            }
        }
    }

    /// Those of the nodes that may still say something.
    private static func speakingNodes(
        _ ids: Set<String>, _ transaction: any StoreTransaction
    ) throws -> Set<String> {
        var speaking: Set<String> = []
        for (id, status) in try transaction.statuses("node", ids.sorted()) {
            // One that is being retired still reports what it has stopped; few are.
            let isSpeaking = try status != .deleting || transaction.get("node", id).map(Hub.maySpeak) == true
            if isSpeaking, status != .deleted { speaking.insert(id) }
        }
        return speaking
    }
}

/// Keys of servers that spoke lately. The key of a server never changes while it is there; that it is still there is
/// what ``SignedRequestGate`` asks for each request.
final class NodeKeys: Sendable {
    private static let keysMax = 65_536
    private let keys = Mutex<[String: NodeKey]>([:])

    subscript(_ nodeId: String) -> NodeKey? { keys.withLock { $0[nodeId] } }

    func keep(_ key: NodeKey) {
        keys.withLock { keys in
            if keys.count >= Self.keysMax { keys = [:] }
            keys[key.nodeId] = key
        }
    }

    func forget(_ nodeId: String) { _ = keys.withLock { $0.removeValue(forKey: nodeId) } }
}
