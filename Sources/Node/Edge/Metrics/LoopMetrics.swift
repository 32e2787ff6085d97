/// Counters of one event loop. Used on its thread only.
final class LoopMetrics {

    private var rows: [SeriesKey: Series] = [:]
    /// By route of the table in force.
    private var byRoute: [Series?] = []
    /// Requests that no route took, or that could not be read.
    let unrouted: Series
    private(set) var connectionsAccepted: UInt64 = 0

    init(routeCount: Int) {
        unrouted = .allocate()
        rows[SeriesKey(upstreamId: "", service: "", route: "")] = unrouted
        byRoute = [Series?](repeating: nil, count: routeCount)
    }

    deinit { for row in rows.values { row.deallocate() } }

    func connectionAccepted() { connectionsAccepted &+= 1 }

    /// The counters of a route of the table in force.
    @inline(__always)
    func series(_ route: Int, _ table: RoutingTable) -> Series {
        if let known = byRoute[route] { return known }
        return find(route, table)
    }

    private func find(_ route: Int, _ table: RoutingTable) -> Series {
        let key = table.routeKeys[route]
        let row = rows[key] ?? .allocate()
        rows[key] = row
        byRoute[route] = row
        return row
    }

    /// Another table is in force. What has nothing under way and belongs to no upstream of it is forgotten.
    func swap(_ table: RoutingTable) {
        byRoute = [Series?](repeating: nil, count: table.routeKeys.count)
        for (key, row) in rows
        where !key.upstreamId.isEmpty && table.upstreamById[key.upstreamId] == nil && row.isIdle {
            rows[key] = nil
            row.deallocate()
        }
    }

    func snapshot() -> [SeriesKey: SeriesSample] { rows.mapValues(\.sample) }
}
