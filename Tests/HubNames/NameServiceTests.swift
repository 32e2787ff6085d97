import HubCore
import HubNames
import HubStore
import Model
import ResourceKit
import TestSupport
import Testing

@Suite("Names on a real PowerDNS", .serialized)
struct NameServiceTests {
    private func problem(_ body: () async throws -> Void) async -> Problem? {
        do {
            try await body()
            return nil
        } catch {
            return error as? Problem
        }
    }

    /// A record of each type.
    private static let declared = [
        ("A", "www", "192.0.2.1"), ("A", "www", "192.0.2.2"), ("AAAA", "www", "2001:DB8::1"),
        ("MX", "@", "10 mail.example.net"), ("TXT", "@", "v=spf1 -all; \"x\""),
        ("CNAME", "blog", "www.example.org"),
        ("SRV", "_sip._tcp", "1 5 5060 sip.example.net"), ("CAA", "@", "0 issue \"ca.example.net\""),
        ("HTTPS", "web", "1 . alpn=h2"), ("PTR", "p", "host.example.net"), ("NS", "sub", "ns.example.net"),
        ("SSHFP", "www", "4 2 \(String(repeating: "AB", count: 32))"), ("ALIAS", "@", "lb.example.net"),
        ("NAPTR", "n", "1 2 \"u\" \"E2U+sip\" \"!^.*$!sip:a@example.net!\" ."),
        ("URI", "u", "10 1 \"https://e.example/\""),
        ("TLSA", "_443._tcp.www", "3 1 1 \(String(repeating: "cd", count: 32))"), ("A", "*.any", "192.0.2.9"),
        ("DS", "sub", "1 13 2 \(String(repeating: "ef", count: 32))"),
        ("SVCB", "s", "1 svc.example.net port=53"),
        ("OPENPGPKEY", "k", "AQIDBA=="), ("SMIMEA", "m", "3 0 0 aabb"),
    ]

    @Test func whatIsDeclaredIsAnswered() async throws {
        let fixture = try await NameFixture()
        try await fixture.working {
            let zone = try await fixture.make("zone", ["name": "Example.ORG."])
            var ids: [String] = []
            for (type, name, content) in Self.declared {
                let body: JSONValue = ["type": .string(type), "name": .string(name), "content": .string(content)]
                ids.append(try await fixture.make("zone-record", below: zone, body))
            }
            let shown = try await fixture.wait("zone", zone, "active")
            #expect(shown["name"] == "Example.ORG.")
            for id in ids { try await fixture.wait("zone-record", id, "active") }
            let server = fixture.server
            #expect(try server.dig("www.example.org", "A") == ["192.0.2.1", "192.0.2.2"])
            #expect(try server.dig("www.example.org", "AAAA") == ["2001:db8::1"])
            #expect(try server.dig("example.org", "MX") == ["10 mail.example.net."])
            #expect(try server.dig("example.org", "TXT") == ["\"v=spf1 -all; \\\"x\\\"\""])
            #expect(try server.dig("blog.example.org", "CNAME") == ["www.example.org."])
            #expect(try server.dig("q.any.example.org", "A") == ["192.0.2.9"])
            #expect(try server.dig("example.org", "NS") == ["ns1.provider.example.", "ns2.provider.example."])
            let authority = try #require(try server.dig("example.org", "SOA").first).split(separator: " ")
            #expect(authority[0] == "ns1.provider.example." && authority[1] == "hostmaster.provider.example.")
            // A change raises the serial, and what goes is no longer answered.
            _ = try await fixture.hub.update(
                fixture.kind("zone-record"), id: ids[0], body: ["content": "192.0.2.7", "ttl": 60], as: .local)
            _ = try await fixture.hub.update(
                fixture.kind("zone-record"), id: ids[5], body: ["name": "news"], as: .local)
            _ = try await fixture.hub.delete(fixture.kind("zone-record"), id: ids[3], as: .local)
            try await fixture.wait("zone-record", ids[0], "active")
            try await fixture.wait("zone-record", ids[5], "active")
            #expect(try server.dig("www.example.org", "A") == ["192.0.2.2", "192.0.2.7"])
            #expect(try server.dig("blog.example.org", "CNAME") == [])
            #expect(try server.dig("news.example.org", "CNAME") == ["www.example.org."])
            try await fixture.wait("the record goes") { try server.dig("example.org", "MX") == [] }
            let later = try #require(try server.dig("example.org", "SOA").first).split(separator: " ")
            #expect(try #require(Int(later[2])) > #require(Int(authority[2])))
            // Nothing is done again that is done: another look changes no serial.
            try await NameService(hub: fixture.hub).pass()
            try await NameService(hub: fixture.hub).pass()
            let again = NameService(hub: fixture.hub)
            try await again.pass()
            let settled = try server.dig("example.org", "SOA")
            try await again.pass()
            #expect(try server.dig("example.org", "SOA") == settled)
            _ = try await fixture.hub.delete(fixture.kind("zone"), id: zone, as: .local)
            try await fixture.wait("the zone goes") { try await fixture.all("zone").isEmpty }
            #expect(try server.dig("www.example.org", "A") == [])
            #expect(try await fixture.all("zone-record").isEmpty)
        }
    }

