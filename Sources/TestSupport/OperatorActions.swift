import HubCore
import HubStore
public import Model
import ResourceKit

/// What an operator does to a world, through the same calls as API and CLI.
extension World {
    /// Makes a stack; answers the id of the one that is there already.
    public func createStack(_ name: String) async throws -> String {
        try await withHub { hub in
            let existing = try await self.find("stack", parentId: nil, hub) { $0["name"]?.stringValue == name }
            if let existing { return existing["id"]!.stringValue! }
            let answer = try await hub.create(
                hub.kind("stack")!, parentId: nil, body: ["name": .string(name), "poll_interval": 25],
                options: MutationOptions(), as: .local)
            return answer.body["id"]!.stringValue!
        }
    }

    /// Changes fields of a stack.
    public func updateStack(_ id: String, _ body: JSONValue) async throws {
        try await withHub { hub in
            _ = try await hub.update(hub.kind("stack")!, id: id, body: body, as: .local)
        }
    }

    /// Makes a service; answers the id of the one that is there already.
    public func createService(
        _ name: String, stackId: String, url: String, _ more: [String: JSONValue] = [:]
    ) async throws -> String {
        let body: [String: JSONValue] = [
            "name": .string(name), "git_url": .string(url), "run_command": "./serve", "path": .string("/\(name)"),
            "health_check": ["grace": "10s"],
        ]
        let spec = body.merging(more) { $1 }.filter { !$0.value.isNull }
        return try await withHub { hub in
            let existing = try await self.find("service", parentId: stackId, hub) { $0["name"]?.stringValue == name }
            if let existing { return existing["id"]!.stringValue! }
            let answer = try await hub.create(
                hub.kind("service")!, parentId: stackId, body: .object(spec), options: MutationOptions(), as: .local)
            return answer.body["id"]!.stringValue!
        }
    }

    /// Changes fields of a service.
    public func updateService(_ id: String, _ changes: [String: JSONValue]) async throws {
        try await withHub { hub in
            _ = try await hub.update(
                hub.kind("service")!, id: id, body: .object(changes), options: MutationOptions(), as: .local)
        }
    }

    /// Changes fields of a stack.
    public func updateStack(_ id: String, _ changes: [String: JSONValue]) async throws {
        try await withHub { hub in
            _ = try await hub.update(
                hub.kind("stack")!, id: id, body: .object(changes), options: MutationOptions(), as: .local)
        }
    }

    /// The servers of all stacks, as clients see them.
    public func nodes() async throws -> [JSONValue] {
        try await withHub { hub in
            try await hub.list(hub.kind("node")!, .init(limit: 200), as: .local).items
        }
    }

    /// What was told so far, oldest first.
    public func events(ofKind kind: String) async throws -> [String] {
        try await withHub { hub in
            try await hub.read { transaction in
                try transaction.events(EventFilter(afterId: 0, limit: 1000)).filter { $0.kind == kind }.map(\.message)
            }
        }
    }

    /// Removes a service.
    public func deleteService(_ id: String) async throws {
        try await withHub { hub in
            do {
                _ = try await hub.delete(hub.kind("service")!, id: id, options: MutationOptions(), as: .local)
            } catch let problem as Problem where problem.code == .notFound {
                // The hub died after it had done it.
            }
        }
    }

    /// Deploys the newest commit.
    public func deploy(_ id: String) async throws {
        try await withHub { hub in _ = try await hub.deploy(serviceId: id, by: "operator", expectedCommit: nil) }
    }

    /// A resource as clients see it.
    public func show(_ kind: String, _ id: String) async throws -> JSONValue {
        try await withHub { hub in try await hub.read(hub.kind(kind)!, id: id, as: .local) }
    }

    /// All deployments of a service.
    public func deployments(of service: String) async throws -> [JSONValue] {
        try await withHub { hub in
            try await hub.list(hub.kind("deployment")!, .init(parentId: service, limit: 200), as: .local).items
        }
    }

    private func find(
        _ kind: String, parentId: String?, _ hub: Hub, _ isMatch: @Sendable (JSONValue) -> Bool
    ) async throws -> JSONValue? {
        try await hub.list(hub.kind(kind)!, .init(parentId: parentId, limit: 200), as: .local).items.first(
            where: isMatch)
    }
}
