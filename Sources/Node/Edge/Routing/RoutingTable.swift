import AgentProtocol
public import Model
import NIOCore

/// A table made ready for lookups. Immutable, shared by all loops, replaced whole.
final class RoutingTable: Sendable {
    struct Endpoint: Sendable {
        let state: EndpointState
        /// Position in each loop's pools while this table is in force.
        let slot: Int
    }

    final class Upstream: Sendable {
        let state: UpstreamState
        let name: String
        let mode: EdgeUpstream.Mode
        let endpoints: [Endpoint]
        let staticFolder: StaticFolder?
        let downSince: Timestamp?
        /// How requests are spread, where it is not the plain way.
        let plan: BalancePlan?
        let staticPlan: StaticPlan?
        /// How requests wait while it is asleep.
        let wake: EdgeWake
        let speaksHTTP2: Bool

        init(_ source: EdgeUpstream, state: UpstreamState, endpoints: [Endpoint], registry: StateRegistry) {
            plan = BalancePlan(source, states: endpoints.map(\.state), registry: registry)
            staticPlan = source.staticOptions.map { StaticPlan($0) }
            wake = source.wake ?? EdgeWake()
            self.state = state
            self.endpoints = endpoints
            name = source.name
            mode = source.mode
            staticFolder = source.staticFolder.map { StaticFolder($0) }
            downSince = source.downSince
            speaksHTTP2 = source.protocol == .h2c
        }
    }

    let source: EdgeTable
    /// The table as it is kept on disk, and as its hash is computed.
    let canonicalBytes: [UInt8]
    let hash: String
    let publicRoutes: RouteIndex
    let internalRoutes: RouteIndex
    let upstreams: [Upstream]
    /// All endpoints of the table, by slot.
    let endpoints: [EndpointState]
    let upstreamById: [String: Int]
    /// By route: what it asks of its requests; most ask nothing.
    let policies: [RoutePolicy?]
    /// By route: what its counters are called.
    let routeKeys: [SeriesKey]
    /// By route: `,"site":"…","service":"…","route":"…"` ready for the access log.
    let logNames: [[UInt8]]
    /// Sites whose lines the access log keeps; nil for all.
    let siteIds: Set<String>?
    let trustedProxies: TrustedProxies?
    let wakes: WakeBoard?
    let metrics: MetricsSource?
    /// Routes that an earlier one hides, for the log.
    let hiddenRoutes: [String]

    static let empty = RoutingTable()

    private init() {
        source = EdgeTable()
        canonicalBytes = []
        hash = ""
        publicRoutes = RouteIndex()
        internalRoutes = RouteIndex()
        upstreams = []
        endpoints = []
        upstreamById = [:]
        policies = []
        routeKeys = []
        logNames = []
        siteIds = nil
        trustedProxies = nil
        wakes = nil
        metrics = nil
        hiddenRoutes = []
    }

    /// - Throws: `invalid` that says what is wrong with the table.
    init(_ table: EdgeTable, registry: StateRegistry) throws(Problem) {
        try TableRules.check(table)
        source = table
        canonicalBytes = try Self.canonicalBytes(of: table)
        hash = sha256Hex(canonicalBytes)
        var slots: [String: Int] = [:]
        var states: [EndpointState] = []
        var upstreams: [Upstream] = []
        for upstream in table.upstreams {
            let endpoints = upstream.endpoints.map { endpoint in
                let state = registry.endpoint(endpoint)
                let slot = slots[state.key] ?? states.count
                if slot == states.count {
                    slots[state.key] = slot
                    states.append(state)
                }
                return Endpoint(state: state, slot: slot)
            }
            upstreams.append(
                Upstream(upstream, state: registry.upstream(upstream.id), endpoints: endpoints, registry: registry))
        }
        registry.names.update(states)
        self.upstreams = upstreams
        endpoints = states
        let byId = Dictionary(uniqueKeysWithValues: table.upstreams.enumerated().map { ($1.id, $0) })
        upstreamById = byId
        (publicRoutes, hiddenRoutes) = Self.publicIndex(table, byId)
        var names = RouteIndex()
        var keys = table.routes.map { RoutingTable.key($0, table.upstreams[byId[$0.upstreamId]!]) }
        for (name, id) in table.internalNames.sorted(by: { $0.key < $1.key }) {
            let host = Array("\(name).\(table.internalSuffix)".utf8)
            _ = names.insert(
                host: host, prefix: [ByteClass.slash], upstream: Int32(byId[id]!), strip: false,
                route: Int32(keys.count))
            keys.append(SeriesKey(upstreamId: id, service: table.upstreams[byId[id]!].name, route: "internal"))
        }
        internalRoutes = names
        routeKeys = keys
        logNames = keys.enumerated().map { number, key in
            let (service, route) = (JSONValue.string(key.service), JSONValue.string(key.route))
            let site = number < table.routes.count ? table.routes[number].siteId : nil
            return AccessLogSite.member(site)
                + Array(",\"service\":\(service.canonicalText),\"route\":\(route.canonicalText)".utf8)
        }
        siteIds = table.siteIds.map { Set($0) }
        policies =
            table.routes.map { RoutePolicy($0, registry: registry, upstreamById: byId) }
            + [RoutePolicy?](repeating: nil, count: table.internalNames.count)
        trustedProxies = TrustedProxies(table.trustedProxies)
        wakes = registry.wakes
        metrics = registry.metrics
    }

    private static func key(_ route: EdgeRoute, _ upstream: EdgeUpstream) -> SeriesKey {
        let others = route.hosts.count > 1 ? "+\(route.hosts.count - 1)" : ""
        let name = route.name ?? "\(route.hosts.first ?? "*")\(others)\(route.pathPrefix)"
        return SeriesKey(upstreamId: upstream.id, service: upstream.name, route: name, siteId: route.siteId)
    }

    private static func publicIndex(_ table: EdgeTable, _ byId: [String: Int]) -> (RouteIndex, [String]) {
        var index = RouteIndex()
        var hidden: [String] = []
        for (number, route) in table.routes.enumerated() {
            var prefix = Array(route.pathPrefix.utf8)
            while prefix.count > 1, prefix.last == ByteClass.slash { prefix.removeLast() }
            for host in route.hosts.isEmpty ? [nil] : route.hosts.map(Optional.some) {
                let key = host.map { Array($0.utf8) }
                let added = index.insert(
                    host: key, prefix: prefix, upstream: Int32(byId[route.upstreamId]!), strip: route.stripPrefix,
                    route: Int32(number))
                if !added { hidden.append("\(host ?? "any host") \(route.pathPrefix)") }
            }
        }
        return (index, hidden)
    }

    /// Every name of an endpoint had an address.
    var allResolved: Bool { endpoints.allSatisfy(\.isResolved) }

    static func canonicalBytes(of table: EdgeTable) throws(Problem) -> [UInt8] {
        do {
            return try WireCoding.encode(table).canonicalBytes
        } catch {
            throw Problem(wrapping: error, doing: "Encoding the edge's table")
        }
    }
}

extension EdgeTable {
    /// What ``EdgeStatus/tableHash`` is while this table is in force: SHA-256 (hex) of its canonical JSON.
    public func edgeHash() throws(Problem) -> String {
        sha256Hex(try RoutingTable.canonicalBytes(of: self))
    }
}
