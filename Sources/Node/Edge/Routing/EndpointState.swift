import Model
import NIOCore
import Synchronization

/// One endpoint as all event loops see it. Lives across tables, so that requests to an endpoint that was removed are
/// still counted.
final class EndpointState: Sendable {
    /// So many addresses of a name are tried for one request.
    static let attemptsMax = 4

    private struct Found {
        var addresses: [SocketAddress] = []
        /// Where the one is that is tried first: that which answered last.
        var first = 0
    }

    /// `host:port`.
    let key: String
    let host: String
    let port: Int
    /// Its host is a name, whose addresses change.
    let isName: Bool
    private let found: Mutex<Found>
    /// Grows when an address is taken away; connections from before end with what they have under way.
    let generation = Atomic<Int>(0)
    let inFlight = Atomic<Int>(0)
    let health = EndpointHealth()

    init(_ endpoint: EdgeEndpoint) {
        key = Self.key(endpoint)
        host = endpoint.host
        port = endpoint.port
        do {
            found = Mutex(Found(addresses: [try SocketAddress(ipAddress: endpoint.host, port: endpoint.port)]))
            isName = false
        } catch {
            // What is no address is a name.
            found = Mutex(Found())
            isName = true
        }
    }

    static func key(_ endpoint: EdgeEndpoint) -> String { "\(endpoint.host):\(endpoint.port)" }

    var isResolved: Bool { found.withLock { !$0.addresses.isEmpty } }

    /// The address to try, from attempt 0 on; nil when there is no other.
    func address(attempt: Int) -> SocketAddress? {
        found.withLock { found in
            guard attempt < min(found.addresses.count, Self.attemptsMax) else { return nil }
            return found.addresses[(found.first + attempt) % found.addresses.count]
        }
    }

    /// A connection to it was made, and it is the first to be tried from here on.
    func connected(to address: SocketAddress) {
        found.withLock { found in
            if let index = found.addresses.firstIndex(of: address) { found.first = index }
        }
    }

    /// The name was looked up. Without an answer the former addresses stay.
    func resolved(to addresses: [SocketAddress]) {
        guard !addresses.isEmpty else { return }
        let isAnyGone = found.withLock { found in
            let former = found.addresses
            let first = former.isEmpty ? nil : addresses.firstIndex(of: former[found.first])
            found = Found(addresses: addresses, first: first ?? 0)
            return former.contains { !addresses.contains($0) }
        }
        if isAnyGone { generation.add(1, ordering: .relaxed) }
    }
}

/// Counters of one upstream, across tables.
final class UpstreamState: Sendable {
    let id: String
    let held = Atomic<Int>(0)
    let total = Atomic<Int>(0)
    /// Milliseconds since the epoch of the first failure since the last success; 0 while it answers.
    let failingSince = Atomic<Int64>(0)

    init(id: String) { self.id = id }
}
