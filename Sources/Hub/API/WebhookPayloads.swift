import Model
import ResourceKit

/// The JSON of a webhook, which GitHub may send inside a form.
enum WebhookBody {
    /// - Throws: `malformed_json`, `invalid`.
    static func json(_ body: [UInt8], contentType: String?) throws -> JSONValue {
        guard contentType == "application/x-www-form-urlencoded" else { return try JSONParser.parse(body) }
        guard let text = String(validating: body, as: UTF8.self), let json = try QueryParameters(text)["payload"] else {
            throw Problem(.invalid, "The form has no payload.")
        }
        return try JSONParser.parse(Array(json.utf8))
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
        let payload = try WebhookBody.json(body, contentType: contentType)
        guard let ref = payload["ref"]?.stringValue else { throw Problem.invalid("ref", "is required") }
        self.ref = ref
        let after = payload["checkout_sha"]?.stringValue ?? payload["after"]?.stringValue
        commit = after.flatMap { $0.allSatisfy { $0 == "0" } ? nil : $0 }
        defaultBranch =
            payload["repository"]?["default_branch"]?.stringValue ?? payload["project"]?["default_branch"]?.stringValue
    }

    /// Whether the push moved this branch.
    func isAbout(branch: JSONValue?) -> Bool { branch?.stringValue.map { ref == "refs/heads/\($0)" } ?? false }

    /// Why the push does not deploy; nil when it does.
    func reasonToIgnore(for service: ResourceRecord) -> String? {
        if service.spec["auto_deploy"] == false { return "Pushes do not deploy this service (auto_deploy is off)." }
        guard commit != nil else { return "The reference was deleted." }
        guard let wanted = service.spec["git_ref"]?.stringValue ?? defaultBranch else { return nil }
        let names = ["refs/heads/\(wanted)", "refs/tags/\(wanted)", wanted]
        return names.contains(ref) ? nil : "The service is deployed from \(wanted)."
    }
}

/// What a pull or merge request event says, as far as it matters.
struct PullRequestPayload {
    enum Change { case updated, closed, other }

    var number: Int64
    var change: Change

    /// - Throws: `malformed_json`, `invalid`.
    init(_ body: [UInt8], contentType: String?) throws {
        let payload = try WebhookBody.json(body, contentType: contentType)
        let merge = payload["object_attributes"]
        guard let number = payload["number"]?.intValue ?? merge?["iid"]?.intValue, number > 0 else {
            throw Problem.invalid("number", "is required")
        }
        self.number = number
        switch payload["action"]?.stringValue ?? merge?["action"]?.stringValue {
        case "opened", "reopened", "synchronize", "synchronized", "open", "reopen", "update": change = .updated
        case "closed", "close", "merge": change = .closed
        default: change = .other
        }
    }
}
