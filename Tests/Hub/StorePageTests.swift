import Host
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// Lists: order, cursors, filters, and what a page costs.
@Suite struct StorePageTests {
    let folder = TemporaryFolder()
    let clock = ManualClock()

    private func filled(_ medium: Medium, _ count: Int) async throws -> any Store {
        let store = try medium.open(clock, folder)
        for start in stride(from: 0, to: count, by: 5000) {
            try await store.write { transaction in
                for number in start..<min(start + 5000, count) {
                    // Few different times, so that ties are met.
                    var record = shelfRecord(
                        "n\(number)", brand: number % 3 == 0 ? "acme" : nil,
                        at: ManualClock.start.advanced(by: .milliseconds(number / 7)))
                    record.spec["height"] = .int(Int64(number * 7919 % 1000))
                    record.spec["weight"] = number % 5 == 0 ? nil : .double(Double(number % 40) / 4)
                    record.status = number % 10 == 0 ? .failed : .active
                    _ = try transaction.put(record)
                }
            }
        }
        return store
    }

    private func walk(_ store: any Store, _ query: ListQuery) async throws -> [ResourceRecord] {
        var query = query
        var result: [ResourceRecord] = []
        for _ in 0..<100 {
            let asked = query
            let page = try await store.read { try $0.page(TestKinds.shelf, asked) }
            result += page.records
            guard let cursor = page.nextCursor else { return result }
            query.cursor = cursor
        }
        return result
    }

    @Test(arguments: Medium.allCases, ["created_at", "updated_at", "id", "status", "name", "height", "weight"])
    func walksEveryRecordOnceInOrder(_ medium: Medium, _ sort: String) async throws {
        let store = try await filled(medium, 333)
        for descending in [false, true] {
            let found = try await walk(store, ListQuery(limit: 20, sort: sort, descending: descending))
            #expect(found.count == 333 && Set(found.map(\.id)).count == 333)
            let back = try await walk(store, ListQuery(limit: 200, sort: sort, descending: !descending))
            #expect(found.map(\.id) == back.map(\.id).reversed())
        }
    }

    @Test(arguments: Medium.allCases)
    func filters(_ medium: Medium) async throws {
        let store = try await filled(medium, 333)
        #expect(try await walk(store, ListQuery(limit: 7, status: "failed")).count == 34)
        #expect(try await walk(store, ListQuery(limit: 7, brands: .only(["acme"]))).count == 111)
        #expect(try await walk(store, ListQuery(brands: .only([]))).isEmpty)
        #expect(try await walk(store, ListQuery(limit: 3, search: "N3")).count == 1 + 10 + 33)
        #expect(try await walk(store, ListQuery(limit: 3, search: "id-n33")).count == 4)
        #expect(try await walk(store, ListQuery(search: "\"; DROP TABLE resources; --")).isEmpty)
        #expect(try await walk(store, ListQuery(search: "%_*")).isEmpty)
        #expect(try await walk(store, ListQuery(search: "12", status: "failed")).count == 1)
    }

    /// What refers to one resource is found by that and not by a walk through the list.
    @Test(arguments: Medium.allCases, ["created_at", "status", "name"])
    func filtersByReference(_ medium: Medium, _ sort: String) async throws {
        let store = try await filled(medium, 333)
        try await store.write { transaction in
            for var record in try transaction.all("shelf", parentId: nil).prefix(30) {
                record.spec["brand_id"] = "umbrella"
                _ = try transaction.put(record)
            }
        }
        var query = ListQuery(limit: 7, sort: sort)
        query.references = ["brand_id": "umbrella"]
        #expect(try await walk(store, query).count == 30)
        query.status = "failed"
        #expect(try await walk(store, query).count == 3)
        query.references = ["brand_id": "nobody"]
        #expect(try await walk(store, query).isEmpty)
        query.references = ["name": "n1"]
        let asked = query
        let refusal = try await problem { _ = try await store.read { try $0.page(TestKinds.shelf, asked) } }
        #expect(refusal.fields["name"] != nil)
        if let store = store as? SQLiteStore {
            query.references = ["brand_id": "umbrella"]
            let plan = try store.queryPlan(TestKinds.shelf, query).joined(separator: "; ")
            #expect(plan.contains("USING INDEX sort_shelf_brand_id"), "\(plan)")
        }
    }

