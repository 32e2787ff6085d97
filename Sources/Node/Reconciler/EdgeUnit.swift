import Host
import Model
import Synchronization

/// The unit of one generation of the edge.
struct EdgeUnit: Equatable, Sendable {
    /// Nothing is reached while it is away, so that it is started again sooner than an application, however often it
    /// ends.
    static let backoffFirstMs = 10
    static let backoffMaxMs = 1000

    var generation: Int

    init(generation: Int) { self.generation = generation }

    /// - Returns: nil when the unit is something else.
    init?(_ id: String) {
        if id == "edge" {
            self.init(generation: 1)
            return
        }
        guard id.hasPrefix("edge."), let generation = Int(id.dropFirst("edge.".count)) else { return nil }
        self.init(generation: generation)
    }

    var id: String { generation == 1 ? "edge" : "edge.\(generation)" }
}

extension Agent {
    /// Tells that the edge ended, which every visitor noticed, and was started again.
    func tellEdgeEnds() async throws {
        let unit = edgeUnit.withLock { $0 }
        guard let status = try await host.supervisor.list().first(where: { $0.id == unit.id }) else { return }
        let seen = EdgeRestarts(unit: unit, count: status.restarts)
        let before = edgeRestarts.withLock { last in
            defer { last = seen }
            return last
        }
        guard let before, before.unit == unit, seen.count > before.count else { return }
        let times = seen.count - before.count == 1 ? "" : " \(seen.count - before.count) times"
        await tell("crash", "The edge \(status.lastError ?? "ended"); started again\(times).")
    }
}

/// How often an edge had been started again when it was looked at.
struct EdgeRestarts: Sendable {
    var unit: EdgeUnit
    var count: Int
}
