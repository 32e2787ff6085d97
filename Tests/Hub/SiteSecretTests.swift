import AgentProtocol
import HubCore
import HubStore
import Model
import ResourceKit
import Testing

/// Certificates, tokens and passwords of sites: what is checked, where they go, and where they never show.
@Suite struct SiteSecretTests {
    @Test func `an uploaded certificate must be the key's, cover the names, and not have ended`() async throws {
        let world = try await SiteFixture()
        let good = try TestPair(["shop.example.org", "*.example.net"])
        let names: [String: JSONValue] = ["aliases": ["a.example.net"]]
        let other = try TestPair(["shop.example.org"])
        let bad: [([String: JSONValue], String)] = [
            (good.fields.merging(["key_pem": .string(other.key)]) { $1 }, "key_pem"),
            (good.fields.merging(["key_pem": .string(good.certificate)]) { $1 }, "key_pem"),
            (good.fields.merging(["certificate_pem": .string(good.key)]) { $1 }, "certificate_pem"),
            (good.fields.merging(["aliases": ["a.b.example.net"]]) { $1 }, "certificate_pem"),
            (try TestPair(["shop.example.org"], days: -1).fields, "certificate_pem"),
            (good.fields.merging(["www_redirect": "www"]) { $1 }, "certificate_pem"),
        ]
        for (body, field) in bad {
            let refused = try await problem { _ = try await world.site("shop.example.org", body) }
            #expect(refused.code == .invalid && refused.fields[field] != nil, "\(refused.fields)")
        }
        let id = try await world.site("shop.example.org", good.fields.merging(names) { $1 })
        let node = try await world.node("web-1")
        let tls = try #require(try await world.document(node).sites?.first?.tls)
        #expect(tls.mode == .upload && tls.certificatePem == good.certificate && tls.keyPem == good.key)
        // The stored key is looked at when only the certificate or a name changes.
        for body: JSONValue in [["certificate_pem": .string(other.certificate)], ["domain": "else.example.org"]] {
            #expect(try await problem { try await world.update("site", id, body) }.code == .invalid)
        }
        // One that has ended since keeps nobody from changing something else.
        world.fixture.clock.move(.seconds(31 * 86_400))
        try await world.update("site", id, ["logs_query": true])
        #expect(try await problem { try await world.update("site", id, ["aliases": []]) }.code == .invalid)
    }

    @Test func `tokens are stored as their hashes, passwords as bcrypt`() async throws {
        let world = try await SiteFixture()
        let node = try await world.node("web-1")
        let token = "a-token-of-some-length"
        let id = try await world.site("a.example.org", ["auth": "token", "tokens": [.string(token)]])
        let hash = sha256Hex(Array(token.utf8))
        #expect(try await world.document(node).sites?.first?.access?.tokenHashes == [hash])
        // A change of something else leaves them alone, also one that is made twice.
        try await world.update("site", id, ["logs_query": true])
        #expect(try await world.document(node).sites?.first?.access?.tokenHashes == [hash])
        try await world.update("site", id, ["auth": "basic"])
        var access = try #require(try await world.document(node).sites?.first?.access)
        #expect(access.isDenied && access.basic == nil)
        try await world.beat(node, 1, [SiteReport(siteId: id, state: "active")])
        #expect(try await world.read("site", id)["status_message"]?.stringValue?.contains("no users") == true)
        let user = try await world.fixture.make(
            "site-user", below: id, ["username": "ada", "password": "correct horse"])
        access = try #require(try await world.document(node).sites?.first?.access)
        #expect(!access.isDenied && access.basic?.users.map(\.name) == ["ada"])
        #expect(access.basic?.users.first?.passwordHash.hasPrefix("$2b$12$") == true)
        #expect(try await world.read("site", id)["status"] == "provisioning")
        let first = access.basic?.users.first?.passwordHash
        try await world.update("site-user", user, ["password": "battery staple"])
        #expect(try await world.document(node).sites?.first?.access?.basic?.users.first?.passwordHash != first)
        let twice = try await problem {
            _ = try await world.fixture.make("site-user", below: id, ["username": "ada", "password": "correct horse"])
        }
        #expect(twice.code == .conflict)
        for body: JSONValue in [
            ["username": "a:b", "password": "correct horse"], ["username": "b", "password": "short"],
            ["username": "b"], ["password": "correct horse"], ["username": "é", "password": "correct horse"],
        ] {
            let refused = try await problem { _ = try await world.fixture.make("site-user", below: id, body) }
            #expect(refused.code == .invalid, "\(body)")
        }
    }

