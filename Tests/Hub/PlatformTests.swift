import AgentProtocol
import Catalog
import Crypto
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// What the kinds of the platform do beyond the rules of all kinds; on the store that is named.
@Suite struct PlatformTests {
    private struct Place {
        var region: String
        var cluster: String
        var shard: String
    }

    private func place(_ fixture: HubFixture) async throws -> Place {
        try await fixture.make(
            "brand",
            [
                "id": "acme", "name": "Acme Hosting", "base_hostname": "a.example.org",
                "primary_ns": "ns1.example.org.", "secondary_ns": "ns2.example.org",
                "hostmaster_email": "h@example.org",
            ])
        let region = try await fixture.make("region", ["name": "eu-1", "config": ["zone": ["a", 1, true]]])
        let cluster = try await fixture.make("cluster", below: region, ["name": "a"])
        let shard = try await fixture.make("shard", below: cluster, ["name": "web-1", "role": "web"])
        return Place(region: region, cluster: cluster, shard: shard)
    }

    @Test func idsAreChosenOrNames() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let place = try await place(fixture)
        #expect(place.region == "eu-1" && place.cluster == "a")
        let hub = fixture.hub
        let brand = try await hub.read(try fixture.kind("brand"), id: "acme", as: .local)
        #expect(brand["id"] == "acme" && brand["primary_ns"] == "ns1.example.org.")
        let region = try await hub.read(try fixture.kind("region"), id: "eu-1", as: .local)
        #expect(region["config"] == ["zone": ["a", 1, true]])
        // Another region may have a cluster of the same name, under an id of its own.
        let other = try await fixture.make("region", ["id": "us", "name": "us-1"])
        #expect(other == "us")
        let second = try await fixture.make("cluster", below: other, ["name": "a"])
        #expect(second != "a")
        #expect(try await hub.read(try fixture.kind("cluster"), id: second, as: .local)["id"] == .string(second))
        let taken = try await problem { try await fixture.make("cluster", below: other, ["id": "a", "name": "b"]) }
        #expect(taken.code == .conflict)
        let nested = try await hub.create(
            try fixture.kind("region"),
            body: [
                "name": "ap-1",
                "clusters": [["name": "ap-1-a", "shards": [["name": "s", "role": "web"]], "runtimes": []]],
            ], as: .local)
        #expect(
            nested.body["clusters"]?.arrayValue?.first?["shards"]?.arrayValue?.first?["cluster_id"] == "ap-1-a")
    }

    @Test func aShardWaitsForItsAgentsAndSaysWhoHasNone() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let hub = fixture.hub
        let place = try await place(fixture)
        func shard() async throws -> JSONValue {
            try await hub.settle()
            return try await hub.read(try fixture.kind("shard"), id: place.shard, as: .local)
        }
        #expect(try await shard()["status"] == "active")
        #expect(try await shard()["status_message"] == "No server is in it yet.")
        let node = try await fixture.make(
            "node", below: place.cluster,
            ["hostname": "web-1.example.org", "roles": ["web"], "shard_ids": .array([.string(place.shard)])])
        #expect(try await shard()["status_message"] == "No agent reports from web-1.example.org yet.")
        // An agent joins the declared server, and is waited for.
        let token = try await hub.create(
            try fixture.kind("install-token"), body: ["shard_id": .string(place.shard)], as: .local)
        _ = try await hub.ensureSigningKey()
        fixture.clock.move(.seconds(10))
        let converge = try #require(try fixture.kind("shard").actions.first)
        let key = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
        let request = RegisterRequest(
            token: try #require(token.body["token"]?.stringValue), publicKey: Base64.encode(Array(key)),
            hostname: "WEB-1.example.org", agentVersion: "1", protocolVersion: protocolVersion)
        let joined = try await hub.register(request, address: "192.0.2.20")
        #expect(joined.nodeId == node && joined.nodeName == "web-1")
        let thief = Curve25519.Signing.PrivateKey().publicKey.rawRepresentation
        var again = request
        again.publicKey = Base64.encode(Array(thief))
        #expect(try await problem { _ = try await hub.register(again, address: "x") }.code == .forbidden)
        fixture.clock.move(.seconds(10))
        let answer = try await hub.perform(converge, on: try fixture.kind("shard"), id: place.shard, as: .local)
        #expect(answer.code == 202 && answer.body["status"] == "provisioning")
        let waiting = try await shard()
        #expect(waiting["status"] == "provisioning")
        #expect(waiting["status_message"] == "Waiting for web-1.example.org to report.")
        _ = try await hub.write { transaction in
            var record = try transaction.get("node", node)!
            record.state["last_heartbeat_at"] = .string(transaction.now.advanced(by: .seconds(1)).rfc3339)
            return try transaction.put(record)
        }
        #expect(try await shard()["status"] == "active")
        let document = try await hub.desiredState(nodeId: node)
        #expect(document.document["services"] == [] && document.document["stack_id"] == "")
        // The shard goes, the server stays.
        _ = try await hub.delete(try fixture.kind("shard"), id: place.shard, as: .local)
        #expect(try await hub.read(try fixture.kind("node"), id: node, as: .local)["shard_ids"] == [])
    }

    private func becomesActive(_ id: String, _ fixture: HubFixture) async throws -> Bool {
        for _ in 0..<400 {
            if try await fixture.hub.read(try fixture.kind("tenant"), id: id, as: .local)["status"] == "active" {
                return true
            }
            try await Task.sleep(for: .milliseconds(25))
        }
        return false
    }

    /// There and back again.
    private func theNamesOfATenantFollow(
        _ fixture: HubFixture, _ kind: ResourceKind, _ id: String, from: String, to: String
    ) async throws {
        let hub = fixture.hub
        let fqdn = try await fixture.make("fqdn", below: id, ["fqdn": "www.moved.example"])
        func set(_ status: ResourceStatus) async throws {
            _ = try await hub.write { transaction in
                var record = try transaction.get("fqdn", fqdn)!
                record.status = status
                return try transaction.put(record)
            }
        }
        func status(_ name: String, _ id: String, becomes status: String) async throws -> Bool {
            for _ in 0..<400 {
                try await hub.settle()
                if try await hub.read(try fixture.kind(name), id: id, as: .local)["status"] == .string(status) {
                    return true
                }
                try await Task.sleep(for: .milliseconds(25))
                // The run looks again after a while.
                fixture.clock.move(.milliseconds(250))
            }
            return false
        }
        try await set(.active)
        let usage = try await hub.view("resource-usage", of: kind, id: id, as: .local)
        #expect(usage["counts"] == ["fqdn": 1] && usage["disk_used_bytes"]?.isNull == true)
        let migrate = try #require(kind.actions.first { $0.name == "migrate" })
        _ = try await hub.perform(
            migrate, on: kind, id: id, body: ["target_shard_id": .string(to), "migrate_fqdns": true], as: .local)
        // It waits for its name.
        #expect(try await status("fqdn", fqdn, becomes: "provisioning"))
        #expect(try await status("tenant", id, becomes: "provisioning"))
        let elsewhere = try await problem {
            _ = try await hub.perform(migrate, on: kind, id: id, body: ["target_shard_id": .string(from)], as: .local)
        }
        #expect(elsewhere.code == .conflict)
        try await set(.active)
        #expect(try await status("tenant", id, becomes: "active"))
        // Without the wish it is left alone.
        _ = try await hub.perform(migrate, on: kind, id: id, body: ["target_shard_id": .string(from)], as: .local)
        #expect(try await status("tenant", id, becomes: "active"))
        #expect(try await hub.read(try fixture.kind("fqdn"), id: fqdn, as: .local)["status"] == "active")
        _ = try await hub.delete(try fixture.kind("fqdn"), id: fqdn, as: .local)
    }

    @Test func aTenantLogsInAsSoonAsItWasActive() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let hub = fixture.hub
        let place = try await place(fixture)
        let kind = try fixture.kind("tenant")
        let id = try await fixture.make(
            "tenant",
            [
                "brand_id": "acme", "region_id": .string(place.region), "cluster_id": .string(place.cluster),
                "shard_id": .string(place.shard),
            ])
        func hint() async throws -> String {
            let answer = try await hub.makeLoginSession(tenantId: id, options: .init(), as: .local)
            return answer.body["login_hint"]?.stringValue ?? ""
        }
        func act(_ name: String, _ arguments: JSONValue = .null) async throws -> JSONValue {
            let action = try #require(kind.allActions.first { $0.name == name })
            return try await hub.perform(action, on: kind, id: id, body: arguments, as: .local).body
        }
        // A change of what was never active makes it nothing that could be used.
        let early = try await hub.update(kind, id: id, body: ["customer_id": "c-1"], as: .local)
        #expect(early.code == 202 && early.body["status"] == "pending")
        #expect(try await problem { _ = try await hint() }.code == .conflict)
        try await hub.settle()
        _ = try await hub.update(kind, id: id, body: ["customer_id": "c-2"], as: .local)
        #expect(try await hub.read(kind, id: id, as: .local)["status"] == "provisioning")
        #expect(try await hub.takeLoginHint(try await hint())?.id == id)
        try await hub.settle()
        let late = try await hint()
        #expect(try await act("suspend", ["reason": "Unpaid."])["suspend_reason"] == "Unpaid.")
        #expect(try await problem { _ = try await hint() }.code == .conflict)
        #expect(try await hub.takeLoginHint(late) == nil)
        // Once more without a reason: the one that is there stays.
        let again = try await act("suspend")
        #expect(again["suspend_reason"] == "Unpaid." && again["status_message"] == "Unpaid.")
        #expect(try await act("suspend", ["reason": "Abuse."])["status_message"] == "Abuse.")
        #expect(try await act("unsuspend")["suspend_reason"] == .null)
        #expect(try await act("suspend")["suspend_reason"] == .null)
    }

    @Test func aTenantFitsItsPlaceAndIsSuspendedAndMoved() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let hub = fixture.hub
        let place = try await place(fixture)
        let kind = try fixture.kind("tenant")
        let database = try await fixture.make("shard", below: place.cluster, ["name": "db", "role": "database"])
        let second = try await fixture.make("shard", below: place.cluster, ["name": "web-2", "role": "web"])
        var body: JSONValue = [
            "brand_id": "acme", "region_id": .string(place.region), "cluster_id": .string(place.cluster),
            "shard_id": .string(database),
        ]
        #expect(try await problem { try await fixture.make("tenant", body) }.fields["shard_id"] != nil)
        body["shard_id"] = .string(place.shard)
        let id = try await fixture.make("tenant", body)
        #expect(id.hasPrefix("t_") && id.utf8.count == 12)
        try await hub.settle()
        func act(_ name: String, _ arguments: JSONValue = .null) async throws -> JSONValue {
            let action = try #require(kind.allActions.first { $0.name == name })
            let answer = try await hub.perform(action, on: kind, id: id, body: arguments, as: .local)
            #expect(answer.code == 202 && answer.body["status"] != "active")
            return answer.body
        }
        let suspended = try await act("suspend", ["reason": "Unpaid."])
        #expect(suspended["status"] == "suspended" && suspended["suspend_reason"] == "Unpaid.")
        try await hub.settle()
        let changed = try await hub.update(kind, id: id, body: ["customer_id": "c-2"], as: .local)
        #expect(changed.body["status"] == "suspended" && changed.body["customer_id"] == "c-2")
        #expect(
            try await problem { _ = try await act("migrate", ["target_shard_id": .string(second)]) }.code == .conflict)
        let zone: JSONValue = ["name": "below.example.org", "brand_id": "acme", "tenant_id": .string(id)]
        #expect(try await problem { try await fixture.make("zone", zone) }.code == .conflict)
        _ = try await act("unsuspend")
        try await hub.settle()
        // On a healthy one as well: an answer of 202 never shows the status from before.
        for name in ["retry", "retry-failed"] {
            #expect(try await act(name)["status"] == "provisioning")
            try await hub.settle()
            #expect(try await hub.read(kind, id: id, as: .local)["status"] == "active")
        }
        let alike = try await hub.update(kind, id: id, body: ["customer_id": "c-2"], as: .local)
        #expect(alike.code == 202 && alike.body["status"] == "provisioning")
        try await hub.settle()
        let refused = try await problem { _ = try await act("migrate", ["target_shard_id": .string(database)]) }
        #expect(refused.fields["target_shard_id"] != nil)
        hub.openWorkflows(journal: fixture.store, name: "hub")
        let workflows = Task { await hub.runWorkflows() }
        defer { workflows.cancel() }
        let plan = try await hub.perform(
            try #require(kind.actions.first { $0.name == "migrate" }), on: kind, id: id,
            body: ["target_shard_id": .string(second)], options: MutationOptions(isPlan: true), as: .local)
        #expect(plan.body["plan"]?.arrayValue?.first?["fields"]?["shard_id"]?["to"] == .string(second))
        let moving = try await act("migrate", ["target_shard_id": .string(second)])
        #expect(moving["shard_id"] == .string(second) && moving["run_id"]?.stringValue != nil)
        #expect(try await becomesActive(id, fixture))
        try await theNamesOfATenantFollow(fixture, kind, id, from: second, to: place.shard)
        // Now the first shard is free to go, and the second is not.
        #expect(try await hub.delete(try fixture.kind("shard"), id: place.shard, as: .local).code == 202)
        let bound = try await problem { _ = try await hub.delete(try fixture.kind("shard"), id: second, as: .local) }
        #expect(bound.code == .conflict && bound.message.contains(id))
    }

    @Test func aZoneIsGivenToATenantOfItsBrandWithAllThatIsInIt() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let place = try await place(fixture)
        func tenant(_ brand: String) async throws -> String {
            try await fixture.make(
                "tenant",
                [
                    "brand_id": .string(brand), "region_id": .string(place.region),
                    "cluster_id": .string(place.cluster), "shard_id": .string(place.shard),
                ])
        }
        try await fixture.make(
            "brand",
            [
                "name": "other", "base_hostname": "b.example.org", "primary_ns": "ns1.example.org",
                "secondary_ns": "ns2.example.org", "hostmaster_email": "h@example.org",
            ])
        let (own, foreign) = (try await tenant("acme"), try await tenant("other"))
        let zone = try await fixture.make("zone", ["name": "example.net", "brand_id": "acme"])
        let record = try await fixture.make(
            "zone-record", below: zone, ["type": "A", "name": "@", "content": "192.0.2.1"])
        let kind = try fixture.kind("zone")
        func give(_ tenant: JSONValue) async throws -> JSONValue {
            try await fixture.hub.update(kind, id: zone, body: ["tenant_id": tenant], as: .local).body
        }
        for wrong in [JSONValue.string(foreign), "none", 1] {
            #expect(try await problem { _ = try await give(wrong) }.fields["tenant_id"] != nil)
        }
        #expect(try await give(.string(own))["tenant_id"] == .string(own))
        let held = try await fixture.store.read { try $0.get("zone-record", record)?.tenantId }
        #expect(held == own)
        #expect(try await give(.null)["tenant_id"] == .null)
        // What cannot be moved says so, and may be sent back as it was read.
        let records = try fixture.kind("zone-record")
        let stays = try await problem {
            _ = try await fixture.hub.update(records, id: record, body: ["zone_id": "none"], as: .local)
        }
        #expect(stays.fields["zone_id"] == "cannot be changed after creation")
        _ = try await fixture.hub.update(records, id: record, body: ["zone_id": .string(zone)], as: .local)
    }
}
