import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// Operators who change the same thing at the same time.
@Suite struct RaceTests {
    private let folder = TemporaryFolder()

    /// Whatever the outcomes of the calls, by code: `ok` for those that were done.
    private func outcomes(_ count: Int, _ call: @escaping @Sendable (Int) async throws -> Void) async -> [String: Int] {
        await withTaskGroup(of: String.self) { group in
            for number in 0..<count {
                group.addTask {
                    do {
                        try await call(number)
                        return "ok"
                    } catch {
                        return Problem(wrapping: error, doing: "The call").code.rawValue
                    }
                }
            }
            return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
        }
    }

    /// Two hubs on one PostgreSQL, or one hub twice where a store has only one.
    private func hubs(_ medium: Medium) throws -> ([Hub], [any Store]) {
        guard medium == .postgres else {
            let store = try medium.open(LiveClock(), folder)
            let hub = HubFixture.hub(store, TestKinds.all, LiveClock())
            return ([hub, hub], [store])
        }
        let url = try PostgresServer.running().newDatabase()
        let stores = try (0..<2).map { _ in
            try PostgresStore(
                address: PostgresAddress(url), kinds: TestKinds.all, clock: LiveClock(), random: LiveRandom())
        }
        return (stores.map { HubFixture.hub($0, TestKinds.all, LiveClock()) }, stores)
    }

    @Test(arguments: [Medium.file, .postgres])
    func ofChangesToOneRevisionOnePasses(_ medium: Medium) async throws {
        let (hubs, stores) = try hubs(medium)
        let kind = TestKinds.shelf
        for round in 0..<5 {
            let made = try await hubs[0].create(kind, body: ["name": .string("s\(round)")], as: .local)
            let id = try #require(made.body["id"]?.stringValue)
            let revision = try #require(made.body["revision"]?.intValue)
            let put = await outcomes(16) { number in
                _ = try await hubs[number % 2].update(
                    kind, id: id, body: ["height": .int(Int64(200 + number))], options: .init(ifMatch: revision),
                    as: .local)
            }
            #expect(put == ["ok": 1, "stale": 15])
            // Of a deletion and changes by the same revision, one passes as well.
            let mixed = await outcomes(8) { number in
                let options = MutationOptions(ifMatch: revision + 1)
                if number % 2 == 0 {
                    _ = try await hubs[number / 2 % 2].delete(kind, id: id, options: options, as: .local)
                } else {
                    _ = try await hubs[number / 2 % 2].update(
                        kind, id: id, body: ["height": .int(Int64(300 + number))], options: options, as: .local)
                }
            }
            #expect(
                mixed["ok"] == 1 && mixed.keys.allSatisfy { ["ok", "stale", "not_found"].contains($0) }, "\(mixed)")
        }
        for store in stores { try await store.close() }
    }

    /// A name is held by one at a time, however often it is given up and taken.
    @Test(arguments: [Medium.file, .postgres])
    func aNameHasOneHolder(_ medium: Medium) async throws {
        let (hubs, stores) = try hubs(medium)
        let kind = TestKinds.shelf
        for _ in 0..<5 {
            let created = await outcomes(8) { number in
                _ = try await hubs[number % 2].create(kind, body: ["name": "same"], as: .local)
            }
            #expect(created == ["ok": 1, "conflict": 7])
            let found = try await hubs[0].list(kind, as: .local).items
            let id = try #require(found.first?["id"]?.stringValue)
            #expect(found.count == 1)
            // One gives it up while others want it: whoever has it then is one of them, or nobody.
            _ = await outcomes(8) { number in
                if number == 0 {
                    _ = try await hubs[0].delete(kind, id: id, as: .local)
                } else {
                    _ = try await hubs[number % 2].create(kind, body: ["name": "same"], as: .local)
                }
            }
            let left = try await hubs[1].list(kind, as: .local).items
            #expect(left.count <= 1 && left.first?["id"]?.stringValue != id)
            for item in left {
                _ = try await hubs[0].delete(kind, id: try #require(item["id"]?.stringValue), as: .local)
            }
        }
        for store in stores { try await store.close() }
    }
}
