import Catalog
import HubAPI
import HubCore
import HubStore
import Logging
import Model
import ResourceKit
import Testing

/// The kind that ARCHITECTURE.md adds as an example does all that the page says.
@Suite struct WorkedExampleTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }

    init() throws { fixture = try HubFixture(kinds: Catalog.kinds + [contactKind]) }

    private func tenant(_ contacts: JSONValue) async throws -> JSONValue {
        try await fixture.make(
            "brand",
            [
                "id": "acme", "name": "Acme", "base_hostname": "a.example.org", "primary_ns": "ns1.example.org",
                "secondary_ns": "ns2.example.org", "hostmaster_email": "h@example.org",
            ])
        let region = try await fixture.make("region", ["name": "eu-1"])
        let cluster = try await fixture.make("cluster", below: region, ["name": "a"])
        let shard = try await fixture.make("shard", below: cluster, ["name": "web-1", "role": "web"])
        return [
            "brand_id": "acme", "region_id": .string(region), "cluster_id": .string(cluster),
            "shard_id": .string(shard), "contacts": contacts,
        ]
    }

    @Test func isMadeTogetherWithItsTenantOrNotAtAll() async throws {
        let good: JSONValue = ["name": "on-call", "address": "ada@example.org", "token": "s3cret"]
        let body = try await tenant([good, ["name": "second", "address": "nowhere"]])
        let refused = try await problem { try await fixture.make("tenant", body) }
        #expect(refused.fields["contacts[1].address"] == "must be an address")
        #expect(try await hub.list(try fixture.kind("tenant"), as: .local).items.isEmpty)
        var twice = body
        twice["contacts"] = [good, good]
        let taken = try await problem { try await fixture.make("tenant", twice) }
        #expect(taken.code == .conflict && taken.fields.keys.contains { $0.hasPrefix("contacts[1].") })
        #expect(try await hub.list(try fixture.kind("tenant"), as: .local).items.isEmpty)
        #expect(try await hub.list(contactKind, as: .local).items.isEmpty)
        var one = body
        one["contacts"] = [good]
        let answer = try await hub.create(try fixture.kind("tenant"), body: one, as: .local)
        let contact = try #require(answer.body["contacts"]?.arrayValue?.first)
        #expect(contact["status"] == "pending" && contact["tenant_id"] == answer.body["id"])
        #expect(contact["token"] == nil)
        try await hub.settle()
        let id = try #require(contact["id"]?.stringValue)
        #expect(try await hub.read(contactKind, id: id, as: .local)["status"] == "active")
        // It belongs to the brand and counts in the tenant's summary.
        #expect(try await hub.list(contactKind, as: .scoped("*:*", brands: ["acme"])).items.count == 1)
        #expect(try await hub.list(contactKind, as: .scoped("*:*", brands: ["other"])).items.isEmpty)
        let tenantId = try #require(answer.body["id"]?.stringValue)
        let summary = try await hub.view(
            "resource-summary", of: try fixture.kind("tenant"), id: tenantId, as: .local)
        #expect(summary["kinds"]?["contact"]?["active"] == 1 && summary["total"] == 1)
        let audit = try await hub.auditLog(.init(action: "create"), as: .local).map(\.json.canonicalText).joined()
        #expect(!audit.contains("s3cret") && audit.contains("on-call"))
        #expect(try await hub.delete(try fixture.kind("tenant"), id: tenantId, as: .local).code == 202)
        #expect(try await problem { _ = try await hub.read(contactKind, id: id, as: .local) }.code == .notFound)
    }

    @Test func failuresOfATenantAreTriedAgain() async throws {
        let body = try await tenant([["name": "on-call", "address": "ada@example.org"]])
        let answer = try await hub.create(try fixture.kind("tenant"), body: body, as: .local)
        let id = try #require(answer.body["contacts"]?.arrayValue?.first?["id"]?.stringValue)
        _ = try await hub.write { transaction in
            var record = try transaction.get("contact", id)!
            record.status = .failed
            return try transaction.put(record)
        }
        let kind = try fixture.kind("tenant")
        let retry = try #require(kind.actions.first { $0.name == "retry-failed" })
        let tried = try await hub.perform(retry, on: kind, id: answer.body["id"]?.stringValue ?? "", as: .local)
        #expect(tried.code == 202)
        #expect(try await hub.read(contactKind, id: id, as: .local)["status"] == "provisioning")
        try await hub.settle()
        #expect(try await hub.read(contactKind, id: id, as: .local)["status"] == "active")
    }

    @Test func hasAllEndpoints() throws {
        let api = HubAPI(hub: hub, logger: Logger(label: "test"))
        let document = try JSONParser.parse(api.openAPIDocument)
        for path in [
            "contacts", "contacts/{id}", "contacts/{id}/pause", "contacts/{id}/retry", "tenants/{id}/contacts",
        ] {
            #expect(document["paths"]?["/api/v1/\(path)"] != nil, "\(path)")
        }
        #expect(
            document["components"]?["schemas"]?["tenant-creation"]?["properties"]?["contacts"]?["items"]?["$ref"]
                == "#/components/schemas/contact-nested")
        // A creation is called back about once, so that what it nests takes no address of its own.
        let schemas = document["components"]?["schemas"]
        #expect(schemas?["contact-creation"]?["properties"]?["callback_url"] != nil)
        #expect(schemas?["contact-nested"]?["properties"]?["name"] != nil)
        #expect(schemas?["contact-nested"]?["properties"]?["callback_url"] == nil)
    }
}
