import AgentProtocol
import Host
import HubStore
import Model
import ResourceKit
import Synchronization

/// Where an answer is heard, such as an event loop.
public struct HearingPlace: Sendable {
    let id: ObjectIdentifier
    let run: @Sendable (@escaping @Sendable () -> Void) -> Void

    /// - Parameters:
    ///   - object: stands for the place: what is heard there gets there together.
    ///   - run: runs something there, later.
    public init(_ object: AnyObject, run: @escaping @Sendable (@escaping @Sendable () -> Void) -> Void) {
        id = ObjectIdentifier(object)
        self.run = run
    }
}

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
        var place: HearingPlace?
        /// Answers what is to be done at the place.
        var hear: @Sendable (Turn) -> (@Sendable () -> Void)?
    }

    private struct State {
        var waiting: [Waiting] = []
        var isAsking = false
        var askedAt: Duration?
    }

    private let state = Mutex(State())
    private let pause: Duration
    private static let batchMax = 1_024
    /// Answers that are heard at a place in one go: what else happens there waits for them.
    private static let heardMax = 64

    /// - Parameter pause: between two transactions: a busy hub syncs its disk a few dozen times a second, and not for
    ///   each request. What comes after a quiet moment does not wait, and neither does who fills a transaction.
    init(pause: Duration) { self.pause = pause }

    /// - Throws: `storage_failed`.
    func admit(_ entry: Entry, store: any Store, clock: any HostClock) async throws -> Verdict {
        let turn = await withCheckedContinuation { continuation in
            queue(
                Waiting(entry: entry, place: nil) { turn in
                    continuation.resume(returning: turn)
                    return nil
                })
        }
        switch turn {
        case .decided(let verdict): return try verdict.get()
        case .asks: return try await ask(for: entry, store, clock)
        }
    }

    /// As ``admit(_:store:clock:)``, for callers that have no task: nearly all of them wait for one that others made.
    /// - Parameter hear: is called on any thread; what it answers is done at the place.
    func admit(
        _ entry: Entry, store: any Store, clock: any HostClock, at place: HearingPlace,
        hear: @escaping @Sendable (Result<Verdict, any Error>) -> (@Sendable () -> Void)?
    ) {
        queue(
            Waiting(entry: entry, place: place) { [self] turn in
                switch turn {
                case .decided(let verdict): return hear(verdict)
                case .asks:
                    Task {
                        let verdict: Result<Verdict, any Error>
                        do { verdict = .success(try await ask(for: entry, store, clock)) } catch {
                            verdict = .failure(error)
                        }
                        if let answer = hear(verdict) { place.run(answer) }
                    }
                    return nil
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
        if asks { _ = waiting.hear(.asks) }
    }

    private func ask(for entry: Entry, _ store: any Store, _ clock: any HostClock) async throws -> Verdict {
        let rest = state.withLock { state in
            guard let askedAt = state.askedAt, state.waiting.count < Self.batchMax - 1 else { return Duration.zero }
            return pause - (clock.monotonic() - askedAt)
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
        _ = next?.hear(.asks)
        Self.tell(others, verdicts.map { $0.dropFirst() })
        return try verdicts.get()[0]
    }

    /// Those that are heard at one place get there together, so that it is woken for all of them and not for each.
    private static func tell(_ others: [Waiting], _ verdicts: Result<ArraySlice<Verdict>, any Error>) {
        var groups: [ObjectIdentifier: (place: HearingPlace, answers: [@Sendable () -> Void])] = [:]
        for (index, other) in others.enumerated() {
            let answer = other.hear(.decided(verdicts.map { $0[$0.startIndex + index] }))
            guard let answer, let place = other.place else { continue }
            groups[place.id, default: (place, [])].answers.append(answer)
        }
        for (place, answers) in groups.values {
            for start in stride(from: 0, to: answers.count, by: heardMax) {
                let part = answers[start..<min(start + heardMax, answers.count)]
                place.run { for answer in part { answer() } }
            }
        }
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
