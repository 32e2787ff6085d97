import Catalog
import Host
import HubCore
import HubNames
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// A name server whose hub can be killed before or after any request.
private struct CutServer: ZoneServer {
    let inner: any ZoneServer
    let power: WriteCut

    func zone(_ name: String) async throws -> ServedZone? { try await power.counted { try await inner.zone(name) } }
    func create(_ name: String, sets: [RecordSet]) async throws {
        try await power.counted { try await inner.create(name, sets: sets) }
    }
    func change(_ name: String, _ changes: [RecordSetChange]) async throws {
        try await power.counted { try await inner.change(name, changes) }
    }
    func delete(_ name: String) async throws { try await power.counted { try await inner.delete(name) } }
}

@Suite("Power cuts while names are made", .serialized)
struct NameCrashTests {
    /// What the hub has to do: a zone and its records, a record that moves, one that goes, a zone that goes.
    private func prepare(_ fixture: NameFixture) async throws {
        try await settle(fixture.hub)
        for name in ["walk.example", "old.example"] {
            let zone = try await fixture.make("zone", ["name": .string(name)])
            for host in ["stay", "move", "go"] {
                try await fixture.make(
                    "zone-record", below: zone,
                    ["type": "A", "name": .string(host), "content": "192.0.2.1"])
            }
        }
        try await settle(fixture.hub)
        let zones = try await fixture.all("zone")
        let records = try await fixture.all("zone-record", below: zones[0].id)
        _ = try await fixture.hub.update(
            fixture.kind("zone-record"), id: records[1].id, body: ["name": "moved"], as: .local)
        _ = try await fixture.hub.delete(fixture.kind("zone-record"), id: records[2].id, as: .local)
        _ = try await fixture.hub.delete(fixture.kind("zone"), id: zones[1].id, as: .local)
        let zone = try await fixture.make("zone", ["name": "new.example"])
        try await fixture.make("zone-record", below: zone, ["type": "A", "name": "first", "content": "192.0.2.1"])
    }

    /// Until nothing is left to do; a busy database of PowerDNS makes it try again.
    private func settle(_ hub: Hub) async throws {
        let service = NameService(hub: hub)
        for _ in 0..<200 {
            try await service.pass()
            let left = try await hub.read { transaction in
                try ["zone", "zone-record"].flatMap { try transaction.all($0, parentId: nil) }
                    .filter { $0.status != .active && $0.status != .failed }
            }
            if left.isEmpty { return }
            try await Task.sleep(for: .milliseconds(100))
        }
        Issue.record("it does not settle")
    }

    private func clear(_ fixture: NameFixture) async throws {
        for zone in try await fixture.all("zone") {
            _ = try await fixture.hub.delete(fixture.kind("zone"), id: zone.id, as: .local)
        }
        try await settle(fixture.hub)
    }

    private func check(_ fixture: NameFixture, _ what: String) async throws {
        let zones = try await fixture.all("zone")
        #expect(zones.map { $0.spec["name"] } == ["walk.example", "new.example"], "\(what)")
        let records = try await fixture.all("zone-record")
        #expect(records.count == 3 && records.allSatisfy { $0.status == .active }, "\(what)")
        #expect(zones.allSatisfy { $0.status == .active }, "\(what)")
        let client = PowerDNSClient(url: fixture.server.url, key: PowerDNSServer.key)
        let walk = try #require(try await client.zone("walk.example"))
        let hosts = walk.sets.values.filter { $0.key.type == "A" }.map(\.key.name).sorted()
        #expect(hosts == ["moved.walk.example", "stay.walk.example"], "\(what)")
        #expect(try await client.zone("old.example") == nil, "\(what)")
        let new = try #require(try await client.zone("new.example"))
        #expect(new.sets[.init(name: "first.new.example", type: "A")]?.contents == ["192.0.2.1"], "\(what)")
    }

    @Test func deathAtAnyRequestAndAnyWriteLosesNothing() async throws {
        let fixture = try await NameFixture()
        var count = 0
        // How many there are, then a walk over each, on both sides of it.
        for number in -1..<100 {
            for moment in [CuttingGate.Moment.before, .after] where number >= 0 || moment == .before {
                guard number < count || number < 0 else { return }
                try await prepare(fixture)
                let power = WriteCut(cutAt: number < 0 ? nil : number, moment)
                let hub = NameFixture.hub(CuttingStore(inner: fixture.store, power: power))
                let service = NameService(hub: hub) { url, key in
                    CutServer(inner: PowerDNSClient(url: url, key: key), power: power)
                }
                do {
                    try await service.pass()
                    try await service.pass()
                } catch is PowerCut {
                    // The hub is dead; what it left is what the next one finds.
                }
                if number < 0 { count = power.writes }
                try await settle(fixture.hub)
                try await check(fixture, "cut \(moment) \(number) of \(count)")
                try await clear(fixture)
            }
        }
    }
}