    @Test func rulesBetweenRecordsHold() async throws {
        let fixture = try await NameFixture(isConfigured: false)
        let zone = try await fixture.make("zone", ["name": "example.org"])
        func add(_ type: String, _ name: String, _ content: String) async throws {
            try await fixture.make(
                "zone-record", below: zone,
                ["type": .string(type), "name": .string(name), "content": .string(content)])
        }
        try await add("A", "www", "192.0.2.1")
        try await add("CNAME", "blog", "www.example.org")
        try await add("MX", "@", "mail.example.org")
        for (type, name, content, code) in [
            ("A", "www", "192.0.2.1", Problem.Code.conflict), ("A", "WWW.example.org.", "192.0.2.1", .conflict),
            ("CNAME", "www", "a.example.net", .conflict), ("CNAME", "blog", "a.example.net", .conflict),
            ("A", "blog", "192.0.2.1", .conflict), ("CNAME", "@", "a.example.net", .invalid),
            ("DS", "@", "1 13 2 \(String(repeating: "a", count: 64))", .invalid),
            ("MX", "x", "blog.example.org", .invalid), ("CNAME", "mail", "a.example.net", .conflict),
            ("A", "www.example.org", "192.0.2.1", .invalid), ("A", "x", "nonsense", .invalid),
            ("SOA", "@", "x", .invalid),
        ] {
            let refused = await problem { try await add(type, name, content) }
            #expect(refused?.code == code, "\(type) \(name) \(content): \(String(describing: refused))")
        }
        // A zone below that of somebody else, and one of the same name.
        #expect(await problem { try await fixture.make("zone", ["name": "EXAMPLE.org."]) }?.code == .conflict)
        let tenant = try await fixture.tenant().id
        let below: JSONValue = ["name": "shop.example.org"]
        #expect(await problem { try await fixture.make("zone", below: tenant, below) }?.code == .conflict)
        try await fixture.make("zone", below)
    }

    @Test func withoutAServerItSaysWhatToConfigure() async throws {
        let fixture = try await NameFixture(isConfigured: false)
        try await fixture.working {
            let zone = try await fixture.make("zone", ["name": "example.org"])
            let record = try await fixture.make(
                "zone-record", below: zone, ["type": "A", "name": "www", "content": "192.0.2.1"])
            let other = try await fixture.make(
                "zone-record", below: zone, ["type": "A", "name": "old", "content": "192.0.2.1"])
            let waiting = try await fixture.wait("zone-record", record, "provisioning")
            #expect(waiting["status_message"]?.stringValue?.contains("dns_api_url") == true)
            try await fixture.wait("zone", zone, "provisioning")
            _ = try await fixture.hub.delete(fixture.kind("zone-record"), id: other, as: .local)
            try await fixture.wait("what no server has goes at once") {
                try await fixture.all("zone-record").count == 1
            }
            try await fixture.configure()
            try await fixture.wait("zone-record", record, "active")
            #expect(try fixture.server.dig("www.example.org", "A") == ["192.0.2.1"])
            let settings = try await fixture.read("platform-config", "platform-config")
            #expect(settings["dns_api_key"] == nil)
        }
        let stored = try await fixture.store.read { try $0.get("platform-config", "platform-config") }
        #expect(stored?.spec["dns_api_key"]?.stringValue?.hasPrefix("sealed:") == true)
        let audit = try await fixture.hub.auditLog(as: .local)
        #expect(audit.contains { $0.body["dns_api_key"] == "[redacted]" })
    }

