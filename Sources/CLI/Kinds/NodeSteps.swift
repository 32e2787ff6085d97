import Model

/// What a server will do, as the hub's plan says.
struct NodeSteps: Sendable, Equatable {
    var name: String
    var steps: [String]

    /// Reads the servers' part of the answer to a mutation with `?plan=true`.
    static func read(_ answer: JSONValue) -> [NodeSteps] {
        (answer["nodes"]?.arrayValue ?? []).map { entry in
            NodeSteps(
                name: entry["name"]?.stringValue ?? entry["id"]?.stringValue ?? "",
                steps: (entry["steps"]?.arrayValue ?? []).compactMap(\.stringValue))
        }
    }

    /// Servers with the same work are named together: those of a stack mostly have.
    static func lines(_ nodes: [NodeSteps]) -> [String] {
        var groups: [(names: [String], steps: [String])] = []
        for node in nodes {
            if let index = groups.firstIndex(where: { $0.steps == node.steps }) {
                groups[index].names.append(node.name)
            } else {
                groups.append(([node.name], node.steps))
            }
        }
        return groups.flatMap { group -> [String] in
            let shown = group.names.prefix(5).map { printable($0) }.joined(separator: ", ")
            let others = group.names.count > 5 ? " and \(group.names.count - 5) more" : ""
            return ["On server\(group.names.count == 1 ? "" : "s") \(shown)\(others):"]
                + group.steps.map { "    \(printable($0))" }
        }
    }
}
