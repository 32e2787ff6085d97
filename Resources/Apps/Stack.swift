public import Model
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
            ]), "The public reverse proxy on each server.", default: ["bind": "0.0.0.0", "port": 80]),
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
    columns: ["name", "version", "security_mode"], searched: ["name"], behaviour: StackBehaviour())

struct StackBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try touchStack(record.id, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try touchStack(new.id, transaction)
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
