import HubCore
import HubStore
import Model
import ResourceKit

extension DashboardSite {
    /// Resources shown on one page at most, where there is no "next page".
    static let shownMax = 200

    /// Resources of a kind; none when the reader may not see them.
    func all(
        _ name: String, below parentId: String? = nil, newestFirst: Bool = false, limit: Int = shownMax, _ visit: Visit
    ) async throws -> [JSONValue] {
        guard let kind = hub.kind(name), maySee(kind, visit) else { return [] }
        let query = ListQuery(parentId: parentId, limit: limit, sort: "created_at", descending: newestFirst)
        return try await hub.list(kind, query, as: visit.principal).items
    }

    /// One resource; null when there is none or the reader may not see it.
    func one(_ name: String, _ id: String?, _ visit: Visit) async throws -> JSONValue {
        guard let id, let kind = hub.kind(name), maySee(kind, visit) else { return .null }
        do {
            return try await hub.read(kind, id: id, as: visit.principal)
        } catch let problem as Problem where problem.code == .notFound {
            return .null
        }
    }

    /// Id → what people call it.
    func names(_ lists: [JSONValue]...) -> [String: String] {
        Dictionary(lists.joined().map { ($0.id, $0.label) }, uniquingKeysWith: { $1 })
    }

    /// The newest events, when the reader may see them.
    func eventModels(
        _ filter: EventFilter, names: [String: String],
        _ visit: Visit
    ) async throws -> [String: JSONValue] {
        let isNamed = filter.stackId != nil || filter.serviceId != nil || filter.deploymentId != nil
        guard visit.principal.may("read", "events"), isNamed || visit.principal.brands == .all else {
            return ["events": [], "has_events": false]
        }
        let events = try await hub.events(filter, as: visit.principal)
        return [
            "events": .array(events.map { TimelinePages.row($0, names: names, now: visit.now) }),
            "has_events": .bool(!events.isEmpty),
        ]
    }

    func surroundings(stack: JSONValue, nodes: [JSONValue], _ visit: Visit) -> ServiceSurroundings {
        ServiceSurroundings(
            now: visit.now, edgeAddress: configuration.edgeAddress, hubURL: visit.hubURL,
            nodes: nodes.filter { $0.text("stack_id") == stack.id }, stack: stack)
    }
}
