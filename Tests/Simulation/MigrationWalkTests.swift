import TestSupport
import Testing

@Suite struct MigrationWalkTests {
    @Test func `a tenant moves with its zones and names`() async throws {
        let end = try await MigrationWalk.live(.moves).end
        #expect(end.shard == "web-2" && end.tenant == "active")
        #expect(end.names == ["zone active", "fqdn active"])
        #expect(end.runs == ["migrate-tenant succeeded"])
    }

    @Test func `a tenant whose move is cancelled is brought back with its names`() async throws {
        let end = try await MigrationWalk.live(.isBroughtBack).end
        #expect(end.shard == "web-1" && end.tenant == "active")
        #expect(end.names == ["zone active", "fqdn active"])
        #expect(end.runs == ["migrate-tenant cancelled"])
    }

    @Test(arguments: [MigrationWalk.Story.moves, .isBroughtBack])
    func `power cuts at every write do not change the end`(story: MigrationWalk.Story) async throws {
        let life = try await MigrationWalk.live(story)
        #expect(!life.hubWrites.isEmpty)
        for write in life.hubWrites {
            for moment in [CuttingGate.Moment.before, .after] {
                let end = try await MigrationWalk.live(story, (write, moment)).end
                #expect(end == life.end, "cut \(moment) write \(write)")
            }
        }
    }
}
