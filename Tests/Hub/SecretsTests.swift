import HubCore
import HubStore
import LinuxHost
import Model
import ResourceKit
import TestSupport
import Testing

/// A secret that was given is nowhere to be read.
@Suite struct SecretsTests {
    static let planted = "pl4nted-s3cret"

    @Test func sealsAndOpens() throws {
        let box = HubFixture.box
        let sealed = try box.seal("hello")
        #expect(sealed.hasPrefix("sealed:") && !sealed.contains("hello"))
        #expect(try box.open(sealed) == "hello" && box.open("plain") == "plain")
        #expect(try box.seal(sealed) == sealed && box.seal("hello") != sealed)
        // What only looks sealed is sealed like anything else.
        let odd = "sealed:AAAA"
        #expect(try box.open(try box.seal(odd)) == odd)
        let other = FileSecretBox(key: [UInt8](repeating: 1, count: 32), random: LiveRandom())
        #expect(throws: Problem.self) { try other.open(sealed) }
        var bytes = Array(sealed.utf8)
        bytes[20] = bytes[20] == 65 ? 66 : 65
        #expect(throws: Problem.self) { try box.open(String(decoding: bytes, as: UTF8.self)) }
    }

    @Test func keepsTheMasterKeyInAFile() throws {
        let folder = TemporaryFolder()
        let first = try FileSecretBox(keyFile: "\(folder.path)/master.key", random: LiveRandom())
        let second = try FileSecretBox(keyFile: "\(folder.path)/master.key", random: LiveRandom())
        #expect(try second.open(try first.seal("x")) == "x")
    }

    /// Plants a secret wherever one can stand, in good and in refused requests, and looks for it everywhere.
    @Test func neverShowsASecret() async throws {
        let fixture = try HubFixture()
        let hub = fixture.hub
        let secret = JSONValue.string(Self.planted)
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let kind = try fixture.kind("book")
        let book: JSONValue = [
            "title": "t", "lock_code": secret, "pin": secret, "notes": [["text": "n", "key": secret]],
            "env": ["A": ["value": secret, "secret": true], "B": "open"],
        ]
        var shown: [JSONValue] = []
        let created = try await hub.create(
            kind, parentId: shelf, body: book, options: .init(idempotencyKey: "k"), as: .local)
        shown.append(created.body)
        let id = created.body["id"]?.stringValue ?? ""
        var another = book
        another["title"] = "another"
        shown.append(
            try await hub.create(kind, parentId: shelf, body: another, options: .init(isPlan: true), as: .local).body)
        _ = try await hub.update(
            kind, id: id, body: ["lock_code": secret, "env": ["A": ["value": secret, "secret": true]]],
            as: .local)
        let burn = try #require(kind.actions.first)
        shown.append(try await hub.perform(burn, on: kind, id: id, body: ["lighter": secret], as: .local).body)
        var refusals: [Problem] = []
        let bad: [JSONValue] = [
            ["title": "t2", "lock_kode": secret], ["lock_code": secret], ["title": 5, "pin": secret],
            ["title": "t3", "lock_code": [secret]], ["title": "t4", "env": ["A B": secret]],
            ["title": "t5", "env": ["A": ["value": secret, "sekret": secret]]], ["title": "t6", "notes": secret],
            ["title": "t7", "notes": [["key": [secret]]]], secret, [secret],
            ["title": "t8", "size": ["width": secret]],
            ["title": "t9", "pin": .string(Self.planted + String(repeating: "x", count: 80))],
        ]
        for body in bad {
            refusals.append(
                try await problem { _ = try await hub.create(kind, parentId: shelf, body: body, as: .local) })
        }
        shown.append(try await hub.read(kind, id: id, as: .local))
        shown += try await hub.list(kind, as: .local).items + hub.search("t", as: .local).items
        shown += try await hub.auditLog(.init(limit: 200), as: .local).map(\.json)
        shown += try await hub.events(as: .local).map(\.json)
        for value in shown { #expect(!value.canonicalText.contains(Self.planted), "\(value.canonicalText)") }
        for refusal in refusals {
            #expect(!"\(refusal) \(refusal.fields) \(refusal.context ?? "")".contains(Self.planted), "\(refusal)")
        }
        let stored = try await fixture.store.read { transaction in
            let record = try #require(try transaction.get("book", id))
            let cells = try transaction.cells("idempotency").map(\.value.canonicalText).joined()
            return JSONValue.object(record.spec).canonicalText + JSONValue.object(record.state).canonicalText + cells
        }
        #expect(!stored.contains(Self.planted))
    }

    @Test func keepsSecretVariablesThatComeBackWithoutValue() async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let book = try await fixture.make(
            "book", below: shelf, ["title": "t", "env": ["A": ["value": "one", "secret": true], "B": "two"]])
        let kind = try fixture.kind("book")
        let env = try #require(try await fixture.hub.read(kind, id: book, as: .local)["env"])
        #expect(env == ["A": ["secret": true], "B": "two"])
        _ = try await fixture.hub.update(kind, id: book, body: ["env": env], as: .local)
        let stored = try await fixture.store.read { try $0.get("book", book)?.spec["env"]?["A"]?["value"]?.stringValue }
        #expect(try HubFixture.box.open(stored ?? "") == "one")
        let invented = try await problem {
            _ = try await fixture.hub.update(kind, id: book, body: ["env": ["C": ["secret": true]]], as: .local)
        }
        #expect(invented.fields["env.C"] != nil)
    }

    @Test(arguments: [
        ("https://user:pw@host/x.git", "https://[redacted]@host/x.git"),
        ("https://token@host/x", "https://[redacted]@host/x"),
        ("ssh://git@host/x", "ssh://git@host/x"), ("https://host/a@b", "https://host/a@b"),
        ("git@host:x", "git@host:x"),
    ])
    func redactsPasswordsInURLs(_ url: String, _ shown: String) async throws {
        let fixture = try HubFixture()
        let shelf = try await fixture.make("shelf", ["name": "a"])
        try await fixture.make("book", below: shelf, ["title": .string(url)])
        let entry = try #require(try await fixture.hub.auditLog(.init(limit: 1), as: .local).first)
        #expect(entry.body["title"] == .string(shown))
    }

    @Test func auditsEverythingThatWasTried() async throws {
        let fixture = try HubFixture()
        let hub = fixture.hub
        let shelf = try await fixture.make("shelf", ["name": "a"])
        _ = try await problem { try await fixture.make("shelf", ["name": "a"]) }
        _ = try await problem { try await fixture.make("shelf", ["name": "b"], as: .scoped("books:read")) }
        _ = try await hub.delete(fixture.kind("shelf"), id: shelf, as: .local)
        let entries = try await hub.auditLog(as: .local)
        #expect(entries.map(\.outcome) == ["ok", "forbidden", "conflict", "ok"])
        #expect(entries.map(\.action) == ["delete", "create", "create", "create"])
        #expect(entries[0].resourceId == shelf && entries[3].resourceId == shelf && entries[1].actor == "key:test")
        #expect(try await hub.read { try $0.firstBrokenAudit() } == nil)
    }
}