    @Test func aStoppedServerIsWaitedFor() async throws {
        let fixture = try await NameFixture()
        try await fixture.working {
            let zone = try await fixture.make("zone", ["name": "example.org"])
            try await fixture.wait("zone", zone, "active")
            fixture.server.stop()
            let record = try await fixture.make(
                "zone-record", below: zone, ["type": "A", "name": "www", "content": "192.0.2.1"])
            try await fixture.wait("it says what is wrong") {
                try await fixture.read("zone-record", record)["status_message"]?.stringValue?
                    .contains("PowerDNS at \(fixture.server.url) does not answer") == true
            }
            #expect(try await fixture.read("zone-record", record)["status"] == "provisioning")
            try fixture.server.start()
            let done = try await fixture.wait("zone-record", record, "active")
            #expect(done["status_message"] == .null)
            #expect(try fixture.server.dig("www.example.org", "A") == ["192.0.2.1"])
        }
    }

    @Test func aWrongKeyIsSaid() async throws {
        let fixture = try await NameFixture()
        _ = try await fixture.hub.update(
            fixture.kind("platform-config"), id: "platform-config", body: ["dns_api_key": "wrong"], as: .local)
        try await fixture.working {
            let zone = try await fixture.make("zone", ["name": "example.org"])
            try await fixture.wait("it says what is wrong") {
                try await fixture.read("zone", zone)["status_message"]?.stringValue?.contains("refuses the API key")
                    == true
            }
            try await fixture.configure()
            try await fixture.wait("zone", zone, "active")
        }
    }

    @Test func whatOtherHandsChangeIsPutBackAndWhatIsNotOursIsLeft() async throws {
        let fixture = try await NameFixture()
        let client = PowerDNSClient(url: fixture.server.url, key: PowerDNSServer.key)
        try await fixture.working(lookInterval: .milliseconds(200)) {
            let zone = try await fixture.make("zone", ["name": "example.org"])
            let record = try await fixture.make(
                "zone-record", below: zone, ["type": "A", "name": "www", "content": "192.0.2.1"])
            try await fixture.wait("zone-record", record, "active")
            try await client.change(
                "example.org",
                [
                    .replace(
                        .init(.init(name: "www.example.org", type: "A"), ttlSeconds: 60, contents: ["192.0.2.66"])),
                    .replace(
                        .init(.init(name: "_acme.example.org", type: "TXT"), ttlSeconds: 60, contents: ["\"token\""])),
                    .delete(.init(name: "example.org", type: "NS")),
                ])
            try await fixture.wait("the records are put back") {
                try fixture.server.dig("www.example.org", "A") == ["192.0.2.1"]
                    && fixture.server.dig("example.org", "NS").count == 2
            }
            #expect(try fixture.server.dig("_acme.example.org", "TXT") == ["\"token\""])
            // Even the whole zone.
            try await client.delete("example.org")
            try await fixture.wait("the zone is put back") {
                try fixture.server.dig("www.example.org", "A") == ["192.0.2.1"]
            }
        }
    }

    @Test func aThousandAtOnceAreAllActiveAndNoneTwice() async throws {
        let fixture = try await NameFixture()
        try await fixture.working {
            let zone = try await fixture.make("zone", ["name": "example.org"])
            let ids = try await withThrowingTaskGroup(of: String.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        try await fixture.make(
                            "zone-record", below: zone,
                            [
                                "type": "A", "name": .string("host-\(number % 500)"),
                                "content": .string("192.0.2.\(number / 500 + 1)"),
                            ])
                    }
                }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            try await fixture.wait("all are active") {
                try await fixture.all("zone-record").allSatisfy { $0.status == .active }
            }
            #expect(Set(ids).count == 1000)
            #expect(try await fixture.all("zone-record").count == 1000)
            let client = PowerDNSClient(url: fixture.server.url, key: PowerDNSServer.key)
            let served = try #require(try await client.zone("example.org"))
            let hosts = served.sets.values.filter { $0.key.name.hasPrefix("host-") }
            #expect(hosts.count == 500 && hosts.allSatisfy { $0.contents == ["192.0.2.1", "192.0.2.2"] })
            #expect(try fixture.server.dig("host-499.example.org", "A") == ["192.0.2.1", "192.0.2.2"])
        }
    }
}
