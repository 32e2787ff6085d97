import AccessResources
import AgentProtocol
import Glibc
import HubCore
import HubStore
import Model
import ResourceKit
import TestSupport
import Testing

/// Keys, users, sessions.
@Suite struct IdentityTests {
    let fixture: HubFixture
    var hub: Hub { fixture.hub }

    init() throws { fixture = try HubFixture() }

    private func key(_ more: JSONValue = [:]) async throws -> (id: String, text: String) {
        var body: JSONValue = ["name": "bot", "scopes": ["shelves:read"], "brands": ["*"]]
        for (name, value) in more.objectValue ?? [:] { body[name] = value }
        let answer = try await hub.create(fixture.kind("api-key"), body: body, as: .local)
        return (answer.body["id"]?.stringValue ?? "", answer.body["key"]?.stringValue ?? "")
    }

    @Test func keysAreShownOnceAndStoredHashed() async throws {
        let (id, text) = try await key()
        #expect(text.hasPrefix("roost_\(id)_") && text.split(separator: "_")[2].count == 32)
        var principal = try await hub.authenticate(apiKey: text, address: "192.0.2.9")
        #expect(principal.limits.count == 1)
        principal.limits = []
        #expect(
            principal
                == Principal(name: "key:bot", id: id, scopes: ["shelves:read"], brands: .all, address: "192.0.2.9"))
        let record = try #require(try await fixture.store.read { try $0.get("api-key", id) })
        let secret = String(text.suffix(32))
        #expect(!"\(record)".contains(secret))
        #expect(try await hub.read(fixture.kind("api-key"), id: id, as: .local)["key"] == nil)
    }

    @Test func refusesEverythingElse() async throws {
        let (id, text) = try await key()
        let wrong = [
            "", "x", "roost_", "roost_\(id)_", "roost_\(id)_\(String(repeating: "0", count: 32))", text + "0",
            String(text.dropLast()), text.uppercased(), "roost_none_\(text.suffix(32))",
            String(repeating: "_", count: 300),
            "roost_\(id)\u{0}_\(text.suffix(32))",
        ]
        for text in wrong {
            let refusal = try await problem { _ = try await hub.authenticate(apiKey: text, address: "x") }
            #expect(refusal.code == .unauthenticated)
        }
        _ = try await hub.delete(fixture.kind("api-key"), id: id, as: .local)
        #expect(
            try await problem { _ = try await hub.authenticate(apiKey: text, address: "x") }.code == .unauthenticated)
    }

    @Test func keysExpireAndRotate() async throws {
        let end = fixture.clock.now().advanced(by: .seconds(100)).rfc3339
        let (_, text) = try await key(["expires_at": .string(end)])
        _ = try await hub.authenticate(apiKey: text, address: "x")
        fixture.clock.move(.seconds(101))
        #expect(
            try await problem { _ = try await hub.authenticate(apiKey: text, address: "x") }.code == .unauthenticated)
        let (id, old) = try await key()
        let kind = try fixture.kind("api-key")
        let rotate = try #require(kind.actions.first { $0.name == "rotate-key" })
        let new = try await hub.perform(rotate, on: kind, id: id, as: .local).body["key"]?.stringValue ?? ""
        #expect(new != old)
        _ = try await hub.authenticate(apiKey: new, address: "x")
        #expect(
            try await problem { _ = try await hub.authenticate(apiKey: old, address: "x") }.code == .unauthenticated)
    }

    /// Whoever read the key may change it, however often it was used meanwhile.
    @Test func notesUseOncePerMinuteAndChangesNothing() async throws {
        let (id, text) = try await key()
        let kind = try fixture.kind("api-key")
        let made = try await hub.read(kind, id: id, as: .local)
        let start = fixture.clock.now().rfc3339
        for _ in 0..<2 {
            for _ in 0..<5 { _ = try await hub.authenticate(apiKey: text, address: "x") }
            let used = try await hub.read(kind, id: id, as: .local)
            #expect(used["last_used_at"]?.stringValue == start)
            #expect(used["revision"] == made["revision"] && used["updated_at"] == made["updated_at"])
            fixture.clock.move(.seconds(59))
        }
        fixture.clock.move(.seconds(2))
        _ = try await hub.authenticate(apiKey: text, address: "x")
        #expect(try await hub.read(kind, id: id, as: .local)["last_used_at"]?.stringValue != start)
        let revision = made["revision"]?.intValue
        let answer = try await hub.update(
            kind, id: id, body: ["name": "other"], options: .init(ifMatch: revision), as: .local)
        #expect(answer.body["name"] == "other" && answer.body["last_used_at"]?.stringValue != nil)
    }

    @Test func keysAreForWhatIsThereAndForATimeToCome() async throws {
        let past = fixture.clock.now().advanced(by: .seconds(-1)).rfc3339
        let wrong: [(JSONValue, String)] = [
            (["scopes": ["shelves:read", "nokind:read"]], "scopes[1]"), (["scopes": ["shelf:read"]], "scopes[0]"),
            (["expires_at": .string(past)], "expires_at"),
        ]
        let (id, _) = try await key([
            "scopes": ["*:read", "books:*", "audit-logs:read", "workflow_runs:write"],
            "expires_at": .string(fixture.clock.now().advanced(by: .seconds(1)).rfc3339),
        ])
        let kind = try fixture.kind("api-key")
        for (body, field) in wrong {
            let refusals = [
                try await problem { _ = try await key(body) },
                try await problem { _ = try await hub.update(kind, id: id, body: body, as: .local) },
            ]
            #expect(refusals.allSatisfy { $0.code == .invalid && $0.fields.keys.sorted() == [field] }, "\(refusals)")
        }
        // A key that is over by now can still be changed.
        fixture.clock.move(.seconds(2))
        _ = try await hub.update(kind, id: id, body: ["name": "over"], as: .local)
    }

    @Test func usersLogIn() async throws {
        try await fixture.make("user", ["email": "Ada@Example.org", "password": "correct horse", "role": "operator"])
        let record = try #require(try await fixture.store.read { try $0.all("user", parentId: nil).first })
        let stored = try HubFixture.box.open(record.spec["password"]?.stringValue ?? "")
        #expect(stored.hasPrefix("$2b$12$") && stored.utf8.count == 60)
        let session = try await hub.login(email: "ada@example.ORG", password: "correct horse", address: "x")
        #expect(session.principal.name == "user:Ada@Example.org")
        #expect(session.principal.may("write", "shelves") && !session.principal.may("write", "users"))
        #expect(!session.principal.may("delete", "api-keys") && session.principal.may("read", "audit-logs"))
        let found = try #require(try await hub.session(session.token, address: "y"))
        #expect(found.csrfToken == session.csrfToken && found.principal.address == "y")
        #expect(hub.isValidCSRF(session.csrfToken, session: session.token))
        #expect(!hub.isValidCSRF("", session: session.token) && !hub.isValidCSRF(session.token, session: session.token))
        for (email, password) in [
            ("ada@example.org", "wrong horse"), ("nobody@example.org", "correct horse"), ("", ""),
            ("ada@example.org", String(repeating: "x", count: 5000)), ("ada@example.org", "correct horse\u{0}"),
        ] {
            let refusal = try await problem { _ = try await hub.login(email: email, password: password, address: "x") }
            #expect(refusal.code == .unauthenticated)
        }
        try await hub.logout(session.token, address: "x")
        #expect(try await hub.session(session.token, address: "x") == nil)
    }

    @Test func usersWithoutPasswordCannotLogIn() async throws {
        try await fixture.make("user", ["email": "ada@example.org"])
        let refusal = try await problem {
            _ = try await hub.login(email: "ada@example.org", password: "", address: "x")
        }
        #expect(refusal.code == .unauthenticated)
    }

    @Test func sessionsSlideAndEnd() async throws {
        let (id, text) = try await key()
        let session = try await hub.loginWithKey(text, address: "x")
        for _ in 0..<3 {
            fixture.clock.move(.seconds(11 * 3600))
            #expect(try await hub.principal(forSession: session.token, address: "x") != nil)
        }
        fixture.clock.move(.seconds(13 * 3600))
        #expect(try await hub.principal(forSession: session.token, address: "x") == nil)
        let second = try await hub.loginWithKey(text, address: "x")
        _ = try await hub.delete(fixture.kind("api-key"), id: id, as: .local)
        #expect(try await hub.principal(forSession: second.token, address: "x") == nil)
        for token in ["", "x", String(repeating: "0", count: 64)] {
            #expect(try await hub.principal(forSession: token, address: "x") == nil)
        }
    }

    @Test func limitsFailedLogins() async throws {
        var codes: [Problem.Code] = []
        for _ in 0..<12 {
            codes.append(
                try await problem {
                    _ = try await hub.login(email: "a@example.org", password: "x", address: "192.0.2.1")
                }.code)
        }
        #expect(
            codes.prefix(10).allSatisfy { $0 == .unauthenticated } && codes.suffix(2).allSatisfy { $0 == .rateLimited })
        let limited = try await problem {
            _ = try await hub.login(email: "A@example.org", password: "x", address: "192.0.2.2")
        }
        #expect(limited.code == .rateLimited && (limited.retryAfter ?? .zero) > .zero)
        fixture.clock.move(.seconds(901))
        let later = try await problem {
            _ = try await hub.login(email: "a@example.org", password: "x", address: "192.0.2.1")
        }
        #expect(later.code == .unauthenticated)
        // Many accounts from one address.
        for number in 0..<50 {
            _ = try await problem { _ = try await hub.loginWithKey("k\(number)", address: "192.0.2.7") }
        }
        #expect(try await problem { _ = try await hub.loginWithKey("k", address: "192.0.2.7") }.code == .rateLimited)
    }

    @Test func administratorKeyIsMadeOnceAndAgainWhenGone() async throws {
        let folder = TemporaryFolder()
        let path = "\(folder.path)/admin.key"
        func text() throws -> String {
            guard let file = fopen(path, "re") else { throw Problem(.notFound, "There is no \(path).") }
            defer { fclose(file) }
            var buffer = [CChar](repeating: 0, count: 200)
            _ = fgets(&buffer, 199, file)
            return String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        }
        try await hub.ensureAdministratorKey(writeTo: path)
        let first = try text()
        #expect(try await hub.authenticate(apiKey: first, address: "x").scopes == ["*:*"])
        var status = stat()
        try #require(stat(path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        try await hub.ensureAdministratorKey(writeTo: path)
        #expect(try text() == first)
        unlink(path)
        try await hub.ensureAdministratorKey(writeTo: path)
        let second = try text()
        #expect(second != first)
        _ = try await hub.authenticate(apiKey: second, address: "x")
        #expect(
            try await problem { _ = try await hub.authenticate(apiKey: first, address: "x") }.code == .unauthenticated)
        // Keys that the hub makes by itself are in the audit log like any other.
        let notes = try await hub.auditLog(.init(resource: "api-key"), as: .local).reversed()
        #expect(notes.map(\.action) == ["create", "delete", "create"] && notes.allSatisfy { $0.actor == "local" })
        #expect(notes.compactMap(\.resourceId) == [first, first, second].compactMap(APIKey.id))
        #expect(notes.first?.body["scopes"] == ["*:*"] && notes.allSatisfy { !"\($0)".contains(first.suffix(32)) })
    }
}