    @Test(arguments: ["", "x", "!!!", "eyJ4IjoxfQ", "🦉", String(repeating: "A", count: 5000)])
    func refusesForeignCursors(_ cursor: String) async throws {
        let store = try await filled(.memory, 3)
        let refusal = try await problem {
            _ = try await store.read { try $0.page(TestKinds.shelf, ListQuery(cursor: cursor)) }
        }
        #expect(refusal.code == .invalid && refusal.fields["cursor"] != nil)
    }

    @Test func refusesACursorOfAnotherOrder() async throws {
        let store = try await filled(.memory, 10)
        let cursor = try await store.read { try $0.page(TestKinds.shelf, ListQuery(limit: 2)).nextCursor }
        for query in [
            ListQuery(cursor: cursor, sort: "name"), ListQuery(cursor: cursor, descending: true),
        ] {
            let refusal = try await problem { _ = try await store.read { try $0.page(TestKinds.shelf, query) } }
            #expect(refusal.code == .invalid)
        }
    }

    @Test(arguments: ["secret", "env", "lock_code", "id; --", "notes", "nothing"])
    func refusesToSortBy(_ field: String) async throws {
        let store = try await filled(.memory, 1)
        let refusal = try await problem {
            _ = try await store.read { try $0.page(TestKinds.book, ListQuery(sort: field)) }
        }
        #expect(refusal.fields["sort"] != nil)
    }

    /// No list sorts rows or walks the table: each is answered from an index in the order of the list.
    @Test(arguments: ["created_at", "updated_at", "id", "status", "name", "height"])
    func usesAnIndex(_ sort: String) throws {
        let store = try SQLiteStore(inMemory: TestKinds.all, clock: clock, random: LiveRandom())
        var queries = [ListQuery(sort: sort), ListQuery(sort: sort, descending: true)]
        if sort == "status" { queries.append(ListQuery(parentId: "x", sort: sort)) }
        if sort == "created_at" {
            queries += [
                ListQuery(status: "failed"), ListQuery(brands: .only(["acme"])), ListQuery(parentId: "x"),
                ListQuery(parentId: "x", status: "failed"),
            ]
        }
        for query in queries {
            let plan = try store.queryPlan(TestKinds.shelf, query).joined(separator: "; ")
            #expect(plan.contains("USING INDEX") && !plan.contains("TEMP B-TREE"), "\(plan)")
        }
    }

    /// A page of 50 costs the same at 1,000 and at 100,000 rows.
    @Test(.timeLimit(.minutes(3))) func costIsFlat() async throws {
        let small = try await filled(.file, 1000)
        let elsewhere = StorePageTests()
        let large = try await elsewhere.filled(.file, 100_000)
        defer { withExtendedLifetime(elsewhere) {} }
        let queries = [
            ListQuery(), ListQuery(sort: "height", descending: true), ListQuery(status: "failed"),
            ListQuery(search: "n77"), ListQuery(sort: "name"), ListQuery(brands: .only(["acme"])),
        ]
        for query in queries {
            let before = try await cost(small, query)
            let after = try await cost(large, query)
            #expect(after < before * 4 + .milliseconds(4), "\(query): \(before) → \(after)")
        }
    }

    /// The quickest of several pages, from the middle of the list.
    private func cost(_ store: any Store, _ query: ListQuery) async throws -> Duration {
        var query = query
        let middle = query
        query.cursor = try await store.read { try $0.page(TestKinds.shelf, middle).nextCursor }
        let asked = query
        var best = Duration.seconds(60)
        for _ in 0..<8 {
            let took = try await store.read { transaction in
                try ContinuousClock().measure { _ = try transaction.page(TestKinds.shelf, asked) }
            }
            best = min(best, took)
        }
        return best
    }
}