    @Test func `no secret of a site is ever to be read`() async throws {
        let world = try await SiteFixture()
        _ = try await world.node("web-1")
        let pair = try TestPair(["shop.example.org"])
        let planted = ["pl4nted-token-0123456789", "pl4nted-passw0rd", String(pair.key.split(separator: "\n")[1])]
        let secrets: [String: JSONValue] = ["auth": "token", "tokens": [.string(planted[0])]]
        let body = JSONValue.object(
            pair.fields.merging(secrets) { $1 }.merging([
                "domain": "shop.example.org", "upstream": "127.0.0.1:8080",
            ]) { $1 })
        let (sites, users) = (try world.fixture.kind("site"), try world.fixture.kind("site-user"))
        let hub = world.hub
        var shown: [JSONValue] = []
        shown.append(try await hub.create(sites, body: body, options: .init(isPlan: true), as: .local).body)
        let made = try await hub.create(sites, body: body, options: .init(idempotencyKey: "k"), as: .local)
        shown.append(made.body)
        let id = try #require(made.body["id"]?.stringValue)
        let user: JSONValue = ["username": "ada", "password": .string(planted[1])]
        shown.append(try await hub.create(users, parentId: id, body: user, as: .local).body)
        let other = try TestPair(["shop.example.org"])
        for isPlan in [true, false] {
            shown.append(
                try await hub.update(
                    sites, id: id, body: .object(other.fields), options: .init(isPlan: isPlan), as: .local
                ).body)
        }
        var refusals: [Problem] = []
        var mismatched = body
        mismatched["domain"] = "other.example.org"
        for bad in [body, mismatched, ["tokens": .string(planted[0])], ["key": .string(planted[2])]] {
            refusals.append(try await problem { _ = try await hub.create(sites, body: bad, as: .local) })
        }
        refusals.append(
            try await problem {
                _ = try await hub.create(
                    users, parentId: id, body: ["username": .string("x:" + planted[1])], as: .local)
            })
        shown.append(try await hub.read(sites, id: id, as: .local))
        shown += try await hub.list(sites, as: .local).items + hub.list(users, as: .local).items
        shown += try await hub.auditLog(.init(limit: 200), as: .local).filter { $0.outcome == "ok" }.map(\.json)
        shown += try await hub.events(as: .local).map(\.json)
        shown.append(try WireCoding.encode(try await hub.desiredStatePreview(stackId: world.stack)))
        for secret in planted {
            for value in shown { #expect(!value.canonicalText.contains(secret), "\(value.canonicalText)") }
        }
        for refusal in refusals {
            let text = "\(refusal) \(refusal.fields) \(refusal.context ?? "")"
            for secret in planted { #expect(!text.contains(secret), "\(text)") }
        }
        let stored = try await world.fixture.store.read { transaction in
            let site = try #require(try transaction.get("site", id))
            let people = try transaction.all("site-user", parentId: id).map { JSONValue.object($0.spec).canonicalText }
            return JSONValue.object(site.spec).canonicalText + JSONValue.object(site.state).canonicalText
                + people.joined() + (try transaction.cells("idempotency").map(\.value.canonicalText).joined())
        }
        for secret in planted { #expect(!stored.contains(secret)) }
        // The hashes are not to be read either: they are what the edge compares with.
        let hash = sha256Hex(Array(planted[0].utf8))
        for value in shown.dropLast() { #expect(!value.canonicalText.contains(hash)) }
    }
}
