import Crypto
import Model
import Synchronization

/// How requests are spread over the endpoints of an upstream that asks for more than the fewest requests under way.
final class BalancePlan: Sendable {
    struct Member: Sendable {
        /// Position among the upstream's endpoints.
        let index: Int
        let weight: Int
        /// Value of the cookie that binds to it.
        let id: [UInt8]
        let state: EndpointState
    }

    struct Group: Sendable {
        let weight: Int
        let members: [Member]
    }

    struct Choice: Equatable {
        var index: Int
        /// The endpoint was out, and this request tries it.
        var isTrial: Bool
    }

    /// Standing of a smooth weighted rotation: what each has gained since its last turn.
    private struct Turns {
        var groups: [Int]
        var members: [[Int]]
    }

    let retries: Int
    let health: EdgeHealth?
    let breaker: CircuitBreaker?
    /// Name of the cookie, in bytes.
    let cookie: [UInt8]?
    private let policy: EdgeBalance.Policy
    private let groups: [Group]
    private let turns: Mutex<Turns>

    /// Nil for an upstream that asks for nothing of this.
    init?(_ source: EdgeUpstream, states: [EndpointState], registry: StateRegistry) {
        let isSpread = source.endpoints.contains { $0.weight != nil || $0.group != nil }
        guard source.balance != nil || source.health != nil || source.breaker != nil || isSpread else { return nil }
        retries = source.balance?.retries ?? EdgeBalance().retries
        health = source.health
        breaker = source.breaker.map { registry.breaker(of: source.id, $0) }
        cookie = source.balance?.stickyCookie.map { Array($0.utf8) }
        policy = source.balance?.policy ?? .leastConnections
        var names: [String?] = []
        var members: [[Member]] = []
        for (index, endpoint) in source.endpoints.enumerated() {
            let member = Member(
                index: index, weight: endpoint.weight ?? 1, id: Self.id(of: states[index].key, source.id),
                state: states[index])
            if let known = names.firstIndex(of: endpoint.group) {
                members[known].append(member)
            } else {
                names.append(endpoint.group)
                members.append([member])
            }
        }
        groups = members.map { Group(weight: $0.reduce(0) { $0 + $1.weight }, members: $0) }
        turns = Mutex(
            Turns(
                groups: [Int](repeating: 0, count: members.count),
                members: members.map { [Int](repeating: 0, count: $0.count) }))
    }

    /// Names an endpoint without telling its address.
    private static func id(of key: String, _ upstreamId: String) -> [UInt8] {
        Array(SHA256.hash(data: Array("\(upstreamId)\n\(key)".utf8)).prefix(8).hexadecimal.utf8)
    }

    /// The endpoint that a cookie's value binds to.
    func member(id: [UInt8]) -> Int? {
        for group in groups {
            if let member = group.members.first(where: { $0.id == id }) { return member.index }
        }
        return nil
    }

    func id(of index: Int) -> [UInt8] {
        for group in groups {
            if let member = group.members.first(where: { $0.index == index }) { return member.id }
        }
        return []
    }

    /// - Parameters:
    ///   - wanted: the endpoint that a cookie names.
    ///   - isAvoided: whether an endpoint just refused a connection of this event loop.
    /// - Returns: nil when all were tried.
    func choose(
        tried: [EndpointState], wanted: Int?, now: UInt64, isAvoided: (Member) -> Bool
    ) -> Choice? {
        func isUntried(_ member: Member) -> Bool { !tried.contains { $0 === member.state } }
        if let wanted, let member = groups.lazy.flatMap(\.members).first(where: { $0.index == wanted }),
            isUntried(member), !isAvoided(member), isUsable(member, now)
        {
            return Choice(index: wanted, isTrial: false)
        }
        if let trial = trial(now, isUntried) { return Choice(index: trial.index, isTrial: true) }
        let index =
            pick { isUntried($0) && $0.weight > 0 && !isAvoided($0) && isUsable($0, now) }
            // None is well: better a try than an error without one.
            ?? pick { isUntried($0) && $0.weight > 0 } ?? pick(isUntried)
        return index.map { Choice(index: $0, isTrial: false) }
    }

    private func isUsable(_ member: Member, _ now: UInt64) -> Bool {
        member.state.health.standing(now: now) == .well
    }

    /// An endpoint whose time out is over, claimed for this request.
    private func trial(_ now: UInt64, _ isUntried: (Member) -> Bool) -> Member? {
        guard health != nil else { return nil }
        for group in groups {
            for member in group.members
            where member.weight > 0 && isUntried(member) && member.state.health.standing(now: now) == .mayTry {
                if member.state.health.beginTrial() { return member }
            }
        }
        return nil
    }

    private func pick(_ isAllowed: (Member) -> Bool) -> Int? {
        let open = groups.map { group in group.members.indices.filter { isAllowed(group.members[$0]) } }
        return turns.withLock { turns in
            let candidates = groups.indices.filter { !open[$0].isEmpty }
            guard !candidates.isEmpty else { return nil }
            let group = Self.rotate(&turns.groups, candidates) { max(groups[$0].weight, 1) }
            let members = groups[group].members
            let best = policy == .roundRobin ? open[group] : leastLoaded(members, open[group])
            let member = Self.rotate(&turns.members[group], best) { max(members[$0].weight, 1) }
            return members[member].index
        }
    }

    /// All that have the fewest requests under way for their weight.
    private func leastLoaded(_ members: [Member], _ candidates: [Int]) -> [Int] {
        var best: [Int] = []
        var bestLoad = 0
        for index in candidates {
            let load = members[index].state.inFlight.load(ordering: .relaxed)
            if let first = best.first {
                let order = load * max(members[first].weight, 1) - bestLoad * max(members[index].weight, 1)
                if order > 0 { continue }
                if order < 0 { best = [] }
            }
            if best.isEmpty { bestLoad = load }
            best.append(index)
        }
        return best
    }

    /// Each gains its weight, the richest has its turn and pays the sum: the smoothest sequence for any weights.
    private static func rotate(_ gains: inout [Int], _ candidates: [Int], weight: (Int) -> Int) -> Int {
        if candidates.count == 1 { return candidates[0] }
        var sum = 0
        var best = candidates[0]
        for index in candidates {
            let own = weight(index)
            sum += own
            gains[index] += own
            if gains[index] > gains[best] { best = index }
        }
        gains[best] -= sum
        return best
    }

    /// Endpoints, `host:port`, that get nothing now.
    func endpointsOut(now: UInt64) -> [String] {
        groups.flatMap(\.members).filter { $0.state.health.standing(now: now) != .well }.map(\.state.key).sorted()
    }
}
