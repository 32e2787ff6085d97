public import AgentProtocol
import Host
import HubStore
import Logging
public import Model
import ResourceKit
import Synchronization

// Nearly all heartbeats say what the one before said. Those are taken here, on whatever thread they come in and without
// a task for each: what they cost, a hub pays for each of its servers every few seconds.
extension Hub {
    /// What became of a signed heartbeat.
    public enum KnownHeartbeat: Sendable {
        case taken
        /// Nothing was done. The ordinary way decides, and has the words for it.
        case passed
        case failed(Problem)
    }

    /// Whether a heartbeat of this server may be one that says what the one before said.
    public func hearsHeartbeats(of nodeId: String) -> Bool { nodeKeys[nodeId] != nil }

    /// Takes a heartbeat that says what the one before said, if it is one and was made by its server.
    ///
    /// - Parameters:
    ///   - path: path with query, as it was sent.
    ///   - place: where the answer is heard, together with those of other servers.
    ///   - hear: is called once, at the place, when the answer is true.
    /// - Returns: whether it looks like such a heartbeat of a server that this hub knows; if not, nothing was done.
    public func takeKnownHeartbeat(
        _ signature: RequestSignature, method: String, path: String, body: [UInt8], at place: HearingPlace,
        hear: @escaping @Sendable (KnownHeartbeat) -> Void
    ) -> Bool {
        let nodeId = signature.nodeId
        // The proof first: whoever is not that server has nothing read.
        guard let known = nodeKeys[nodeId],
            isProven(signature, with: known, method: method, path: path, body: body),
            let parts = HeartbeatParts(body), contacts.isKnown(parts.lasting, nodeId: nodeId)
        else { return false }
        heartbeatGate.admit(.init(signature), store: store, clock: world.clock, at: place) { [self] verdict in
            guard case .success(.fresh) = verdict, spend(signature) == .fresh else { return { hear(.passed) } }
            let sighting = NodeContacts.Sighting(
                sequence: parts.sequence, time: world.clock.now(), machine: parts.machine, requests: parts.requests,
                traffic: parts.traffic, memoryBytes: parts.memoryBytes)
            switch contacts.take(sighting, parts.lasting, nodeId: nodeId, at: world.clock.monotonic()) {
            case .late: break
            case .known: changes.publish([HubChange(kind: "heartbeat", id: nodeId)])
            case .due:
                changes.publish([HubChange(kind: "heartbeat", id: nodeId)])
                dueNodes.mark(nodeId)
            case .news:
                Task {
                    let outcome = await takeNews(body, parts, nodeId)
                    place.run { hear(outcome) }
                }
                return nil
            }
            return { hear(.taken) }
        }
        return true
    }

    /// Something else came to be known of the server between two looks. The request cannot be sent again: it is spent.
    private func takeNews(_ body: [UInt8], _ parts: HeartbeatParts, _ nodeId: String) async -> KnownHeartbeat {
        do {
            let beat = try WireCoding.decode(Heartbeat.self, from: try JSONParser.parse(body))
            try await heartbeat(beat, parts, nodeId: nodeId)
            return .taken
        } catch {
            return .failed(Problem(wrapping: error, doing: "The heartbeat"))
        }
    }

    /// Signs of life are collected for so long, and so many are written in one transaction: others wait for it.
    private static let sightingsPause: Duration = .seconds(1)
    private static let sightingsMax = 100

    /// Writes the signs of life that the store has to hear of, those of many servers together.
    func writeSightings() async {
        while !Task.isCancelled {
            var ids = await dueNodes.next()
            // A cancelled sleep ends the loop at its head; what was heard is written before.
            try? await world.clock.sleep(for: Self.sightingsPause)
            ids += dueNodes.take()
            for start in stride(from: 0, to: ids.count, by: Self.sightingsMax) {
                await write(sightingsOf: Array(ids[start..<min(start + Self.sightingsMax, ids.count)]))
            }
        }
    }

    private func write(sightingsOf ids: [String]) async {
        let due = ids.compactMap { id in
            contacts.unwritten(id).map { (id: id, report: $0.report, sighting: $0.sighting) }
        }
        do {
            let stored = try await write { transaction in
                try due.map { entry -> Stored? in
                    // One that was removed meanwhile is nobody's news.
                    guard try transaction.get("node", entry.id) != nil else { return nil }
                    return try Self.put(entry.report, entry.sighting, nodeId: entry.id, transaction)
                }
            }
            for (entry, stored) in zip(due, stored) {
                guard let stored else {
                    contacts.forget(entry.id)
                    continue
                }
                if stored.isNews { dirtyStacks.mark(stored.stackId) }
                guard let later = stored.laterSequence, later > entry.sighting.sequence else { continue }
                contacts.raise(later, nodeId: entry.id, stackId: stored.stackId, at: world.clock.monotonic())
            }
        } catch {
            // The next heartbeat of each is written by itself, and says so when that fails.
            contacts.unstore(ids)
            logger.error("Heartbeats could not be written.", metadata: ["error": "\(error)"])
        }
    }
}
