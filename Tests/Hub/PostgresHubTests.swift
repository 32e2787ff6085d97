import Host
import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

@Suite("Two hubs on PostgreSQL", .serialized)
struct PostgresHubTests {
    @Test("what one hub commits, the other hears", .timeLimit(.minutes(3)))
    func announcements() async throws {
        let url = try PostgresServer.running().newDatabase()
        let stores = try (0..<2).map { _ in
            try PostgresStore(
                address: PostgresAddress(url), kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        }
        let hubs = stores.map { HubFixture.hub($0, TestKinds.all, LiveClock()) }
        let fleet = Task { await hubs[1].runFleet() }
        let heard = hubs[1].changes.subscribe()
        let waiting = Task {
            for await change in heard where change.kind == "shelf" { return change.id }
            return ""
        }
        // The listener connects in its own time.
        let writing = Task {
            for number in 0..<1000 where !Task.isCancelled {
                _ = try await hubs[0].write { try $0.put(shelfRecord("n\(number)")) }
                try await Task.sleep(for: .milliseconds(100))
            }
        }
        #expect(await waiting.value.hasPrefix("id-n"))
        writing.cancel()
        fleet.cancel()
        await fleet.value
        for store in stores { try await store.close() }
    }
}
