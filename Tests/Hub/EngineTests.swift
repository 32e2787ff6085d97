import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// The rules that hold for every kind.
@Suite struct EngineTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }

    init() throws { fixture = try HubFixture() }

    @Test func createsSynchronousAndAsynchronousKinds() async throws {
        let shelf = try await hub.create(fixture.kind("shelf"), body: ["name": "a"], as: .local)
        #expect(shelf.code == 201 && shelf.body["status"] == "active" && shelf.body["height"] == 100)
        let id = try #require(shelf.body["id"]?.stringValue)
        let book = try await hub.create(fixture.kind("book"), parentId: id, body: ["title": "t"], as: .local)
        #expect(book.code == 202 && book.body["status"] == "pending" && book.body["shelf_id"] == .string(id))
        #expect(book.body["id"]?.stringValue?.hasPrefix("book_") == true && book.body["id"]?.stringValue?.count == 15)
        #expect(book.body["size"] == ["width": 10] && book.body["pages"] == 0)
        #expect(book.body["stamp"]?.stringValue?.count == 16)
        // Shown once.
        let read = try await hub.read(fixture.kind("book"), id: book.body["id"]?.stringValue ?? "", as: .local)
        #expect(read["stamp"] == nil && read["lock_code"] == nil)
    }

    @Test func takesTheParentFromTheBody() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let body: JSONValue = ["title": "t", "shelf_id": .string(shelf)]
        #expect(try await hub.create(fixture.kind("book"), body: body, as: .local).code == 202)
        let missing = try await problem { try await fixture.make("book", ["title": "t"]) }
        #expect(missing.code == .invalid && missing.fields["shelf_id"] != nil)
        let contradiction = try await problem {
            _ = try await hub.create(
                fixture.kind("book"), parentId: shelf, body: ["title": "u", "shelf_id": "other"], as: .local)
        }
        #expect(contradiction.fields["shelf_id"] != nil)
    }

    @Test func namesEveryFlawByPath() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let refusal = try await problem {
            try await fixture.make(
                "book", below: shelf,
                [
                    "titel": "x", "isbn": 5, "size": ["width": 100, "depth": 1], "notes": [["text": 1]],
                    "see_also": ["no", 3],
                ])
        }
        #expect(refusal.code == .invalid)
        #expect(
            Set(refusal.fields.keys) == [
                "titel", "title", "isbn", "size.width", "size.depth", "notes[0].text", "see_also[1]",
            ])
        let reference = try await problem {
            try await fixture.make("book", below: shelf, ["title": "x", "see_also": ["book_none"]])
        }
        #expect(reference.fields["see_also[0]"] == "is not the id of a book")
        let joint = try await problem { try await fixture.make("book", below: shelf, ["title": "forbidden"]) }
        #expect(joint.fields["title"] == "must not be forbidden")
        #expect(try await hub.list(fixture.kind("book"), as: .local).items.isEmpty)
    }

    @Test(arguments: [JSONValue.null, [], "x", 1, true])
    func refusesBodiesThatAreNoObject(_ body: JSONValue) async throws {
        let refusal = try await problem { _ = try await hub.create(fixture.kind("shelf"), body: body, as: .local) }
        #expect(refusal.code == .invalid)
    }

    @Test func updatesOnlyWhatIsNamed() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a", "height": 7, "weight": 2.5])
        let answer = try await hub.update(
            fixture.kind("shelf"), id: shelf, body: ["weight": nil, "height": nil], as: .local)
        #expect(answer.code == 200)
        #expect(answer.body["name"] == "a" && answer.body["height"] == 100 && answer.body["weight"] == .null)
        let required = try await problem {
            _ = try await hub.update(fixture.kind("shelf"), id: shelf, body: ["name": nil], as: .local)
        }
        #expect(required.fields["name"] == "is required")
        let unknown = try await problem {
            _ = try await hub.update(fixture.kind("shelf"), id: shelf, body: ["id": "x"], as: .local)
        }
        #expect(unknown.fields["id"] != nil)
    }

    @Test func updateOfAnAsynchronousKindIsNoLongerActive() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t", "isbn": "1"])
        try await activate("book", book)
        let same = try await hub.update(fixture.kind("book"), id: book, body: ["isbn": "1"], as: .local)
        #expect(same.code == 202 && same.body["status"] == "active")
        let fixed = try await problem {
            _ = try await hub.update(fixture.kind("book"), id: book, body: ["isbn": "2"], as: .local)
        }
        #expect(fixed.fields["isbn"] == "cannot be changed after creation")
        let changed = try await hub.update(fixture.kind("book"), id: book, body: ["title": "u"], as: .local)
        #expect(changed.code == 202 && changed.body["status"] == "provisioning" && changed.body["title"] == "u")
    }

    private func activate(_ kind: String, _ id: String) async throws {
        try await hub.write { transaction in
            var record = try #require(try transaction.get(kind, id))
            record.status = .active
            _ = try transaction.put(record)
        }
    }

    @Test func refusesATakenName() async throws {
        try await fixture.make("shelf", ["name": "a"])
        let other = try await fixture.make("shelf", ["name": "b"])
        let taken = try await problem { try await fixture.make("shelf", ["name": "a"]) }
        #expect(taken.code == .conflict && taken.fields["name"] != nil)
        let renamed = try await problem {
            _ = try await hub.update(fixture.kind("shelf"), id: other, body: ["name": "a"], as: .local)
        }
        #expect(renamed.code == .conflict)
    }

    @Test func slugIsTheId() async throws {
        #expect(try await fixture.make("brand", ["name": "acme"]) == "acme")
        let taken = try await problem { try await fixture.make("brand", ["name": "acme"]) }
        #expect(taken.code == .conflict)
    }

    @Test func comparesRevisions() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let stale = try await problem {
            _ = try await hub.update(
                fixture.kind("shelf"), id: shelf, body: ["height": 5], options: .init(ifMatch: 7), as: .local)
        }
        #expect(stale.code == .stale)
        let fresh = try await hub.update(
            fixture.kind("shelf"), id: shelf, body: ["height": 5], options: .init(ifMatch: 1), as: .local)
        #expect(fresh.body["revision"] == 2)
        let late = try await problem {
            _ = try await hub.delete(fixture.kind("shelf"), id: shelf, options: .init(ifMatch: 1), as: .local)
        }
        #expect(late.code == .stale)
    }

    @Test func deletesWhatIsBelowFirst() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t"])
        try await fixture.make("page", below: book, ["number": 1])
        let stubborn = try await fixture.make("page", below: book, ["number": 500])
        let answer = try await hub.delete(fixture.kind("shelf"), id: shelf, as: .local)
        #expect(answer.code == 204)
        // The page needs work; all above wait for it, the other page is gone, and the names are free.
        let pages = try await hub.list(fixture.kind("page"), as: .local).items
        #expect(pages.map { $0["status"] } == ["deleting"])
        #expect(try await hub.read(fixture.kind("shelf"), id: shelf, as: .local)["status"] == "deleting")
        try await fixture.make("shelf", ["name": "a"])
        for refused in [
            try await problem {
                _ = try await hub.update(fixture.kind("shelf"), id: shelf, body: ["height": 5], as: .local)
            },
            try await problem { try await fixture.make("book", below: shelf, ["title": "new"]) },
        ] {
            #expect(refused.code == .conflict)
        }
        #expect(try await hub.delete(fixture.kind("shelf"), id: shelf, as: .local).code == 204)
        try await hub.write { [hub] in try hub.finishDeletion("page", stubborn, $0) }
        for (kind, id) in [("page", stubborn), ("book", book), ("shelf", shelf)] {
            let gone = try await problem { _ = try await hub.read(fixture.kind(kind), id: id, as: .local) }
            #expect(gone.code == .notFound)
        }
    }

    @Test func deleteOfAnAsynchronousKindIs202() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t"])
        let answer = try await hub.delete(fixture.kind("book"), id: book, as: .local)
        #expect(answer.code == 202 && answer.body["status"] == "deleted")
        let again = try await problem { _ = try await hub.delete(fixture.kind("book"), id: book, as: .local) }
        #expect(again.code == .notFound)
    }

    @Test func runsActions() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t"])
        let kind = try fixture.kind("book")
        let burn = try #require(kind.allActions.first { $0.name == "burn" })
        let retry = try #require(kind.allActions.first { $0.name == "retry" })
        let rotate = try #require(kind.allActions.first { $0.name == "rotate-stamp" })
        let missing = try await problem { _ = try await hub.perform(burn, on: kind, id: book, as: .local) }
        #expect(missing.fields["lighter"] == "is required")
        let burnt = try await hub.perform(burn, on: kind, id: book, body: ["lighter": "zippo"], as: .local)
        #expect(
            burnt.code == 202 && burnt.body["status"] == "failed" && burnt.body["status_message"] == "Burnt by local.")
        #expect(try await hub.perform(retry, on: kind, id: book, as: .local).body["status"] == "provisioning")
        try await activate("book", book)
        #expect(try await hub.perform(retry, on: kind, id: book, body: [:], as: .local).body["status"] == "active")
        let stamp = try await hub.perform(rotate, on: kind, id: book, as: .local).body["stamp"]?.stringValue
        #expect(stamp?.count == 16)
    }

    @Test func plansWithoutChanging() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t", "lock_code": "one"])
        let plan = MutationOptions(isPlan: true)
        let before = try await hub.auditLog(as: .local).count
        let creation = try await hub.create(
            fixture.kind("shelf"), body: ["name": "b"], options: plan, as: .local)
        #expect(creation.code == 200)
        #expect(creation.body["plan"]?.arrayValue?.first?["change"] == "create")
        #expect(creation.body["plan"]?.arrayValue?.first?["fields"]?["name"] == ["from": nil, "to": "b"])
        let update = try await hub.update(
            fixture.kind("book"), id: book, body: ["title": "u", "lock_code": "two"], options: plan, as: .local)
        let fields = update.body["plan"]?.arrayValue?.first?["fields"]
        #expect(fields?["title"] == ["from": "t", "to": "u"])
        #expect(fields?["lock_code"] == ["from": "[redacted]", "to": "[redacted]"])
        let deletion = try await hub.delete(fixture.kind("shelf"), id: shelf, options: plan, as: .local)
        let kinds = deletion.body["plan"]?.arrayValue?.compactMap { $0["kind"]?.stringValue }
        #expect(kinds == ["book", "shelf"])
        #expect(try await hub.read(fixture.kind("book"), id: book, as: .local)["title"] == "t")
        #expect(try await hub.list(fixture.kind("shelf"), as: .local).items.count == 1)
        #expect(try await hub.auditLog(as: .local).count == before)
        let wrong = try await problem {
            _ = try await hub.create(fixture.kind("shelf"), body: ["name": "a"], options: plan, as: .local)
        }
        #expect(wrong.code == .conflict)
    }

    @Test func answersAnIdempotencyKeyAlike() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let options = MutationOptions(idempotencyKey: "k1")
        func make(_ title: String, _ principal: Principal = .local) async throws -> MutationAnswer {
            try await hub.create(
                fixture.kind("book"), parentId: shelf, body: ["title": .string(title)], options: options, as: principal)
        }
        let first = try await make("t")
        let second = try await make("t")
        #expect(first == second && first.body["stamp"] != nil)
        #expect(try await hub.list(fixture.kind("book"), as: .local).items.count == 1)
        #expect(try await problem { _ = try await make("u") }.code == .conflict)
        // Keys are the caller's own.
        #expect(try await make("v", .scoped("*:*")).body["title"] == "v")
        var namesake = Principal.scoped("*:*")
        namesake.id = "9d2c7a2e-0b62-4a3b-8f0e-3f6f2a0c5d11"
        #expect(try await make("y", namesake).body["title"] == "y")
        // What was answered once is not for whoever may not ask for it any more.
        namesake.scopes = ["books:read"]
        let reader = namesake
        #expect(try await problem { _ = try await make("y", reader) }.code == .forbidden)
        fixture.clock.move(.seconds(86_401))
        #expect(try await make("w").body["title"] == "w")
        // Many at once make one.
        let key = MutationOptions(idempotencyKey: "k2")
        let kind = try fixture.kind("book")
        let ids = try await withThrowingTaskGroup(of: JSONValue?.self) { group in
            for _ in 0..<20 {
                group.addTask { [hub] in
                    try await hub.create(kind, parentId: shelf, body: ["title": "x"], options: key, as: .local).body[
                        "id"]
                }
            }
            return try await group.reduce(into: Set<JSONValue?>()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
    }

    @Test func anIdempotencyKeyOutlivesNoBrand() async throws {
        for name in ["acme", "umbrella"] { try await fixture.make("brand", ["name": .string(name)]) }
        let kind = try fixture.kind("shelf")
        let options = MutationOptions(idempotencyKey: "k1")
        var caller = Principal.scoped("*:*", brands: ["acme"])
        let first = try await hub.create(kind, body: ["name": "a"], options: options, as: caller)
        #expect(try await hub.create(kind, body: ["name": "a"], options: options, as: caller) == first)
        caller.brands = .only(["umbrella"])
        let moved = caller
        let refusal = try await problem {
            _ = try await hub.create(kind, body: ["name": "a"], options: options, as: moved)
        }
        #expect(refusal.code == .forbidden)
    }

    @Test func tellsOfChanges() async throws {
        let stream = hub.changes.subscribe()
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make("book", below: shelf, ["title": "t"])
        var iterator = stream.makeAsyncIterator()
        #expect(await iterator.next() == HubChange(kind: "shelf", id: shelf))
        #expect(await iterator.next() == HubChange(kind: "book", id: book))
        #expect(await iterator.next() == HubChange(kind: "event", id: ""))
        // Equal ones are told once; too many become one.
        for number in 1...300 {
            _ = try await hub.update(
                fixture.kind("shelf"), id: shelf, body: ["height": .int(Int64(number))], as: .local)
        }
        #expect(await iterator.next() == HubChange(kind: "shelf", id: shelf))
        for number in 0..<300 { try await fixture.make("shelf", ["name": .string("n\(number)")]) }
        #expect(await iterator.next() == .everything)
        let task = Task { for await _ in stream {} }
        task.cancel()
        await task.value
    }
}
