import HubCore
import HubNames
import HubStore
import Model
import ResourceKit
import TestSupport
import Testing

@Suite("FQDNs on a real PowerDNS", .serialized)
struct FQDNTests {
    @Test func aNameGetsRecordsBeforeItIsActiveAndTakesThemAlong() async throws {
        let fixture = try await NameFixture()
        let (tenant, cluster) = try await fixture.tenant()
        try await fixture.working {
            let zone = try await fixture.make("zone", below: tenant, ["name": "example.org"])
            let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "WWW.example.org."])
            let shown = try await fixture.wait("fqdn", fqdn, "active")
            #expect(shown["fqdn"] == "WWW.example.org." && shown["status_message"] == .null)
            #expect(try fixture.server.dig("www.example.org", "A") == ["192.0.2.10"])
            #expect(try fixture.server.dig("www.example.org", "AAAA") == ["2001:db8::10"])
            #expect(try fixture.server.dig("example.org", "NS") == ["ns1.acme.example.", "ns2.acme.example."])
            #expect(
                try #require(try fixture.server.dig("example.org", "SOA").first).contains(#"dns\.master.acme.example."#)
            )
            for record in try await fixture.all("zone-record", below: zone) {
                #expect(record.state["managed_by"] == "auto" && record.state["source_fqdn_id"] == .string(fqdn))
                await #expect(throws: Problem.self) {
                    try await fixture.hub.update(
                        fixture.kind("zone-record"), id: record.id, body: ["ttl": 77], as: .local)
                }
                let refused = await #expect(throws: Problem.self) {
                    try await fixture.hub.delete(fixture.kind("zone-record"), id: record.id, as: .local)
                }
                #expect(refused?.code == .conflict && refused?.hint != nil)
            }
            // Another address of the cluster is another record.
            try await fixture.make("lb-address", below: cluster, ["address": "192.0.2.11"])
            try await fixture.wait("the new address is answered") {
                try fixture.server.dig("www.example.org", "A") == ["192.0.2.10", "192.0.2.11"]
            }
            _ = try await fixture.hub.delete(fixture.kind("fqdn"), id: fqdn, as: .local)
            try await fixture.wait("the records go") { try await fixture.all("zone-record").isEmpty }
            #expect(try fixture.server.dig("www.example.org", "A") == [])
        }
    }

    @Test func aPersonsRecordStaysAndIsNamed() async throws {
        let fixture = try await NameFixture()
        let tenant = try await fixture.tenant().id
        try await fixture.working {
            let zone = try await fixture.make("zone", below: tenant, ["name": "example.org"])
            try await fixture.make("zone-record", below: zone, ["type": "A", "name": "www", "content": "192.0.2.99"])
            let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "www.example.org"])
            let shown = try await fixture.wait("fqdn", fqdn, "active")
            #expect(shown["status_message"]?.stringValue?.contains("A record www → 192.0.2.99") == true)
            try await fixture.wait("both are answered") {
                try fixture.server.dig("www.example.org", "A") == ["192.0.2.99"]
                    && fixture.server.dig("www.example.org", "AAAA") == ["2001:db8::10"]
            }
            // One that comes later takes the place of ours.
            let shop = try await fixture.make("fqdn", below: tenant, ["fqdn": "shop.example.org"])
            try await fixture.wait("fqdn", shop, "active")
            let alias = try await fixture.make(
                "zone-record", below: zone, ["type": "CNAME", "name": "shop", "content": "shops.example.net"])
            try await fixture.wait("zone-record", alias, "active")
            #expect(try fixture.server.dig("shop.example.org", "CNAME") == ["shops.example.net."])
            // And when it goes, ours come back.
            _ = try await fixture.hub.delete(fixture.kind("zone-record"), id: alias, as: .local)
            try await fixture.wait("our records are back") {
                try fixture.server.dig("shop.example.org", "A") == ["192.0.2.10"]
            }
        }
    }

    @Test func anAddressThatNoRecordCanSayHoldsNothingUp() async throws {
        let fixture = try await NameFixture()
        let (tenant, cluster) = try await fixture.tenant()
        // As a hub took them that did not look that closely.
        try await fixture.hub.write { transaction in
            for address in ["::ffff:192.0.2.99", "2001:DB8:0::11"] {
                _ = try transaction.put(
                    ResourceRecord(
                        kind: "lb-address", id: "old \(address)", parentId: cluster, status: .active,
                        spec: ["address": .string(address)], createdAt: transaction.now, updatedAt: transaction.now))
            }
        }
        try await fixture.working {
            try await fixture.make("zone", below: tenant, ["name": "example.org"])
            let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "www.example.org"])
            try await fixture.wait("fqdn", fqdn, "active")
            #expect(try fixture.server.dig("www.example.org", "AAAA") == ["2001:db8::10", "2001:db8::11"])
        }
    }

    @Test func aPlanShowsTheRecordsThatFollow() async throws {
        let fixture = try await NameFixture(isConfigured: false)
        let (tenant, cluster) = try await fixture.tenant()
        let plan = MutationOptions(isPlan: true)
        func lines(_ answer: MutationAnswer) -> [String] {
            (answer.body["plan"]?.arrayValue ?? []).map {
                "\($0["change"]?.stringValue ?? "") \($0["kind"]?.stringValue ?? "")"
            }.sorted()
        }
        try await fixture.make("zone", below: tenant, ["name": "example.org"])
        let body: JSONValue = ["fqdn": "www.example.org"]
        let created = try await fixture.hub.create(
            fixture.kind("fqdn"), parentId: tenant, body: body, options: plan, as: .local)
        #expect(lines(created) == ["create fqdn", "create zone-record", "create zone-record"])
        #expect(try await fixture.all("zone-record").isEmpty)
        let fqdn = try await fixture.make("fqdn", below: tenant, body)
        try await NameService(hub: fixture.hub).pass()
        #expect(try await fixture.all("zone-record").count == 2)
        let address = try await fixture.hub.create(
            fixture.kind("lb-address"), parentId: cluster, body: ["address": "192.0.2.11"], options: plan, as: .local)
        #expect(lines(address) == ["create lb-address", "create zone-record", "update fqdn"])
        let deleted = try await fixture.hub.delete(fixture.kind("fqdn"), id: fqdn, options: plan, as: .local)
        #expect(lines(deleted) == ["delete fqdn", "delete zone-record", "delete zone-record"])
    }

    @Test func aNameForHTTPSSaysWhenItHasNoCertificate() async throws {
        let fixture = try await NameFixture(isConfigured: false)
        let tenant = try await fixture.tenant([]).id
        let service = NameService(hub: fixture.hub)
        let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "www.example.org", "ssl_enabled": true])
        try await service.pass()
        func isMissing() async throws -> Bool {
            let shown = try await fixture.read("fqdn", fqdn)
            #expect(shown["status"] == "active")
            return shown["status_message"]?.stringValue?.contains("without a certificate") == true
        }
        #expect(try await isMissing())
        let certificate = try await fixture.make(
            "certificate", below: fqdn,
            ["cert_pem": .string(SampleCertificates.curve), "key_pem": .string(SampleCertificates.curveKey)])
        #expect(try await !isMissing())
        _ = try await fixture.hub.delete(fixture.kind("certificate"), id: certificate, as: .local)
        #expect(try await isMissing())
        _ = try await fixture.hub.update(fixture.kind("fqdn"), id: fqdn, body: ["ssl_enabled": false], as: .local)
        try await service.pass()
        #expect(try await !isMissing())
    }

    @Test func aNameWithoutAZoneSaysWhereToPoint() async throws {
        let fixture = try await NameFixture()
        let tenant = try await fixture.tenant().id
        try await fixture.working {
            let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "www.example.org"])
            let shown = try await fixture.wait("fqdn", fqdn, "active")
            #expect(shown["status_message"]?.stringValue?.contains("192.0.2.10") == true)
            #expect(shown["zone_id"] == .null)
            await #expect(throws: Problem.self) {
                try await fixture.make("fqdn", below: tenant, ["fqdn": "WWW.EXAMPLE.ORG."])
            }
            await #expect(throws: Problem.self) {
                try await fixture.make("fqdn", below: tenant, ["fqdn": "a.example.org", "webroot_id": "web_x"])
            }
            // A zone that comes later gets its records.
            try await fixture.make("zone", below: tenant, ["name": "example.org"])
            try await fixture.wait("the name is answered") {
                try fixture.server.dig("www.example.org", "A") == ["192.0.2.10"]
            }
            // Everything of the tenant goes with it.
            _ = try await fixture.hub.delete(fixture.kind("tenant"), id: tenant, as: .local)
            try await fixture.wait("all of it goes") {
                let zones = try await fixture.all("zone").count
                return try await zones + fixture.all("fqdn").count + fixture.all("tenant").count == 0
            }
            #expect(try fixture.server.dig("www.example.org", "A") == [])
        }
    }
}

