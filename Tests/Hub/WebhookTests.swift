import Crypto
import HubCore
import Model
import NIOHTTP1
import Testing

/// Push webhooks as the git hosts send them.
@Suite struct WebhookTests {
    private struct Service {
        let server: ServerFixture
        let id: String
        let secret: String

        init(_ server: ServerFixture, _ more: JSONValue = [:]) async throws {
            self.server = server
            let stack = try await server.make("stacks", ["name": "a"])
            var body: JSONValue = [
                "name": "web", "git_url": "https://git.example.org/x.git", "run_command": "run", "git_ref": "main",
            ]
            for (name, value) in more.objectValue ?? [:] { body[name] = value }
            let answer = try await server.send(.POST, "stacks/\(stack)/services", body)
            id = try #require(try answer.json["id"]?.stringValue)
            secret = try #require(try answer.json["webhook_secret"]?.stringValue)
        }

        func code(_ body: [UInt8]) -> String {
            HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: Array(secret.utf8)))
                .map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
        }

        func push(_ body: [UInt8], _ headers: HTTPHeaders) async throws -> ServerFixture.Answer {
            try await server.send(.POST, "hooks/\(id)", raw: body, headers: headers, anonymous: true)
        }
    }

    private static let payload: [UInt8] = Array(
        """
        {"ref":"refs/heads/main","after":"\(OneCommitGit.commit)","repository":{"default_branch":"main"}}
        """.utf8)

    @Test func deploysOnASignedPush() async throws {
        try await ServerFixture.run { server in
            let service = try await Service(server)
            let payload = Self.payload
            let accepted: [HTTPHeaders] = [
                ["X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=\(service.code(payload))"],
                ["X-Gitea-Event": "push", "X-Gitea-Signature": service.code(payload)],
                ["X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": service.secret],
            ]
            for headers in accepted {
                let answer = try await service.push(payload, headers)
                #expect(answer.status == 202, "\(answer.text)")
                #expect(try answer.json["deployment_id"]?.stringValue != nil)
            }
            var form = Array("payload=".utf8)
            for byte in payload {
                form += Array("%".utf8) + Array((byte < 16 ? "0" : "").utf8) + Array(String(byte, radix: 16).utf8)
            }
            let answer = try await service.push(
                form,
                [
                    "X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=\(service.code(form))",
                    "Content-Type": "application/x-www-form-urlencoded",
                ])
            #expect(answer.status == 202)
        }
    }

    @Test func aPullRequestHasAPreviewUntilItIsClosed() async throws {
        try await ServerFixture.run { server in
            let service = try await Service(server, ["hostnames": ["shop.example.org"], "auto_preview": true])
            func tell(_ action: String) async throws -> ServerFixture.Answer {
                let body = Array("{\"action\":\"\(action)\",\"number\":12}".utf8)
                let headers: HTTPHeaders = [
                    "X-GitHub-Event": "pull_request", "X-Hub-Signature-256": "sha256=\(service.code(body))",
                ]
                return try await service.push(body, headers)
            }
            let opened = try await tell("opened")
            #expect(opened.status == 202, "\(opened.text)")
            let previews =
                try await server.send(.GET, "services/\(service.id)/previews").json["items"]?.arrayValue ?? []
            #expect(previews.map { $0["hostname"] } == ["web-pr-12.shop.example.org"])
            #expect(try await tell("synchronize").json["deployment_id"]?.stringValue != nil)
            #expect(try await tell("labeled").json["ignored"] != nil)
            #expect(try await tell("closed").json["removed"] == previews.first?["id"])
            #expect(try await server.send(.GET, "services/\(service.id)/previews").json["items"] == [])
            let merge = Array("{\"object_attributes\":{\"iid\":3,\"action\":\"open\"}}".utf8)
            let gitlab: HTTPHeaders = ["X-Gitlab-Event": "Merge Request Hook", "X-Gitlab-Token": service.secret]
            #expect(try await service.push(merge, gitlab).json["preview_id"]?.stringValue != nil)
        }
    }

    @Test func ignoresOtherPushes() async throws {
        try await ServerFixture.run { server in
            let service = try await Service(server)
            for text in [
                "{\"ref\":\"refs/heads/other\",\"after\":\"\(OneCommitGit.commit)\"}",
                "{\"ref\":\"refs/heads/main\",\"after\":\"\(String(repeating: "0", count: 40))\"}",
            ] {
                let body = Array(text.utf8)
                let answer = try await service.push(
                    body, ["X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=\(service.code(body))"])
                #expect(try answer.status == 200 && answer.json["ignored"] != nil)
            }
            let ping = try await service.push(
                Self.payload,
                ["X-GitHub-Event": "ping", "X-Hub-Signature-256": "sha256=\(service.code(Self.payload))"])
            #expect(ping.status == 200)
            _ = try await server.send(.PUT, "services/\(service.id)", ["auto_deploy": false])
            let off = try await service.push(Self.payload, ["X-Gitlab-Token": service.secret])
            #expect(try off.status == 200 && off.json["ignored"] != nil)
        }
    }

    @Test func refusesForgeries() async throws {
        try await ServerFixture.run { server in
            let service = try await Service(server)
            let payload = Self.payload
            let forged: [HTTPHeaders] = [
                [:], ["X-Hub-Signature-256": ""], ["X-Hub-Signature-256": service.code(payload)],
                ["X-Hub-Signature-256": "sha256=\(String(repeating: "0", count: 64))"],
                ["X-Hub-Signature-256": "sha256=\(service.code(payload + [32]))"], ["X-Gitea-Signature": "zz"],
                ["X-Gitlab-Token": ""], ["X-Gitlab-Token": "x"], ["X-Gitlab-Token": service.secret + "0"],
            ]
            for headers in forged { #expect(try await service.push(payload, headers).status == 401) }
            let unknown = try await server.send(
                .POST, "hooks/none", raw: payload, headers: ["X-Gitlab-Token": service.secret], anonymous: true)
            #expect(unknown.status == 401)
            for nonsense in ["", "{", "[]", "{}", "{\"ref\":1}"] {
                let body = Array(nonsense.utf8)
                let answer = try await service.push(
                    body, ["X-GitHub-Event": "push", "X-Hub-Signature-256": "sha256=\(service.code(body))"])
                #expect(answer.status == 400, "\(nonsense): \(answer.status)")
            }
        }
    }
}
