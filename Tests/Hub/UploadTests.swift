import AgentProtocol
import HubCore
import Model
import NIOHTTP1
import Testing

/// Releases from uploads instead of from git, through the API.
@Suite struct UploadTests {
    private struct Site {
        let server: ServerFixture
        let stack: String
        let id: String

        init(_ server: ServerFixture) async throws {
            self.server = server
            stack = try await server.make("stacks", ["name": "a"])
            id = try await server.make("stacks/\(stack)/services", ["name": "site", "kind": "static", "path": "/"])
        }

        func upload(_ content: String, _ query: String = "") async throws -> ServerFixture.Answer {
            try await server.send(
                .PUT, "services/\(id)/upload\(query)", raw: Array(content.utf8),
                headers: ["Content-Type": "application/octet-stream"])
        }
    }

    @Test func anUploadIsADeployment() async throws {
        try await ServerFixture.run { server in
            let site = try await Site(server)
            let before = try await server.send(.GET, "services/\(site.id)").json
            #expect(before["status"] == "pending" && before["status_message"]?.stringValue?.contains("upload") == true)
            let first = try await site.upload("one")
            #expect(first.status == 202, "\(first.text)")
            let digest = sha256Hex(Array("one".utf8))
            #expect(try first.json["upload"] == .string(digest) && first.json["commit"] == .null)
            // The same again is no news.
            #expect(try await site.upload("one").json["id"] == first.json["id"])
            #expect(try await site.upload("two", "?plan=true").status == 200)
            #expect(
                try await server.send(.GET, "services/\(site.id)/deployments").json["items"]?.arrayValue?.count == 1)
            #expect(try await site.upload("two").json["id"] != first.json["id"])
            // A change of settings keeps what was uploaded last.
            #expect(try await server.send(.PUT, "services/\(site.id)", ["public_folder": "dist"]).status == 202)
            let all = try await server.send(.GET, "services/\(site.id)/deployments?sort=created_at").json["items"]
            #expect(all?.arrayValue?.last?["upload"] == .string(sha256Hex(Array("two".utf8))))
            #expect(try await server.send(.POST, "services/\(site.id)/deploy").status == 409)
        }
    }

    @Test func onlyServersOfTheStackGetIt() async throws {
        try await ServerFixture.run { server in
            let site = try await Site(server)
            let other = try await server.make("stacks", ["name": "b"])
            let owner = try await JoinedAgent(server, stack: site.stack)
            let stranger = try await JoinedAgent(server, stack: other)
            #expect(try await site.upload("content").status == 202)
            let path = "agent/uploads/\(sha256Hex(Array("content".utf8)))"
            #expect(try await owner.send(.GET, path).text == "content")
            #expect(try await owner.send(.GET, path + "?offset=3&count=2").text == "te")
            #expect(try await owner.send(.GET, path + "?offset=7").text == "")
            #expect(try await stranger.send(.GET, path).status == 404)
            #expect(try await server.send(.GET, path).status == 401)
            let document = try DesiredStateEnvelope(json: try await owner.send(.GET, "agent/desired-state").json)
            #expect(document.document["services"]?.arrayValue?.first?["is_upload"] == true)
        }
    }

    @Test func refusesWhoMayNot() async throws {
        try await ServerFixture.run { server in
            let site = try await Site(server)
            let reader = try await server.send(
                .POST, "api-keys", ["name": "r", "scopes": ["services:read"], "brands": ["*"]])
            let key = try #require(try reader.json["key"]?.stringValue)
            let path = "services/\(site.id)/upload"
            let refused = try await server.send(
                .PUT, path, raw: [1], headers: ["X-API-Key": key], anonymous: true)
            #expect(refused.status == 403)
            #expect(try await server.send(.PUT, path, raw: [1], anonymous: true).status == 401)
            #expect(try await server.send(.PUT, "services/none/upload", raw: [1]).status == 404)
            let audit = try await server.send(.GET, "audit-logs?action=upload").json["items"]?.arrayValue ?? []
            #expect(audit.contains { $0["outcome"] == "forbidden" })
        }
    }
}
