import Model
import ResourceKit

extension SQLTransaction {
    private static let eventColumns = "id, time, kind, node_id, stack_id, service_id, deployment_id, message"

    func emit(_ event: HubEvent) throws {
        try execute(
            """
            INSERT INTO events (time, kind, node_id, stack_id, service_id, deployment_id, message)
            VALUES (?, ?, ?, ?, ?, ?, ?)
            """,
            [
                event.time.millisecondsSinceEpoch, event.kind, event.nodeId, event.stackId, event.serviceId,
                event.deploymentId, event.message,
            ])
    }

    func events(_ filter: EventFilter) throws -> [HubEvent] {
        var conditions = ["1 = 1"]
        var arguments: [(any SQLEncodable)?] = []
        func require(_ column: String, _ value: String?) {
            guard let value else { return }
            conditions.append("\(column) = ?")
            arguments += [value]
        }
        require("node_id", filter.nodeId)
        require("stack_id", filter.stackId)
        require("service_id", filter.serviceId)
        require("deployment_id", filter.deploymentId)
        require("kind", filter.kind)
        if let after = filter.afterId {
            conditions.append("id > ?")
            arguments += [after]
        }
        if let before = filter.beforeId {
            conditions.append("id < ?")
            arguments += [before]
        }
        let order = filter.afterId == nil ? "DESC" : "ASC"
        return try rows(
            """
            SELECT \(Self.eventColumns) FROM events WHERE \(conditions.joined(separator: " AND "))
            ORDER BY id \(order) LIMIT \(min(max(filter.limit, 1), 1000))
            """, arguments
        ).map { row in
            HubEvent(
                id: row[0], time: Timestamp(millisecondsSinceEpoch: row[1]), kind: row[2], nodeId: row[3],
                stackId: row[4], serviceId: row[5], deploymentId: row[6], message: row[7])
        }
    }

    func removeEvents(before time: Timestamp) throws -> Int {
        try execute("DELETE FROM events WHERE time < ?", [time.millisecondsSinceEpoch])
    }
}
