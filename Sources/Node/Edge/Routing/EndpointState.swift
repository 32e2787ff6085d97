import NIOCore
import Synchronization

/// One endpoint as all event loops see it. Lives across tables, so that requests to an endpoint that was removed are
/// still counted.
final class EndpointState: Sendable {
    /// `host:port`.
    let key: String
    /// Nil when the name did not resolve as the table was put in force.
    let address: SocketAddress?
    let inFlight = Atomic<Int>(0)
    let health = EndpointHealth()

    init(key: String, address: SocketAddress?) {
        self.key = key
        self.address = address
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
