import Model
import Synchronization

/// Finds the counters of an endpoint or upstream again when the next table names it, and drops what is idle and gone.
final class StateRegistry: Sendable {
    private struct States {
        var endpoints: [String: EndpointState] = [:]
        var upstreams: [String: UpstreamState] = [:]
        var usages: [UsageKey: RouteUsage] = [:]
        var breakers: [String: CircuitBreaker] = [:]
    }

    /// A route as long as it has the same limits.
    private struct UsageKey: Hashable {
        var hosts: [String]
        var pathPrefix: String
        var limits: String
    }

    let verifier = CredentialVerifier()
    let wakes = WakeBoard()
    let metrics = MetricsSource()

    private let states = Mutex(States())

    let names: NameLookup

    init(names: NameLookup = NameLookup()) { self.names = names }

    /// A name has no address before it is looked up.
    func endpoint(_ endpoint: EdgeEndpoint) -> EndpointState {
        let key = EndpointState.key(endpoint)
        return states.withLock { states in
            if let known = states.endpoints[key] { return known }
            let state = EndpointState(endpoint)
            states.endpoints[key] = state
            return state
        }
    }

    func upstream(_ id: String) -> UpstreamState {
        states.withLock { states in
            if let known = states.upstreams[id] { return known }
            let state = UpstreamState(id: id)
            states.upstreams[id] = state
            return state
        }
    }

    /// What the clients of a route have used up so far.
    func usage(of route: EdgeRoute, _ limits: EdgeRouteLimits) -> RouteUsage {
        let key = Self.usageKey(route, limits)
        return states.withLock { states in
            if let known = states.usages[key] { return known }
            let usage = RouteUsage(limits)
            states.usages[key] = usage
            return usage
        }
    }

    private static func usageKey(_ route: EdgeRoute, _ limits: EdgeRouteLimits) -> UsageKey {
        UsageKey(hosts: route.hosts, pathPrefix: route.pathPrefix, limits: "\(limits)")
    }

    /// The breaker of an upstream, kept as long as its settings are.
    func breaker(of upstreamId: String, _ settings: EdgeBreaker) -> CircuitBreaker {
        states.withLock { states in
            if let known = states.breakers[upstreamId], known.settings == settings { return known }
            let breaker = CircuitBreaker(settings)
            states.breakers[upstreamId] = breaker
            return breaker
        }
    }

    /// Forgets endpoints and upstreams that the table does not name and that nothing is under way to.
    func prune(keeping table: RoutingTable) {
        let keys = Set(table.endpoints.map(\.key))
        let usages = Set(
            table.source.routes.compactMap { route in route.limits.map { Self.usageKey(route, $0.counted) } })
        let asleep = table.source.upstreams.filter { $0.mode == .wake }.map(\.id)
        wakes.keep(Set(asleep))
        states.withLock { states in
            states.endpoints = states.endpoints.filter { key, state in
                keys.contains(key) || state.inFlight.load(ordering: .relaxed) > 0
            }
            states.upstreams = states.upstreams.filter { id, state in
                table.upstreamById[id] != nil || state.held.load(ordering: .relaxed) > 0
            }
            states.usages = states.usages.filter { usages.contains($0.key) }
            states.breakers = states.breakers.filter { table.upstreamById[$0.key] != nil }
        }
    }

    func status(tableHash: String) -> EdgeStatus {
        states.withLock { states in
            var status = EdgeStatus(tableHash: tableHash, wakeRequested: wakes.requested, wakeSerial: wakes.serial)
            for (key, state) in states.endpoints {
                let count = state.inFlight.load(ordering: .acquiring)
                if count > 0 { status.requestsInFlight[key] = count }
            }
            for (id, state) in states.upstreams {
                let held = state.held.load(ordering: .acquiring)
                if held > 0 { status.requestsHeld[id] = held }
                status.requestsTotal[id] = state.total.load(ordering: .acquiring)
            }
            return status
        }
    }
}
