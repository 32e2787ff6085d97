import Glibc
import HubCore
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// Hostile values, and clients that take their time.
@Suite struct HostileInputTests {
    static let values: [JSONValue] = [
        "", " ", "\u{0}", "a\nb", "../../etc/passwd", "-oProxyCommand=x", "--upload-pack=x", "$(id)", "`id`",
        "'; DROP TABLE",
        "<script>alert(1)</script>", "%00", "{{x}}", "\u{202E}x", "é", "💥",
        .string(String(repeating: "A", count: 70_000)),
        .string(String(repeating: "é", count: 40_000)), nil, true, -1, 0, 9_223_372_036_854_775_807, 1.5, 1e308, [],
        [[]], [:],
        ["": ""], ["a\u{0}": "b"], ["value": "x", "secret": "yes"],
    ]

    /// Every field of every kind takes every hostile value: never a 5xx, and either a refusal that names the field or a
    /// resource that can be read back.
    @Test(.timeLimit(.minutes(3))) func everyFieldTakesEveryHostileValue() async throws {
        try await ServerFixture.run { server in
            let stack = try await server.make("stacks", ["name": "base"])
            let good: [String: JSONValue] = [
                "stack": ["name": "x"],
                "service": ["name": "web", "git_url": "https://git.example.org/x.git", "run_command": "run"],
                "api-key": ["name": "k", "scopes": ["*:read"], "brands": ["*"]], "user": ["email": "u@example.org"],
                "install-token": ["stack_id": .string(stack)], "preview": ["branch": "b", "hostname": "b.example.org"],
            ]
            let service = try await server.make(
                "stacks/\(stack)/services",
                ["name": "base", "git_url": "https://git.example.org/x.git", "run_command": "x"])
            let parents = ["stack": "stacks/\(stack)", "service": "services/\(service)"]
            var count = 0
            for kind in server.hub.kinds where kind.verbs.contains(.create) {
                let parent = kind.parent.flatMap { parents[$0.kind] }
                let path = parent.map { "\($0)/\(kind.plural)" } ?? kind.plural
                for field in kind.fields {
                    for value in Self.values {
                        var body = good[kind.name] ?? [:]
                        body[field.name] = value
                        let answer = try await server.send(.POST, path, body)
                        count += 1
                        let json = try answer.json
                        if answer.status < 300 {
                            let id = json["id"]?.stringValue ?? ""
                            #expect(try await server.send(.GET, "\(kind.plural)/\(id)").status == 200)
                            _ = try await server.send(.DELETE, "\(kind.plural)/\(id)")
                        } else {
                            #expect(
                                answer.status == 400 || answer.status == 409,
                                "\(kind.name).\(field.name): \(answer.text.prefix(200))")
                            #expect(json["error"]?.stringValue?.isEmpty == false)
                        }
                    }
                }
            }
            #expect(count > 800)
        }
    }

    @Test(arguments: [
        "file:///../etc", "ext::sh -c id", "-x", "https://", "https://a b/c", "ssh://-oProxyCommand=id/x", "git@-x:y",
        "git@h:-x",
        "https://host\\@evil/x", "javascript:alert(1)", "file://relative",
    ])
    func refusesHostileRepositories(_ url: String) async throws {
        try await ServerFixture.run { server in
            let stack = try await server.make("stacks", ["name": "base"])
            let answer = try await server.send(
                .POST, "stacks/\(stack)/services", ["name": "web", "git_url": .string(url), "run_command": "run"])
            #expect(answer.status == 400, "\(answer.text)")
            #expect(try answer.json["fields"]?["git_url"] != nil)
        }
    }

    /// A body that never comes ends in 408 and a closed connection, while others are served.
    @Test(.timeLimit(.minutes(2))) func slowBodiesAreCutOff() async throws {
        try await ServerFixture.run { server in
            let head =
                "POST /api/v1/stacks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(server.key)\r\n"
                + "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
            let start = ContinuousClock.now
            async let slow = server.sendRaw(head, patience: .seconds(100))
            try await Task.sleep(for: .milliseconds(300))
            #expect(try await server.send(.GET, "stacks").status == 200)
            let answer = try await slow
            #expect(answer.hasPrefix("HTTP/1.1 408"), "\(answer)")
            #expect(ContinuousClock.now - start < .seconds(90))
        }
    }
}
