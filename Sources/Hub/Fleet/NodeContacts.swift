import AgentProtocol
import Host
import Model
import Synchronization

/// What every server said last. Most heartbeats say what the one before said; those end here, in memory, and the store
/// gets one a minute. Lost with the process: a hub that starts gives each server the time to be heard of again.
///
/// Several hubs may share a database, and each hears some of the servers. What another hub hears shows in the store, as
/// a higher number of the last heartbeat, once per ``storePause``: such a server is waited for that much longer.
final class NodeContacts: Sendable {
    /// What a heartbeat says that is more than a sign of life.
    struct Report: Equatable, Sendable {
        var services: JSONValue
        /// How it stands with each site; nil from an agent that does not say.
        var sites: JSONValue?
        var generation: Int64
        var isConverged: Bool
        var agentVersion: String
        var securityMode: JSONValue?
        var securityProblem: JSONValue?
        var exposure: JSONValue?
        /// What keeps its agent from doing its work.
        var problem: JSONValue?
    }

    /// The last heartbeat that was taken.
    struct Sighting: Sendable {
        var sequence: Int64
        var time: Timestamp
        var machine: JSONValue
        /// Requests that its edge answered, by service id.
        var requests: JSONValue
        /// What its edge did lately, by the id of a service or site. Never stored: it is old when it is read again.
        var traffic: [String: TrafficReport] = [:]
        /// Memory of the services, by id.
        var memoryBytes: [String: Int64] = [:]
    }

    enum Verdict {
        /// Older than what is known.
        case late
        /// Nothing but a sign of life.
        case known
        /// Nothing but a sign of life, and the store has not heard of one for a while.
        case due
        /// Something that the store has to know.
        case news
    }

    /// One object for each server: to look at all of them every second must not copy what they said.
    private final class Contact {
        var stackId: String
        /// When it was heard of, or from when on it is waited for.
        var heardAt: Duration
        var sighting: Sighting?
        /// The number of the last heartbeat, here or in the store.
        var sequence: Int64
        /// Heard by another hub, or by this one before it started, and so only as often as the store gets to know.
        var isHeardElsewhere: Bool
        /// What the store says; nil while that is being changed, or is not known.
        var stored: Report?
        /// Of the message that said what the store says; nil when that is not known, and while ``stored`` is nil.
        var digest: HeartbeatParts.Digest?
        var storedAt: Duration = .zero
        var isSilent: Bool

        init(
            stackId: String, heardAt: Duration, sighting: Sighting? = nil, sequence: Int64 = 0,
            isHeardElsewhere: Bool = false, isSilent: Bool = false
        ) {
            self.stackId = stackId
            self.heardAt = heardAt
            self.sighting = sighting
            self.sequence = sequence
            self.isHeardElsewhere = isHeardElsewhere
            self.isSilent = isSilent
        }

        func forgetStored() {
            stored = nil
            digest = nil
        }
    }

    private struct State {
        var contacts: [String: Contact] = [:]
        /// Servers whose edges said something of a service, by its id.
        var serving: [String: Set<String>] = [:]
        var listedAt: Duration?
    }

    private let state = Mutex(State())
    /// The store may be this much behind with the rest of a heartbeat.
    static let storePause: Duration = .seconds(60)
    /// Servers that joined through another program are found this often.
    private static let listPause: Duration = .seconds(60)

    /// Takes a heartbeat. After ``Verdict/due`` and ``Verdict/news``, the caller writes it and calls
    /// ``stored(_:_:_:nodeId:stackId:at:)``; until then each further heartbeat of the server is news as well, and the
    /// store decides which is the later.
    func take(
        _ sighting: Sighting, _ report: Report, _ digest: HeartbeatParts.Digest?, nodeId: String, at now: Duration
    ) -> Verdict {
        state.withLock { state in
            guard let contact = state.contacts[nodeId] else {
                Self.serve(sighting, nil, nodeId, &state)
                state.contacts[nodeId] = Contact(
                    stackId: "", heardAt: now, sighting: sighting, sequence: sighting.sequence)
                return .news
            }
            guard Self.hear(sighting, of: contact, nodeId, &state, at: now) else { return .late }
            let isKnown = contact.stored == report
            let isDue = now - contact.storedAt >= Self.storePause
            if isKnown && !isDue { contact.digest = digest } else { contact.forgetStored() }
            return !isKnown ? .news : isDue ? .due : .known
        }
    }

