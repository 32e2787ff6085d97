import Crypto
import HTTPTypes
import HubCore
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
        guard Self.isPush(headers) else { return Self.ignored("Only pushes deploy.") }
        let payload = try PushPayload(body, contentType: headers[.contentType].map(APIRequest.mediaType))
        if let reason = payload.reasonToIgnore(for: service) { return Self.ignored(reason) }
        let answer = try await hub.deploy(serviceId: id, by: "webhook", expectedCommit: payload.commit)
        return Answers.json(
            ["deployment_id": answer.body["id"] ?? .null, "status": answer.body["status"] ?? .null], status: .accepted)
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

    private static func isPush(_ headers: HTTPFields) -> Bool {
        if let event = header(headers, "X-Gitea-Event") ?? header(headers, "X-GitHub-Event") { return event == "push" }
        if let event = header(headers, "X-Gitlab-Event") { return event == "Push Hook" || event == "Tag Push Hook" }
        return true
    }

    static func hexBytes(_ text: Substring) -> [UInt8]? {
        let digits = text.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue.map(UInt8.init) }
        guard digits.count == text.utf8.count, digits.count == 64 else { return nil }
        return stride(from: 0, to: 64, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }
}

/// What a push says, as far as it matters.
struct PushPayload {
    var ref: String
    /// The commit that the reference is at now; nil when it was deleted.
    var commit: String?
    var defaultBranch: String?

    /// - Throws: `malformed_json`, `invalid`.
    init(_ body: [UInt8], contentType: String?) throws {
        var body = body
        if contentType == "application/x-www-form-urlencoded" {
            guard let text = String(validating: body, as: UTF8.self), let json = try QueryParameters(text)["payload"]
            else {
                throw Problem(.invalid, "The form has no payload.")
            }
            body = Array(json.utf8)
        }
        let payload = try JSONParser.parse(body)
        guard let ref = payload["ref"]?.stringValue else { throw Problem.invalid("ref", "is required") }
        self.ref = ref
        let after = payload["checkout_sha"]?.stringValue ?? payload["after"]?.stringValue
        commit = after.flatMap { $0.allSatisfy { $0 == "0" } ? nil : $0 }
        defaultBranch =
            payload["repository"]?["default_branch"]?.stringValue ?? payload["project"]?["default_branch"]?.stringValue
    }

    /// Why the push does not deploy; nil when it does.
    func reasonToIgnore(for service: ResourceRecord) -> String? {
        if service.spec["auto_deploy"] == false { return "Pushes do not deploy this service (auto_deploy is off)." }
        guard commit != nil else { return "The reference was deleted." }
        guard let wanted = service.spec["git_ref"]?.stringValue ?? defaultBranch else { return nil }
        let names = ["refs/heads/\(wanted)", "refs/tags/\(wanted)", wanted]
        return names.contains(ref) ? nil : "The service is deployed from \(wanted)."
    }
}
