import Catalog
import Glibc
import HubCore
import Model
import NIOHTTP1
import ResourceKit
import Testing

/// Hostile values, and clients that take their time.
@Suite struct HostileInputTests {
    /// Every text of every kind takes every hostile text, and every field what is no text: never a 5xx, and either a
    /// refusal that names the field, or a resource that is given back to the letter and shown as text.
    @Test(.timeLimit(.minutes(8))) func everyFieldTakesEveryHostileValue() async throws {
        try await HostileRun.run { run in
            for kind in Catalog.kinds where kind.verbs.contains(.create) {
                try await run.tryFields(of: kind)
                try await run.tryMalformed(kind)
                try await run.tryNested(kind)
                try await run.tryTools(of: kind)
            }
            for kind in Catalog.kinds where kind.verbs.contains(.update) { try await run.tryUpdates(of: kind) }
            try await run.checkTheRest()
            print("hostile values: \(run.requests) requests, \(run.accepted) accepted")
            #expect(run.requests > 2000)
            #expect(run.accepted > 300)
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
