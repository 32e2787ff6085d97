import Catalog
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// Scopes, brands, grants.
@Suite struct AuthorizationTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }

    init() throws { fixture = try HubFixture() }

    @Test func needsTheScope() async throws {
        let shelf = try await fixture.make("shelf", ["name": "a"])
        let kind = try fixture.kind("shelf")
        let reader = Principal.scoped("shelves:read")
        #expect(try await hub.read(kind, id: shelf, as: reader)["name"] == "a")
        let refusals = [
            try await problem { try await fixture.make("shelf", ["name": "b"], as: reader) },
            try await problem { _ = try await hub.update(kind, id: shelf, body: [:], as: reader) },
            try await problem { _ = try await hub.delete(kind, id: shelf, as: .scoped("shelves:write")) },
            try await problem { _ = try await hub.list(kind, as: .scoped("books:read")) },
            try await problem { _ = try await hub.auditLog(as: reader) },
            try await problem { _ = try await hub.stats(as: reader) },
            try await problem { _ = try await hub.search("a", as: reader) },
            try await problem { _ = try await hub.events(as: reader) },
        ]
        #expect(refusals.allSatisfy { $0.code == .forbidden })
        // The scope is asked before the resource, and before the body.
        let unknown = try await problem { _ = try await hub.update(kind, id: "none", body: "x", as: reader) }
        #expect(unknown.code == .forbidden)
        let noBody = try await problem { _ = try await hub.update(kind, id: "none", body: "x", as: .local) }
        #expect(noBody.code == .notFound)
    }

    @Test func scopesMayBeSpeltWithUnderscores() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let answer = try await fixture.hub.create(
            try fixture.kind("api-key"), body: ["name": "k", "scopes": ["lb_addresses:read"], "brands": ["*"]],
            as: .local)
        #expect(answer.body["scopes"] == ["lb_addresses:read"])
        let key = try #require(answer.body["key"]?.stringValue)
        let caller = try await fixture.hub.authenticate(apiKey: key, address: "192.0.2.1")
        #expect(caller.may("read", "lb-addresses") && !caller.may("write", "lb-addresses"))
        // Nobody gives more than they have by spelling it otherwise.
        let granting = try await problem {
            _ = try await fixture.hub.create(
                try fixture.kind("api-key"), body: ["name": "k", "scopes": ["zone_records:read"], "brands": ["*"]],
                as: .scoped("api-keys:*"))
        }
        #expect(granting.code == .forbidden)
    }

    @Test func hidesOtherBrands() async throws {
        for name in ["acme", "umbrella"] { try await fixture.make("brand", ["name": .string(name)]) }
        let acme = Principal.scoped("*:*", brands: ["acme"])
        let theirs = try await fixture.make("shelf", ["name": "theirs", "brand_id": "umbrella"])
        let platform = try await fixture.make("shelf", ["name": "platform"])
        let own = try await fixture.make("shelf", ["name": "own"], as: acme)
        let book = try await fixture.make("book", below: own, ["title": "t"], as: acme)
        let kind = try fixture.kind("shelf")
        #expect(try await hub.list(kind, as: acme).items.map { $0["name"] } == ["own"])
        #expect(try await hub.read(fixture.kind("book"), id: book, as: acme)["title"] == "t")
        for id in [theirs, platform] {
            let refusals = [
                try await problem { _ = try await hub.read(kind, id: id, as: acme) },
                try await problem { _ = try await hub.update(kind, id: id, body: ["height": 1], as: acme) },
                try await problem { _ = try await hub.delete(kind, id: id, as: acme) },
                try await problem { try await fixture.make("book", below: id, ["title": "x"], as: acme) },
                try await problem { _ = try await hub.list(fixture.kind("book"), .init(parentId: id), as: acme) },
            ]
            #expect(refusals.allSatisfy { $0.code == .notFound })
        }
        let foreign = try await problem {
            try await fixture.make("shelf", ["name": "x", "brand_id": "umbrella"], as: acme)
        }
        #expect(foreign.code == .forbidden || foreign.code == .invalid)
        for platformOnly in ["user", "api-key"] {
            let refusal = try await problem { _ = try await hub.list(fixture.kind(platformOnly), as: acme) }
            #expect(refusal.code == .forbidden)
        }
        #expect(try await problem { _ = try await hub.events(as: acme) }.code == .forbidden)
    }

    /// A key for a brand that is yet to come would be one for whoever takes its id.
    @Test func brandsAreThereWhenTheyAreNamed() async throws {
        try await fixture.make("brand", ["name": "acme"])
        let wanted: [(String, JSONValue)] = [
            ("api-key", ["name": "k", "scopes": ["*:*"]]), ("user", ["email": "a@example.org"]),
        ]
        for (name, plain) in wanted {
            var body = plain
            body["brands"] = ["acme", "none"]
            let asked = body
            let refusal = try await problem { try await fixture.make(name, asked) }
            #expect(refusal.code == .invalid && refusal.fields.keys.sorted() == ["brands[1]"], "\(refusal)")
            body["brands"] = ["acme"]
            let id = try await fixture.make(name, body)
            let kind = try fixture.kind(name)
            let changed = try await problem {
                _ = try await hub.update(kind, id: id, body: ["brands": ["*", "none"]], as: .local)
            }
            #expect(changed.fields.keys.sorted() == ["brands[1]"])
            // One that went since is no reason to refuse another change.
            try await fixture.store.write { try $0.remove("brand", "acme") }
            let rest: JSONValue = name == "user" ? ["role": "operator"] : ["name": "other"]
            _ = try await hub.update(kind, id: id, body: rest, as: .local)
            try await fixture.make("brand", ["name": "acme"])
        }
    }

    @Test func nobodyGivesMoreThanTheyHave() async throws {
        let clerk = Principal.scoped("api-keys:write", "users:write", "shelves:*")
        let kind = try fixture.kind("api-key")
        func key(_ scopes: JSONValue) -> JSONValue { ["name": "k", "scopes": scopes, "brands": ["*"]] }
        for scopes: JSONValue in [["*:*"], ["*:read"], ["books:read"], ["shelves:read", "users:delete"]] {
            let refusal = try await problem { _ = try await hub.create(kind, body: key(scopes), as: clerk) }
            #expect(refusal.code == .forbidden)
        }
        let granted = try await hub.create(kind, body: key(["shelves:read", "shelves:*"]), as: clerk)
        #expect(granted.code == 201)
        let id = granted.body["id"]?.stringValue ?? ""
        let raised = try await problem {
            _ = try await hub.update(kind, id: id, body: ["scopes": ["*:*"]], as: clerk)
        }
        #expect(raised.code == .forbidden)
        let admin = try await problem {
            try await fixture.make("user", ["email": "a@example.org", "role": "admin"], as: clerk)
        }
        #expect(admin.code == .forbidden)
    }
}
