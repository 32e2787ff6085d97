import Catalog
import HubCore
import HubStore
import Logging
import Model
import NIOHTTP1
import ResourceKit
import Synchronization
import Testing

/// The audit log as a whole: its chain, its export, its age, and that it holds no secret.
@Suite struct AuditTests {
    @Test func isExportedAndVerified() async throws {
        try await ServerFixture.run { server in
            let samples = KindSamples(server)
            for kind in Catalog.kinds where kind.verbs.contains(.create) { _ = try await samples.one(kind.name) }
            #expect(
                try await server.send(.GET, "audit-logs/verify").json == ["is_whole": true, "first_broken_id": .null])
            let export = try await server.send(.GET, "audit-logs/export")
            #expect(export.headers.first(name: "Content-Type") == "application/jsonl")
            let lines = try export.text.split(separator: "\n").map { try JSONParser.parse(String($0)) }
            #expect(lines.compactMap { $0["id"]?.intValue } == (1...Int64(lines.count)).map { $0 } && lines.count > 10)
            #expect(lines.allSatisfy { $0["hash"]?.stringValue?.utf8.count == 64 && $0["actor"] != nil })
            let rest = try await server.send(.GET, "audit-logs/export?after=\(lines.count - 1)").text
            #expect(rest.split(separator: "\n").count == 1)
            // Filters by kind, by id, and by both.
            let tenant = try await samples.one("tenant")
            for filter in [
                "resource=tenant", "resource=\(tenant)", "resource=tenant/\(tenant)",
                "action=create&resource=\(tenant)",
            ] {
                let found = try await server.send(.GET, "audit-logs?\(filter)").json["items"]?.arrayValue ?? []
                #expect(found.map { $0["resource_id"]?.stringValue } == [tenant], "\(filter)")
            }
        }
    }

    /// Two keys may have one name; who did it must be told apart all the same.
    @Test func tellsKeysOfOneNameApart() async throws {
        try await ServerFixture.run { server in
            var ids: [String] = []
            for number in 1...2 {
                let made = try await server.send(
                    .POST, "api-keys", ["name": "bot", "scopes": ["*:*"], "brands": ["*"]]
                ).json
                ids.append(try #require(made["id"]?.stringValue))
                let headers: HTTPHeaders = ["X-API-Key": try #require(made["key"]?.stringValue)]
                let stack: JSONValue = ["name": .string("s\(number)")]
                #expect(try await server.send(.POST, "stacks", stack, headers: headers, anonymous: true).status == 202)
            }
            func actors(_ filter: String) async throws -> [String?] {
                try await server.send(.GET, "audit-logs?resource=stack&\(filter)").json["items"]?.arrayValue?
                    .map { $0["actor_id"]?.stringValue } ?? []
            }
            #expect(try await actors("actor=key:bot") == ids.reversed())
            #expect(try await actors("actor=\(ids[0])") == [ids[0]])
        }
    }

    @Test func everyLogoutIsNoted() async throws {
        try await ServerFixture.run { server in
            let login = try await server.send(.POST, "login", ["key": .string(server.key), "bearer": true]).json
            let token = try #require(login["token"]?.stringValue)
            for _ in 0..<2 {
                let headers: HTTPHeaders = ["Authorization": "Bearer \(token)"]
                #expect(try await server.send(.POST, "logout", headers: headers, anonymous: true).status == 204)
            }
            let entries = try await server.send(.GET, "audit-logs?action=logout").json["items"]?.arrayValue ?? []
            // The second one ended nothing.
            #expect(entries.count == 1 && entries[0]["resource_kind"] == "session", "\(entries)")
            #expect(entries.first?["actor"] == "key:test" && entries.first?["address"] == "127.0.0.1")
            #expect(server.key.contains(entries.first?["actor_id"]?.stringValue ?? "none"))
        }
    }

    @Test func oldEntriesGoAndTheRestStaysWhole() async throws {
        let fixture = try HubFixture(kinds: Catalog.kinds)
        let hub = fixture.hub
        for number in 0..<5 {
            try await fixture.make("user", ["email": .string("u\(number)@example.org")])
            fixture.clock.move(.seconds(86_400))
        }
        let config = try fixture.kind("platform-config")
        _ = try await hub.update(
            config, id: "platform-config", body: ["retention_days": ["audit_logs": 3]], as: .local)
        try await hub.removeExpired()
        let left = try await hub.auditLog(as: .local).map(\.id)
        #expect(left.count < 6 && left.first == 6, "\(left)")
        #expect(try await hub.firstBrokenAudit(as: .local) == nil)
        try await fixture.make("user", ["email": "last@example.org"])
        #expect(try await hub.firstBrokenAudit(as: .local) == nil)
    }

    /// Keeps every line that is logged.
    private struct KeepingLogs: LogHandler {
        final class Lines: Sendable {
            let text = Mutex("")
        }
        let lines: Lines
        var metadata: Logger.Metadata = [:]
        var logLevel: Logger.Level = .trace
        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }
        func log(event: LogEvent) {
            lines.text.withLock { $0 += "\(event.message) \(event.metadata ?? [:])\n" }
        }
    }

    private static let planted = "pl4nted-s3cret-value"

    /// Bodies that hold a secret in one field: where it belongs, where it is of the wrong shape, and misspelt.
    private func plantings(_ fields: [Field]) -> [(name: String, value: JSONValue)] {
        let secret = JSONValue.string(Self.planted)
        return fields.flatMap { field -> [(String, JSONValue)] in
            var values: [JSONValue] = [[["value": secret]], ["secret": true, "value": secret]]
            if field.isSecret { values.append(secret) }
            switch field.kind {
            case .string, .text, .reference, .json: break
            case .map(_, .environmentValue, _): values += [["A": secret], ["A": ["value": secret, "secret": true]]]
            case .list(.object(let inner), _):
                values += plantings(inner).map { [[$0.name: $0.value]] }
            case .object(let inner): values += plantings(inner).map { [$0.name: $0.value] }
            case .map where field.isConfidential: values = [["X-A": secret]]
            // A map of texts takes any names, so that this is a plain text where one belongs.
            case .map(_, .string, _): values.removeLast()
            case .list(.string, _), .list(.reference, _), .map: break
            default: values.append(secret)
            }
            return values.map { (field.name, $0) } + [("\(field.name)_x", secret)]
        }
    }

    private func isOpen(_ value: JSONValue, _ field: Field?) -> Bool {
        if field?.isConfidential == true { return true }
        return switch field?.kind {
        case .object(let inner): inner.isEmpty
        case .map(_, .environmentValue, _): value == ["A": .string(Self.planted)]
        default: false
        }
    }

    @Test func noSecretIsAnywhere() async throws {
        let lines = KeepingLogs.Lines()
        var logger = Logger(label: "test") { _ in KeepingLogs(lines: lines) }
        logger.logLevel = .trace
        let kept = logger
        try await ServerFixture.run(logger: kept) { server in
            let samples = KindSamples(server)
            var count = 0
            for kind in Catalog.kinds where kind.verbs.contains(.create) {
                let (path, good) = (try await samples.collection(kind), try await samples.body(kind))
                for (name, value) in plantings(kind.fields) {
                    var body = good
                    body[name] = value
                    let answer = try await server.send(.POST, path, body)
                    // What a field without secrets takes is for its readers to see, but not for the audit log.
                    let isOpen = isOpen(value, kind.fields.first { $0.name == name })
                    #expect(isOpen || !answer.text.contains(Self.planted), "\(kind.name).\(name): \(answer.text)")
                    if let id = try answer.json["id"]?.stringValue {
                        let read = try await server.send(.GET, "\(kind.plural)/\(id)")
                        #expect(isOpen || !read.text.contains(Self.planted), "\(kind.name).\(name)")
                        _ = try await server.send(.PUT, "\(kind.plural)/\(id)", [name: value])
                        _ = try await server.send(.DELETE, "\(kind.plural)/\(id)")
                    }
                    count += 1
                }
                let id = try await samples.one(kind.name)
                for action in kind.allActions where !["deploy", "rollback"].contains(action.name) {
                    for (name, value) in plantings(action.fields) + [("none", .string(Self.planted))] {
                        let place = "\(kind.plural)/\(id)/\(action.name)"
                        let answer = try await server.send(.POST, place, [name: value])
                        #expect(!answer.text.contains(Self.planted), "\(place): \(answer.text)")
                        count += 1
                    }
                }
            }
            let login = try await server.send(
                .POST, "login",
                ["email": "a@example.org", "password": .string(Self.planted), "code": .string(Self.planted)])
            #expect(login.status == 401 && !login.text.contains(Self.planted))
            let audit = try await server.send(.GET, "audit-logs/export").text
            #expect(!audit.contains(Self.planted))
            #expect(audit.contains("[redacted]") && count > 150, "\(count)")
            print("planted secrets: \(count)")
        }
        #expect(!lines.text.withLock { $0.contains(Self.planted) })
    }
}
