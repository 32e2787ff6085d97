import AgentProtocol
import Catalog
import Host
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// Previews: what they run, and when they go.
@Suite struct PreviewTests {
    let fixture: HubFixture

    init() throws { fixture = try HubFixture(kinds: Catalog.kinds) }

    private func makeService(_ more: JSONValue = [:]) async throws -> String {
        let stack = try await fixture.make("stack", ["name": "a"])
        var body: JSONValue = [
            "name": "web", "git_url": "https://git.example.org/x.git", "run_command": "run", "port": 3000,
            "hostnames": ["*.shop.example.org"], "env": ["A": "1"],
        ]
        for (name, value) in more.objectValue ?? [:] { body[name] = value }
        return try await fixture.make("service", below: stack, body)
    }

    private func read(_ kind: String, _ id: String) async throws -> JSONValue {
        try await fixture.hub.read(fixture.kind(kind), id: id, as: .local)
    }

    @Test func runsTheBranchBesideTheService() async throws {
        let id = try await makeService()
        let preview = try await read("preview", try await fixture.make("preview", below: id, ["branch": "Fix/Cart_2"]))
        #expect(preview["hostname"] == "web-fix-cart-2.shop.example.org")
        let service = try await read("service", try #require(preview["preview_service_id"]?.stringValue))
        #expect(service["git_ref"] == "Fix/Cart_2" && service["port"] == .null && service["env"] == ["A": "1"])
        #expect(service["deploy_key"] == (try await read("service", id))["deploy_key"])
    }

    @Test func refusesWhatCannotBe() async throws {
        let id = try await makeService()
        for body: JSONValue in [
            [:], ["branch": "a", "pull_request": 1], ["branch": "-x"], ["pull_request": 0], ["branch": "a\nb"],
        ] {
            let refused = try await problem { _ = try await fixture.make("preview", below: id, body) }
            #expect(refused.code == .invalid, "\(body)")
        }
        let preview = try await read("preview", try await fixture.make("preview", below: id, ["branch": "b"]))
        let service = try #require(preview["preview_service_id"]?.stringValue)
        #expect(
            try await problem { _ = try await fixture.make("preview", below: id, ["branch": "b"]) }.code == .conflict)
        #expect(
            try await problem { _ = try await fixture.make("preview", below: service, ["branch": "c"]) }.code
                == .conflict)
        let plain = try await fixture.make(
            "service", below: try await fixture.make("stack", ["name": "b"]),
            ["name": "up", "kind": "static"])
        #expect(
            try await problem { _ = try await fixture.make("preview", below: plain, ["branch": "c"]) }.code == .conflict
        )
    }

    @Test func goesWithTheServiceAndTakesItsOwnAlong() async throws {
        let id = try await makeService()
        let first = try await fixture.make("preview", below: id, ["branch": "a"])
        _ = try await fixture.make("preview", below: id, ["pull_request": 4])
        let hub = fixture.hub
        _ = try await hub.delete(fixture.kind("preview"), id: first, as: .local)
        #expect(try await hub.list(fixture.kind("service"), .init(), as: .local).items.count == 2)
        _ = try await hub.delete(fixture.kind("service"), id: id, as: .local)
        for kind in ["service", "preview", "deployment"] {
            #expect(try await hub.list(fixture.kind(kind), .init(), as: .local).items.isEmpty, "\(kind)")
        }
    }

    @Test func goesWhenNobodyAsksForIt() async throws {
        let id = try await makeService()
        let used = try await fixture.make("preview", below: id, ["branch": "used", "idle_timeout": "1h"])
        let idle = try await fixture.make("preview", below: id, ["branch": "idle", "idle_timeout": "1h"])
        let kept = try await fixture.make("preview", below: id, ["branch": "kept", "idle_timeout": 0])
        let service = try #require(try await read("preview", used)["preview_service_id"]?.stringValue)
        fixture.clock.move(.seconds(3500))
        try await fixture.store.write { transaction in
            _ = try transaction.put(
                ResourceRecord(
                    kind: "node", id: "n", status: .active, spec: ["name": "n"],
                    state: ["requests": [service: 3]], createdAt: transaction.now, updatedAt: transaction.now))
        }
        try await fixture.hub.removeIdlePreviews()
        fixture.clock.move(.seconds(200))
        try await fixture.hub.removeIdlePreviews()
        let left = try await fixture.hub.list(fixture.kind("preview"), .init(), as: .local).items
        #expect(Set(left.compactMap { $0["id"]?.stringValue }) == [used, kept])
        #expect(!left.contains { $0["id"] == .string(idle) })
        fixture.clock.move(.seconds(3700))
        try await fixture.hub.removeIdlePreviews()
        #expect(try await fixture.hub.list(fixture.kind("preview"), .init(), as: .local).items.count == 1)
    }
}