@Suite("Uploaded certificates")
struct CertificateUploadTests {
    @Test func aCertificateIsCheckedSealedAndCurrent() async throws {
        let fixture = try await NameFixture(isConfigured: false)
        let tenant = try await fixture.tenant().id
        let fqdn = try await fixture.make("fqdn", below: tenant, ["fqdn": "www.example.org"])
        func upload(_ certificate: String, _ key: String) async throws -> String {
            try await fixture.make(
                "certificate", below: fqdn, ["cert_pem": .string(certificate), "key_pem": .string(key)])
        }
        let first = try await upload(SampleCertificates.curve, SampleCertificates.curveKey)
        try await fixture.hub.settle()
        let shown = try await fixture.read("certificate", first)
        #expect(shown["status"] == "active" && shown["is_current"] == true && shown["key_pem"] == nil)
        #expect(shown["issuer"] == "O=Example, CN=Example Root")
        let stored = try await fixture.all("certificate")[0]
        #expect(stored.spec["key_pem"]?.stringValue?.hasPrefix("sealed:") == true)
        let second = try await upload(SampleCertificates.rsa, SampleCertificates.rsaKey)
        let current = try await fixture.all("certificate").filter { $0.state["is_current"] == true }.map(\.id)
        #expect(current == [second])
        _ = try await fixture.hub.delete(fixture.kind("certificate"), id: second, as: .local)
        #expect(try await fixture.read("certificate", first)["is_current"] == true)
        for (certificate, key) in [
            (SampleCertificates.foreign, SampleCertificates.foreignKey),
            (SampleCertificates.ended, SampleCertificates.curveKey),
            (SampleCertificates.rsa, SampleCertificates.curveKey),
            (SampleCertificates.curve, SampleCertificates.curveKey),
        ] {
            await #expect(throws: Problem.self) { _ = try await upload(certificate, key) }
        }
        let audit = try await fixture.hub.auditLog(as: .local).filter { $0.resourceKind == "certificate" }
        #expect(!audit.isEmpty && audit.allSatisfy { !$0.body.canonicalText.contains("PRIVATE KEY") })
    }
}