    /// Whether a server said the same when the store last heard of it.
    func isKnown(_ digest: HeartbeatParts.Digest, nodeId: String) -> Bool {
        state.withLock { state in
            // Not by looking whether there is a report: that would copy it.
            guard let known = state.contacts[nodeId]?.digest else { return false }
            return known == digest
        }
    }

    /// Takes a heartbeat that says what the one with the same digest said; any other is news, and nothing is taken of
    /// it. After ``Verdict/due``, the caller has ``unwritten(_:)`` written soon.
    func take(
        _ sighting: Sighting, _ digest: HeartbeatParts.Digest, nodeId: String, at now: Duration
    ) -> Verdict {
        state.withLock { state in
            guard let contact = state.contacts[nodeId], contact.digest == digest else { return .news }
            guard Self.hear(sighting, of: contact, nodeId, &state, at: now) else { return .late }
            let isDue = now - contact.storedAt >= Self.storePause
            if isDue { contact.storedAt = now }
            return isDue ? .due : .known
        }
    }

    /// - Returns: false for a heartbeat that is older than what is known.
    private static func hear(
        _ sighting: Sighting, of contact: Contact, _ nodeId: String, _ state: inout State, at now: Duration
    ) -> Bool {
        guard sighting.sequence > contact.sequence else { return false }
        serve(sighting, contact.sighting, nodeId, &state)
        contact.sighting = sighting
        contact.sequence = sighting.sequence
        contact.heardAt = now
        contact.isHeardElsewhere = false
        return true
    }

    private static func serve(_ sighting: Sighting, _ before: Sighting?, _ nodeId: String, _ state: inout State) {
        for id in sighting.traffic.keys { state.serving[id, default: []].insert(nodeId) }
        for id in (before?.traffic ?? [:]).keys where sighting.traffic[id] == nil {
            state.serving[id]?.remove(nodeId)
            if state.serving[id]?.isEmpty == true { state.serving[id] = nil }
        }
    }

    /// What there is to write of a server that said nothing new; nil when the store says something else by now.
    func unwritten(_ nodeId: String) -> (report: Report, sighting: Sighting)? {
        state.withLock { state in
            guard let contact = state.contacts[nodeId], let report = contact.stored, let sighting = contact.sighting
            else { return nil }
            return (report, sighting)
        }
    }

    /// Makes the next heartbeats of these servers news, after a transaction that failed.
    func unstore(_ nodeIds: [String]) {
        state.withLock { state in
            for id in nodeIds { state.contacts[id]?.forgetStored() }
        }
    }

    /// Notes that the store has a report, unless a later heartbeat came meanwhile.
    func stored(
        _ report: Report, _ digest: HeartbeatParts.Digest?, _ sequence: Int64, nodeId: String, stackId: String,
        at now: Duration
    ) {
        state.withLock { state in
            guard let contact = state.contacts[nodeId], contact.sequence == sequence else { return }
            contact.stackId = stackId
            contact.stored = report
            contact.digest = digest
            contact.storedAt = now
            contact.isSilent = false
        }
    }

    /// Notes a heartbeat that only the store knew of: it was taken by another hub, or by this one before it started.
    func raise(_ sequence: Int64, nodeId: String, stackId: String, at now: Duration) {
        state.withLock { state in
            guard let contact = state.contacts[nodeId] else { return }
            contact.stackId = stackId
            Self.raise(sequence, contact, at: now)
        }
    }

    /// - Returns: whether the store knew of a later one.
    @discardableResult
    private static func raise(_ sequence: Int64, _ contact: Contact, at now: Duration) -> Bool {
        guard sequence > contact.sequence else { return false }
        contact.sequence = sequence
        contact.heardAt = now
        contact.isHeardElsewhere = true
        contact.forgetStored()
        return true
    }

