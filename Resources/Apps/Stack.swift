import Model
public import ResourceKit

/// A set of services that run together, on every server that joined it.
public let stackKind = ResourceKind(
    name: "stack", plural: "stacks", summary: "Services that run together on the servers of the stack.",
    identity: .uuid, isAsynchronous: true,
    fields: [
        Field("name", .slug, "Unique name.", required: true, example: "default"),
        Field(
            "poll_interval", .duration(.seconds(1)...(.seconds(3600))),
            "How often an agent asks for changes when pushing is not possible, and sends heartbeats.", default: 10),
        Field(
            "proxy",
            .object([
                Field(
                    "bind", .string(check: Names.addressFlaw), "Address of the public front door.", default: "0.0.0.0"),
                Field("port", .integer(1...65535), "Port of the public front door.", default: 80),
                Field(
                    "tls_port", .integer(1...65535),
                    "Port of the front door for TLS; open while there is a site with tls.", default: 443),
                Field(
                    "trusted_networks", .list(of: .string(check: Sites.networkFlaw), countMax: 1000),
                    "Load balancers and proxies in front of the servers: only from them are X-Forwarded-For and -Proto "
                        + "believed.", default: [], example: ["10.0.0.0/24"]),
            ]), "The public reverse proxy on each server.", default: ["bind": "0.0.0.0", "port": 80]),
        Field(
            "acme",
            .object([
                Field(
                    "directory_url", .string(check: directoryFlaw), "Where certificates are ordered (RFC 8555).",
                    default: .string(letsEncryptURL)),
                Field(
                    "contacts", .list(of: .string(check: contactFlaw), countMax: 10),
                    "Email addresses that the authority writes to.", default: [], example: ["ops@example.org"]),
                Field(
                    "roots_pem", .text(bytesMax: 131_072),
                    "Roots of a private authority in PEM form, trusted beside the system's."),
            ]), "The authority that orders of tls acme go to; Let's Encrypt when absent.", default: [:]),
        Field(
            "dns",
            .object([
                Field(
                    "suffix", .string(check: { Names.hostnameFlaw($0) }), "Internal names end in this.",
                    default: "svc.internal")
            ]), "Internal names of the services.", default: ["suffix": "svc.internal"]),
        Field(
            "security_mode", .choice(["open", "daemon-port", "blocked"]),
            "Which inbound ports a server keeps open.", default: "open"),
        Field(
            "ssh_allow", .list(of: .string(check: Names.cidrFlaw), countMax: 100),
            "Networks that may reach SSH, in CIDR notation.", default: []),
    ],
    reported: [
        Field("version", .integer(0...Int64.max), "Grows with each change of what should run."),
        Field("hash", .line, "SHA-256 of what should run, over canonical JSON."),
    ],
    claims: { ["stack/\($0.spec["name"]?.stringValue ?? "")"] },
    actions: [ResourceAction("retry", "Have its servers take it once more; harmless on a healthy stack.")],
    columns: ["name", "version", "security_mode"], searched: ["name"], validate: validateStack,
    behaviour: StackBehaviour())

let letsEncryptURL = "https://acme-v02.api.letsencrypt.org/directory"

@Sendable private func directoryFlaw(_ text: String) -> String? {
    let flaw = "must be an https URL in plain ASCII, without a password"
    guard text.hasPrefix("https://"), text.utf8.count <= 1024, !text.contains("@"),
        text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C && $0 != 0x23 })
    else { return flaw }
    let host = text.dropFirst(8).prefix { $0 != "/" && $0 != "?" }
    return host.isEmpty || host.hasPrefix(":") ? flaw : nil
}

@Sendable private func contactFlaw(_ text: String) -> String? {
    let parts = text.split(separator: "@", omittingEmptySubsequences: false)
    let isSound =
        parts.count == 2 && (1...64).contains(parts[0].utf8.count) && Names.hostnameFlaw(String(parts[1])) == nil
        && parts[0].utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"()<>[],;:?\\\"".utf8.contains($0) }
    return isSound ? nil : "must be an email address"
}

@Sendable private func validateStack(_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) {
    let proxy = spec["proxy"]
    if let port = proxy?["tls_port"]?.intValue, port == proxy?["port"]?.intValue ?? 80 {
        flaws.add("proxy.tls_port", "must be another port than that for clear text")
    }
    if let roots = spec["acme"]?["roots_pem"]?.stringValue, !roots.isEmpty,
        !roots.split(separator: "\n").contains(where: { $0.hasPrefix("-----BEGIN CERTIFICATE-----") })
    {
        flaws.add("acme.roots_pem", "must hold certificates in PEM form")
    }
}

struct StackBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try touchStack(record.id, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try touchStack(new.id, transaction)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        guard record.status == .active || record.status == .failed else { return record }
        try touchStack(record.id, transaction)
        return record
    }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        guard try transaction.all("node", parentId: nil).allSatisfy({ $0.spec["stack_id"]?.stringValue != record.id })
        else {
            throw Problem(
                .conflict, "The stack still has servers.", hint: "Remove them first: roost server remove NAME.")
        }
        return true
    }
}

/// Marks that what the stack should run has changed: its version grows, so that every agent gets a new document, and
/// the stack is `provisioning` until each server has taken it.
public func touchStack(_ id: String, _ transaction: any ResourceTransaction) throws {
    guard var stack = try transaction.get("stack", id) else { return }
    stack.state["version"] = .int((stack.state["version"]?.intValue ?? 0) + 1)
    stack.status = .provisioning
    _ = try transaction.put(stack)
}
