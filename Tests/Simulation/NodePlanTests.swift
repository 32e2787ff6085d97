import HubCore
import HubStore
import Model
import ResourceKit
import TestSupport
import Testing

/// A plan says what each server will do, and changes nothing.
@Suite struct NodePlanTests {
    /// Answers what `nodes` of each plan says, by server.
    private static func plans(
        _ ask: @escaping @Sendable (Hub, _ stack: String, _ service: String) async throws -> [MutationAnswer]
    ) async throws -> [[String: [String]]] {
        try await Simulation.withHub(seed: 3) { world in
            let stack = try await world.createStack("default")
            for _ in 0..<2 { world.startAgent(try await world.addMachine(stackId: stack)) }
            world.source.push(Simulation.url, commit: String(repeating: "a", count: 40), SimulatedApplication())
            let service = try await world.createService(
                "web", stackId: stack, url: Simulation.url, ["build_command": "make", "path": "/"])
            try await world.clock.sleep(for: .seconds(30))
            let before = (try await world.show("stack", stack), try await world.show("service", service))
            world.source.push(Simulation.url, commit: String(repeating: "b", count: 40), SimulatedApplication())
            let answers = try await world.withHub { try await ask($0, stack, service) }
            try await world.clock.sleep(for: .seconds(10))
            let after = (try await world.show("stack", stack), try await world.show("service", service))
            #expect(before.0["version"] == after.0["version"] && before.1["revision"] == after.1["revision"])
            return answers.map { answer in
                Dictionary(
                    (answer.body["nodes"]?.arrayValue ?? []).map { node in
                        (node["name"]?.stringValue ?? "", (node["steps"]?.arrayValue ?? []).compactMap(\.stringValue))
                    }, uniquingKeysWith: { $1 })
            }
        }
    }

    private static let planning = MutationOptions(isPlan: true)

    @Test func `creating, changing and deleting a service`() async throws {
        let plans = try await Self.plans { hub, stack, service in
            let kind = hub.kind("service")!
            func update(_ body: JSONValue) async throws -> MutationAnswer {
                try await hub.update(kind, id: service, body: body, options: Self.planning, as: .local)
            }
            return [
                try await hub.create(
                    kind, parentId: stack,
                    body: [
                        "name": "api", "git_url": .string(Simulation.url), "git_ref": "v2", "run_command": "./api",
                        "path": "/api", "instances": 2,
                    ], options: Self.planning, as: .local),
                try await update(["instances": 3]), try await update(["path": "/shop"]),
                try await update(["env": ["DATABASE_URL": ["value": "pl4nted", "secret": true]]]),
                try await update(["retain": 5]),
                try await hub.delete(kind, id: service, options: Self.planning, as: .local),
            ]
        }
        #expect(plans.dropLast(2).allSatisfy { $0.keys.sorted() == ["node-1", "node-2"] })
        let steps = plans.map { $0["node-1"] ?? [] }
        #expect(
            steps[0] == [
                "names: add api.svc.internal", "api: fetch the commit of v2 from \(Simulation.url)",
                "api: start 2 instances", "api: route /api → api",
            ])
        #expect(steps[1] == ["web: start 2 more of 3 instances"])
        #expect(steps[2] == ["web: route /shop → web", "web: no longer route / → web"])
        #expect(
            steps[3] == [
                "web: fetch commit aaaaaaaaaaaa from \(Simulation.url)", "web: build it: make", "web: start 1 instance",
                "web: switch requests to the new when healthy", "web: drain and stop 1 instance of the old release",
            ])
        #expect(steps[4] == [], "nothing changes")
        #expect(
            steps[5] == [
                "names: remove web.svc.internal", "web: no longer route / → web", "web: drain and stop 1 instance",
                "web: remove its releases, account and logs",
            ])
    }

    @Test func `actions and the stack`() async throws {
        let plans = try await Self.plans { hub, stack, service in
            let kind = hub.kind("service")!
            func act(_ name: String) async throws -> MutationAnswer {
                try await hub.perform(
                    kind.allActions.first { $0.name == name }!, on: kind, id: service, options: Self.planning,
                    as: .local)
            }
            return [
                try await act("restart"), try await act("deploy"), try await act("retry"),
                try await hub.update(
                    hub.kind("stack")!, id: stack,
                    body: ["security_mode": "blocked", "proxy": ["bind": "0.0.0.0", "port": 8080]],
                    options: Self.planning, as: .local),
            ]
        }
        let steps = plans.map { $0["node-2"] ?? [] }
        let replace = [
            "web: start 1 instance", "web: switch requests to the new when healthy",
            "web: drain and stop 1 instance of the old release",
        ]
        #expect(steps[0] == replace)
        #expect(
            steps[1] == ["web: fetch commit bbbbbbbbbbbb from \(Simulation.url)", "web: build it: make"] + replace)
        #expect(steps[2] == [])
        #expect(steps[3] == ["edge: listen on 0.0.0.0:8080", "firewall: blocked, SSH from nowhere"])
    }

    @Test func `removing a server`() async throws {
        let plans = try await Self.plans { hub, _, _ in
            let nodes = try await hub.list(hub.kind("node")!, .init(limit: 10), as: .local).items
            let id = nodes.first { $0["name"] == "node-2" }?["id"]?.stringValue ?? ""
            return [try await hub.delete(hub.kind("node")!, id: id, options: Self.planning, as: .local)]
        }
        #expect(plans[0].keys.sorted() == ["node-2"])
        #expect(plans[0]["node-2"]?.count == 1)
    }
}
