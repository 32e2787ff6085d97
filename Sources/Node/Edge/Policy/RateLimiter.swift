import Model
import Synchronization

extension EdgeRouteLimits {
    /// Those by which clients use something up; what one request may bring is no such limit.
    var counted: EdgeRouteLimits {
        var limits = self
        limits.maxBodyBytes = nil
        return limits
    }
}

/// What a route's clients have used up. Lives across tables as long as the limits stay the same; shared by all loops.
final class RouteUsage: Sendable {
    /// Clients that are remembered; beyond, those go that are the nearest to a full allowance.
    static let clientsMax = 65_536
    private static let shardCount = 16

    private struct Client {
        var tokens: Double
        var updatedAt: UInt64
        var underWay = 0
    }

    /// A lock and its table; a class, since locks do not move.
    private final class Shard: Sendable {
        let clients = Mutex<[ClientAddress: Client]>([:])
    }

    enum Verdict: Equatable {
        case admitted
        case tooOften(retryAfterSeconds: Int)
        /// The client has too many requests under way.
        case tooManyAtOnce
        /// The route has.
        case full
    }

    private let rate: Double?
    private let burst: Double
    private let perClientMax: Int?
    private let underWayMax: Int?
    private let underWay = Atomic<Int>(0)
    private let shards: [Shard]

    init(_ limits: EdgeRouteLimits) {
        rate = limits.requestsPerSecond
        burst = Double(limits.burst ?? max(1, Int((limits.requestsPerSecond ?? 1).rounded(.up))))
        perClientMax = limits.concurrentPerClient
        underWayMax = limits.concurrentRequests
        shards = (0..<Self.shardCount).map { _ in Shard() }
    }

    /// Takes a token and a place. What was admitted must be given back with ``leave(_:)``.
    /// - Parameter now: monotonic nanoseconds.
    func enter(_ client: ClientAddress, now: UInt64) -> Verdict {
        if let underWayMax {
            let count = underWay.add(1, ordering: .relaxed).newValue
            guard count <= underWayMax else {
                underWay.subtract(1, ordering: .relaxed)
                return .full
            }
        }
        let verdict = rate == nil && perClientMax == nil ? .admitted : enterAsClient(client.limited, now)
        if verdict != .admitted, underWayMax != nil { underWay.subtract(1, ordering: .relaxed) }
        return verdict
    }

    /// The request is over.
    func leave(_ client: ClientAddress) {
        if underWayMax != nil { underWay.subtract(1, ordering: .relaxed) }
        guard perClientMax != nil else { return }
        let key = client.limited
        shard(key).clients.withLock { clients in
            guard var known = clients[key] else { return }
            known.underWay -= 1
            clients[key] = known
        }
    }

    private func shard(_ key: ClientAddress) -> Shard {
        shards[Int(truncatingIfNeeded: UInt(bitPattern: key.hashValue) % UInt(Self.shardCount))]
    }

    private func enterAsClient(_ key: ClientAddress, _ now: UInt64) -> Verdict {
        shard(key).clients.withLock { clients in
            var client = clients[key] ?? Client(tokens: burst, updatedAt: now)
            refill(&client, now)
            let verdict = take(&client)
            if clients[key] == nil, clients.count >= Self.clientsMax / Self.shardCount { evict(&clients, now) }
            clients[key] = client
            return verdict
        }
    }

    private func refill(_ client: inout Client, _ now: UInt64) {
        guard let rate, now > client.updatedAt else { return }
        client.tokens = min(burst, client.tokens + Double(now - client.updatedAt) / 1e9 * rate)
        client.updatedAt = now
    }

    private func take(_ client: inout Client) -> Verdict {
        if let perClientMax, client.underWay >= perClientMax { return .tooManyAtOnce }
        if let rate {
            guard client.tokens >= 1 else {
                return .tooOften(retryAfterSeconds: max(1, Int(((1 - client.tokens) / rate).rounded(.up))))
            }
            client.tokens -= 1
        }
        client.underWay += 1
        return .admitted
    }

    /// Whoever has a full allowance again is forgotten without loss; of the others, those seen longest ago.
    private func evict(_ clients: inout [ClientAddress: Client], _ now: UInt64) {
        let before = clients.count
        clients = clients.filter { _, client in
            var refilled = client
            refill(&refilled, now)
            return refilled.tokens < burst || perClientMax != nil && client.underWay > 0
        }
        guard clients.count > before * 7 / 8 else { return }
        let idle = clients.filter { perClientMax == nil || $0.value.underWay == 0 }
        for (key, _) in idle.sorted(by: { $0.value.updatedAt < $1.value.updatedAt }).prefix(before / 4 + 1) {
            clients[key] = nil
        }
    }

    /// Clients that are remembered now.
    var clientCount: Int { shards.reduce(0) { $0 + $1.clients.withLock { $0.count } } }
}
