import Host
import Model
public import ResourceKit

/// A branch or pull request of a service, running beside it under a host name of its own.
public let previewKind = ResourceKind(
    name: "preview", plural: "previews", summary: "A branch or pull request of a service, running beside it.",
    identity: .uuid, parent: .init(kind: "service", field: "service_id"), isAsynchronous: true,
    verbs: [.list, .create, .read, .delete],
    fields: [
        Field("branch", .string(check: Names.gitRefFlaw), "Branch to run.", immutable: true, example: "new-checkout"),
        Field(
            "pull_request", .integer(1...999_999_999), "Number of the pull or merge request to run.", immutable: true),
        Field(
            "hostname", .string(check: { Names.hostnameFlaw($0) }),
            "Its own host name; made of its name and the service's first host name when absent.", immutable: true,
            example: "pr-12.shop.example.org"),
        Field(
            "idle_timeout", .duration(.zero...(.seconds(31_536_000))),
            "It is removed when nobody asked for it this long; 0 keeps it.", default: "72h"),
    ],
    reported: [
        Field("name", .line, "Name of the service that runs it."),
        Field("preview_service_id", .reference("service"), "The service that runs it."),
        Field("commit", .line, "The commit that was last observed to serve."),
        Field("last_request_at", .line, "When somebody was last seen to use it."),
    ],
    claims: { ["preview/\($0.parentId ?? "")/\(Previews.label($0.spec))"] },
    claimedFields: ["pull_request"],
    columns: ["name", "hostname", "commit"], searched: ["name", "hostname", "branch"],
    validate: { spec, flaws in
        let given = ["branch", "pull_request"].filter { spec[$0].map { !$0.isNull } == true }
        if given.isEmpty { flaws.add("branch", "is required, or pull_request") }
        if given.count > 1 { flaws.add("pull_request", "cannot be given together with branch") }
    }, behaviour: PreviewBehaviour())

struct PreviewBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let origin = try record.parentId.flatMap({ try transaction.get("service", $0) }) else { return }
        let service = try Previews.service(for: record, from: origin, transaction)
        try Sites.requireNoSite(service, transaction)
        var preview = record
        preview.spec["hostname"] = service.spec["hostnames"]?.arrayValue?.first
        preview.state["name"] = service.spec["name"]
        preview.state["preview_service_id"] = .string(service.id)
        preview.status = .provisioning
        _ = try transaction.put(preview)
        _ = try Deployments.start(of: try transaction.put(service), nil, reason: "preview", by: "preview", transaction)
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        guard let id = record.state["preview_service_id"]?.stringValue,
            let service = try transaction.get("service", id)
        else { return true }
        try ServiceBehaviour.leaveStack(service, transaction)
        try transaction.remove("service", id)
        return true
    }
}

/// Rules of previews.
public enum Previews {
    /// `branch` or `pr-12`: what is unique below a service.
    static func label(_ spec: [String: JSONValue]) -> String {
        if let number = spec["pull_request"]?.intValue { return "pr-\(number)" }
        return "branch/\(spec["branch"]?.stringValue ?? "")"
    }

    /// The reference that is run. GitLab's merge requests are looked for where this one is unknown.
    static func reference(_ spec: [String: JSONValue]) -> String {
        if let number = spec["pull_request"]?.intValue { return "refs/pull/\(number)/head" }
        return spec["branch"]?.stringValue ?? ""
    }

    /// The service that runs a preview: its origin's settings and credentials, with another reference and host name.
    static func service(
        for preview: ResourceRecord, from origin: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard origin.spec["git_url"]?.stringValue != nil else {
            throw Problem(.conflict, "The service has no repository, so there is nothing to preview.")
        }
        guard origin.state["preview_id"] == nil else { throw Problem(.conflict, "A preview has no previews.") }
        let name = name(origin.spec["name"]?.stringValue ?? "", preview.spec)
        var spec = origin.spec
        spec["name"] = .string(name)
        spec["git_ref"] = .string(reference(preview.spec))
        spec["hostnames"] = [.string(try hostname(name, preview.spec, origin.spec))]
        spec["path"] = "/"
        spec["instances"] = 1
        spec["auto_preview"] = false
        // Two services cannot have one fixed port.
        spec["port"] = nil
        var state = origin.state.filter {
            ["deploy_key", "deploy_key_private", "webhook_secret"].contains($0.key)
        }
        let id = transaction.random.uuid()
        state["webhook_path"] = .string("/api/v1/hooks/\(id)")
        state["restart_generation"] = 0
        state["preview_id"] = .string(preview.id)
        return ResourceRecord(
            kind: "service", id: id, parentId: origin.parentId, brandId: origin.brandId, tenantId: origin.tenantId,
            status: .pending, spec: spec, state: state, createdAt: transaction.now, updatedAt: transaction.now)
    }

    /// A DNS label that begins with the service's name (RFC 1035 section 2.3.1).
    static func name(_ service: String, _ spec: [String: JSONValue]) -> String {
        let tail: String
        if let number = spec["pull_request"]?.intValue {
            tail = "pr-\(number)"
        } else {
            let lower = (spec["branch"]?.stringValue ?? "").lowercased()
            let letters = lower.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "-" }
            tail = String(letters).split(separator: "-").joined(separator: "-")
        }
        var text = "\(service.prefix(40))-\(tail.isEmpty ? "preview" : tail)".prefix(63)
        while text.hasSuffix("-") { text.removeLast() }
        return String(text)
    }

    private static func hostname(
        _ name: String, _ spec: [String: JSONValue], _ origin: [String: JSONValue]
    ) throws -> String {
        if let given = spec["hostname"]?.stringValue { return given }
        guard let first = origin["hostnames"]?.arrayValue?.first?.stringValue else {
            throw Problem.invalid("hostname", "is required, as the service has no host name to make it of")
        }
        return "\(name).\(first.hasPrefix("*.") ? String(first.dropFirst(2)) : first)"
    }

    /// The status of a preview is that of its service.
    public static func follow(_ service: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let id = service.state["preview_id"]?.stringValue, var preview = try transaction.get("preview", id),
            preview.status != .deleting
        else { return }
        let before = preview
        preview.status = service.status == .pending ? .provisioning : service.status
        preview.statusMessage = service.statusMessage
        preview.state["commit"] = service.state["commit"]
        if preview != before { _ = try transaction.put(preview) }
    }
}
