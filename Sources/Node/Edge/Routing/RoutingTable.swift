import AgentProtocol
import Crypto
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
        /// `,"service":"…"` ready for the access log.
        let logName: [UInt8]
        let mode: EdgeUpstream.Mode
        let endpoints: [Endpoint]
        let staticFolder: StaticFolder?
        let downSince: Timestamp?

        init(_ source: EdgeUpstream, state: UpstreamState, endpoints: [Endpoint]) {
            self.state = state
            self.endpoints = endpoints
            name = source.name
            logName = Array(",\"service\":\(JSONValue.string(source.name).canonicalText)".utf8)
            mode = source.mode
            staticFolder = source.staticFolder.map { StaticFolder($0) }
            downSince = source.downSince
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
        hiddenRoutes = []
    }

    /// - Throws: `invalid` that says what is wrong with the table.
    init(_ table: EdgeTable, registry: StateRegistry) throws(Problem) {
        try TableRules.check(table)
        source = table
        canonicalBytes = try Self.canonicalBytes(of: table)
        hash = Self.hash(of: canonicalBytes)
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
            upstreams.append(Upstream(upstream, state: registry.upstream(upstream.id), endpoints: endpoints))
        }
        self.upstreams = upstreams
        endpoints = states
        let byId = Dictionary(uniqueKeysWithValues: table.upstreams.enumerated().map { ($1.id, $0) })
        upstreamById = byId
        (publicRoutes, hiddenRoutes) = Self.publicIndex(table, byId)
        var names = RouteIndex()
        for (name, id) in table.internalNames {
            let host = Array("\(name).\(table.internalSuffix)".utf8)
            _ = names.insert(host: host, prefix: [ByteClass.slash], upstream: Int32(byId[id]!), strip: false)
        }
        internalRoutes = names
    }

    private static func publicIndex(_ table: EdgeTable, _ byId: [String: Int]) -> (RouteIndex, [String]) {
        var index = RouteIndex()
        var hidden: [String] = []
        for route in table.routes {
            var prefix = Array(route.pathPrefix.utf8)
            while prefix.count > 1, prefix.last == ByteClass.slash { prefix.removeLast() }
            for host in route.hosts.isEmpty ? [nil] : route.hosts.map(Optional.some) {
                let key = host.map { Array($0.utf8) }
                let added = index.insert(
                    host: key, prefix: prefix, upstream: Int32(byId[route.upstreamId]!), strip: route.stripPrefix)
                if !added { hidden.append("\(host ?? "any host") \(route.pathPrefix)") }
            }
        }
        return (index, hidden)
    }

    /// Every name of an endpoint had an address.
    var allResolved: Bool { endpoints.allSatisfy { $0.address != nil } }

    static func canonicalBytes(of table: EdgeTable) throws(Problem) -> [UInt8] {
        do {
            return try WireCoding.encode(table).canonicalBytes
        } catch {
            throw Problem(wrapping: error, doing: "Encoding the edge's table")
        }
    }

    /// SHA-256, in hexadecimal digits.
    static func hash(of canonicalBytes: [UInt8]) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let digest = SHA256.hash(data: canonicalBytes)
        return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}

extension EdgeTable {
    /// What ``EdgeStatus/tableHash`` is while this table is in force: SHA-256 (hex) of its canonical JSON.
    public func edgeHash() throws(Problem) -> String {
        RoutingTable.hash(of: try RoutingTable.canonicalBytes(of: self))
    }
}
