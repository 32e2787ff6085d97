import Catalog
import HubCore
import Model
import ResourceKit
import Testing

/// What the kinds of the platform take, and what they refuse.
@Suite struct PlatformInputTests {
    private func place(_ fixture: HubFixture) async throws -> (cluster: String, shard: String) {
        try await fixture.make("region", ["name": "eu-1"])
        let cluster = try await fixture.make("cluster", below: "eu-1", ["name": "a"])
        return (cluster, try await fixture.make("shard", below: cluster, ["name": "web-1", "role": "web"]))
    }

    @Test(
        arguments: [
            ("hostname", "bad host"), ("hostname", "192.0.2.1"), ("hostname", ""), ("roles", []), ("roles", ["nope"]),
            ("roles", .null),
        ] as [(String, JSONValue)])
    func aServerHasAHostNameAndRoles(field: String, value: JSONValue) async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let cluster = try await place(fixture).cluster
        var body: JSONValue = ["hostname": "web-1.example.org", "roles": ["web", "lb"]]
        let id = try await fixture.make("node", below: cluster, body)
        body["hostname"] = "web-2"
        body[field] = value
        let refused = try await problem { try await fixture.make("node", below: cluster, body) }
        #expect(refused.fields.keys.contains { $0.hasPrefix(field) })
        let changed = try await problem {
            _ = try await fixture.hub.update(
                try fixture.kind("node"), id: id, body: .object([field: value]), as: .local)
        }
        #expect(changed.fields.keys.contains { $0.hasPrefix(field) })
    }

    @Test func anInstallTokenNamesItsShardOrStackByIdOrName() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let shard = try await place(fixture).shard
        let stack = try await fixture.make("stack", ["name": "shop"])
        let kind = try fixture.kind("install-token")
        func token(_ body: JSONValue) async throws -> JSONValue {
            try await fixture.hub.create(kind, body: body, as: .local).body
        }
        for given in [shard, "web-1"] {
            let made = try await token(["shard": .string(given)])
            #expect(made["shard_id"] == .string(shard) && made["stack_id"] == .null && made["token"] != nil)
        }
        for given in [stack, "shop"] {
            #expect(try await token(["stack": .string(given)])["stack_id"] == .string(stack))
        }
        #expect(try await problem { _ = try await token(["shard": "none"]) }.fields["shard"] != nil)
        #expect(try await problem { _ = try await token(["shard": "web-1", "stack": "shop"]) }.code == .invalid)
        // In another cluster the name is free.
        let other = try await fixture.make("cluster", below: "eu-1", ["name": "b"])
        try await fixture.make("shard", below: other, ["name": "web-1", "role": "web"])
        #expect(try await problem { _ = try await token(["shard": "web-1"]) }.fields["shard"] != nil)
    }

    @Test func endedRunsAreKeptAsLongAsTheSettingsSay() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        #expect(try await fixture.hub.runRetention() == .seconds(30 * 86_400))
        _ = try await fixture.hub.update(
            try fixture.kind("platform-config"), id: "platform-config",
            body: ["retention_days": ["workflow_runs": 2]], as: .local)
        #expect(try await fixture.hub.runRetention() == .seconds(2 * 86_400))
    }

    @Test func aClusterMayNameTheStatusThatItHas() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        try await fixture.make("region", ["name": "eu-1"])
        let kind = try fixture.kind("cluster")
        let made = try await fixture.hub.create(
            kind, parentId: "eu-1", body: ["name": "a", "status": "active"], as: .local)
        #expect(made.code == 201 && made.body["status"] == "active")
        let changed = try await fixture.hub.update(kind, id: "a", body: ["status": "active"], as: .local)
        #expect(changed.code == 200 && changed.body["status"] == "active")
        let refused = try await problem {
            _ = try await fixture.hub.update(kind, id: "a", body: ["status": "odd"], as: .local)
        }
        #expect(refused.fields["status"] != nil)
    }
}