    /// Waits for a server that joined here.
    func expect(_ nodeId: String, stackId: String, at now: Duration) {
        state.withLock { state in
            guard state.contacts[nodeId] == nil else { return }
            state.contacts[nodeId] = Contact(stackId: stackId, heardAt: now)
        }
    }

    /// Waits for a server as the store has it.
    func expect(_ nodeId: String, stackId: String, sequence: Int64, isSilent: Bool, at now: Duration) {
        state.withLock { state in
            guard let contact = state.contacts[nodeId] else {
                state.contacts[nodeId] = Contact(
                    stackId: stackId, heardAt: now, sequence: sequence, isHeardElsewhere: true, isSilent: isSilent)
                return
            }
            if Self.raise(sequence, contact, at: now) { contact.isSilent = isSilent }
        }
    }

    /// Whether it is time to look for servers in the store: once, or once per pause when others write there, too.
    func isListDue(isShared: Bool, at now: Duration) -> Bool {
        state.withLock { state in
            if let last = state.listedAt, !isShared || now - last < Self.listPause { return false }
            state.listedAt = now
            return true
        }
    }

    /// Makes the next ``isListDue(isShared:at:)`` true, after a list that could not be had.
    func listAgain() { state.withLock { $0.listedAt = nil } }

    /// Servers that were not heard of for longer than the limit of their stack and are not marked yet, sorted.
    ///
    /// - Parameter shortest: no limit is below it.
    func overdue(
        _ limit: (_ stackId: String) -> Duration, shortest: Duration, at now: Duration
    ) -> [String] {
        state.withLock { state in
            var overdue: [String] = []
            for (id, contact) in state.contacts where now - contact.heardAt > shortest && !contact.isSilent {
                if Self.isOverdue(contact, limit(contact.stackId), at: now) { overdue.append(id) }
            }
            return overdue.sorted()
        }
    }

    private static func isOverdue(_ contact: Contact, _ limit: Duration, at now: Duration) -> Bool {
        now - contact.heardAt > limit + (contact.isHeardElsewhere ? storePause : .zero)
    }

    /// Marks a server as silent if it still is, so that its next heartbeat is news.
    ///
    /// - Parameter sequence: the number of the last heartbeat that the store has.
    /// - Returns: whether it was marked.
    func markSilent(_ nodeId: String, sequence: Int64, after limit: Duration, at now: Duration) -> Bool {
        state.withLock { state in
            guard let contact = state.contacts[nodeId], !Self.raise(sequence, contact, at: now),
                Self.isOverdue(contact, limit, at: now)
            else { return false }
            contact.isSilent = true
            contact.forgetStored()
            return true
        }
    }

    /// Takes the mark back, after a transaction that failed.
    func unmarkSilent(_ nodeId: String) { state.withLock { $0.contacts[nodeId]?.isSilent = false } }

    func forget(_ nodeId: String) { _ = state.withLock { $0.contacts.removeValue(forKey: nodeId) } }

    /// What the edges of all servers did lately for a service or site; nil when none of them says.
    func traffic(_ id: String) -> TrafficReport? {
        let all = state.withLock { state in
            (state.serving[id] ?? []).compactMap { nodeId -> TrafficReport? in
                guard let contact = state.contacts[nodeId], !contact.isSilent else { return nil }
                return contact.sighting?.traffic[id]
            }
        }
        guard var sum = all.first else { return nil }
        for report in all.dropFirst() {
            sum.requestsPerSecond += report.requestsPerSecond
            sum.errorsPerSecond += report.errorsPerSecond
            sum.p50Ms = [sum.p50Ms, report.p50Ms].compactMap { $0 }.max()
            sum.p95Ms = [sum.p95Ms, report.p95Ms].compactMap { $0 }.max()
            sum.p99Ms = [sum.p99Ms, report.p99Ms].compactMap { $0 }.max()
        }
        return sum
    }

    /// The last heartbeat in the life of this hub.
    func sighting(_ nodeId: String) -> Sighting? { state.withLock { $0.contacts[nodeId]?.sighting } }
}
