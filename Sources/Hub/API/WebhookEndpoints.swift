import Crypto
import HTTPTypes
import HubCore
import HubStore
import Hummingbird
import Model
import ResourceKit

/// Push webhooks of GitHub, Gitea and GitLab: a signed one deploys.
extension HubAPI {
    /// Payloads list commits and can be long, in bytes.
    private static let payloadBytesMax = 5_242_880
    private static let refused = Problem(
        .unauthenticated, "The webhook's signature is missing or wrong.",
        hint: "Set the service's webhook secret at the git host.")

    func webhookEndpoints() -> [Endpoint] {
        guard hub.kind("service") != nil else { return [] }
        var operation = Operation(id: "push-webhook", tag: "services", summary: "Receive a push from a git host.")
        operation.isHidden = true
        return [
            Endpoint(
                method: .post, path: "\(Self.base)/hooks/{id}", access: .signature, operation: operation,
                handle: { try await receivePush($0) })
        ]
    }

    private func receivePush(_ request: APIRequest) async throws -> Response {
        let id = request.id
        let service = try await hub.read { try $0.get("service", id) }
        // An unknown service and a wrong signature are answered alike.
        guard let service, let sealed = service.state["webhook_secret"]?.stringValue else { throw Self.refused }
        let secret = try hub.world.secrets.open(sealed)
        let headers = request.request.headers
        guard Self.isClaimed(headers) else { throw Self.refused }
        let body = try await request.body(limit: Self.payloadBytesMax)
        guard Self.isSigned(headers, body, secret) else { throw Self.refused }
        let type = headers[.contentType].map(APIRequest.mediaType)
        switch Self.subject(headers) {
        case .push:
            return try await deployPushed(try PushPayload(body, contentType: type), service)
        case .pullRequest:
            return try await preview(try PullRequestPayload(body, contentType: type), service)
        case .other: return Self.ignored("Only pushes and pull requests matter.")
        }
    }

    private func deployPushed(_ payload: PushPayload, _ service: ResourceRecord) async throws -> Response {
        var deployed: [JSONValue] = []
        for preview in try await previews(of: service) where payload.isAbout(branch: preview.spec["branch"]) {
            guard payload.commit != nil, let id = preview.state["preview_service_id"]?.stringValue else { continue }
            let answer = try await hub.deploy(serviceId: id, by: "webhook", expectedCommit: payload.commit)
            deployed.append(answer.body["id"] ?? .null)
        }
        if let reason = payload.reasonToIgnore(for: service) {
            guard deployed.isEmpty else { return Answers.json(["previews": .array(deployed)], status: .accepted) }
            return Self.ignored(reason)
        }
        let answer = try await hub.deploy(serviceId: service.id, by: "webhook", expectedCommit: payload.commit)
        return Answers.json(
            [
                "deployment_id": answer.body["id"] ?? .null, "status": answer.body["status"] ?? .null,
                "previews": .array(deployed),
            ], status: .accepted)
    }

    private func previews(of service: ResourceRecord) async throws -> [ResourceRecord] {
        try await hub.read { try $0.all("preview", parentId: service.id) }
    }

    /// A pull request's preview follows its commits and goes when it is closed.
    private func preview(_ payload: PullRequestPayload, _ service: ResourceRecord) async throws -> Response {
        guard let kind = hub.kind("preview") else { return Self.ignored("There are no previews here.") }
        let caller = Principal(name: "webhook", scopes: ["previews:*"], brands: .all, address: "webhook")
        let existing = try await previews(of: service).first {
            $0.spec["pull_request"]?.intValue == payload.number
        }
        switch (payload.change, existing) {
        case (.closed, let preview?):
            _ = try await hub.delete(kind, id: preview.id, as: caller)
            return Answers.json(["removed": .string(preview.id)], status: .accepted)
        case (.updated, let preview?):
            guard let id = preview.state["preview_service_id"]?.stringValue else { return Self.ignored("It is gone.") }
            let answer = try await hub.deploy(serviceId: id, by: "webhook", expectedCommit: nil)
            return Answers.json(["deployment_id": answer.body["id"] ?? .null], status: .accepted)
        case (.updated, nil) where service.spec["auto_preview"] == true:
            let answer = try await hub.create(
                kind, parentId: service.id, body: ["pull_request": .int(payload.number)], as: caller)
            return Answers.json(["preview_id": answer.body["id"] ?? .null], status: .accepted)
        case (.updated, nil): return Self.ignored("The service has no previews by itself (auto_preview is off).")
        case (.closed, nil), (.other, _): return Self.ignored("There is nothing to do.")
        }
    }

    private static func ignored(_ why: String) -> Response { Answers.json(["ignored": .string(why)]) }

    private static func header(_ headers: HTTPFields, _ name: String) -> String? {
        HTTPField.Name(name).flatMap { headers[$0] }
    }

    /// Whether there is anything to verify, before the body is read.
    private static func isClaimed(_ headers: HTTPFields) -> Bool {
        ["X-Hub-Signature-256", "X-Gitea-Signature", "X-Gitlab-Token"].contains { header(headers, $0) != nil }
    }

    private static func isSigned(_ headers: HTTPFields, _ body: [UInt8], _ secret: String) -> Bool {
        let key = SymmetricKey(data: Array(secret.utf8))
        if let text = header(headers, "X-Hub-Signature-256") {
            guard text.hasPrefix("sha256="), let code = hexBytes(text.dropFirst(7)) else { return false }
            return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: body, using: key)
        }
        if let text = header(headers, "X-Gitea-Signature") {
            guard let code = hexBytes(text[...]) else { return false }
            return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: body, using: key)
        }
        guard let token = header(headers, "X-Gitlab-Token") else { return false }
        // Codes of equal length are compared, so that the time tells nothing of the token.
        let code = HMAC<SHA256>.authenticationCode(for: Array(token.utf8), using: key)
        return HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: Array(secret.utf8), using: key)
    }

    private enum Subject { case push, pullRequest, other }

    private static func subject(_ headers: HTTPFields) -> Subject {
        if let event = header(headers, "X-Gitea-Event") ?? header(headers, "X-GitHub-Event") {
            return event == "push" ? .push : event == "pull_request" ? .pullRequest : .other
        }
        if let event = header(headers, "X-Gitlab-Event") {
            if event == "Merge Request Hook" { return .pullRequest }
            return event == "Push Hook" || event == "Tag Push Hook" ? .push : .other
        }
        return .push
    }

    static func hexBytes(_ text: Substring) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue.map(UInt8.init) }
        guard digits.count == text.utf8.count, digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}
