import Model
import ResourceKit

/// Somebody to tell when something of a tenant fails.
let contactKind = ResourceKind(
    name: "contact", plural: "contacts", summary: "Somebody to tell when something of a tenant fails.",
    parent: .init(kind: "tenant", field: "tenant_id"), isAsynchronous: true,
    fields: [
        Field("name", .slug, "Label, unique in the tenant.", required: true, example: "on-call"),
        Field("channel", .choice(["mail", "hook"]), "How it is told.", default: "mail"),
        Field(
            "address", .string(check: { $0.contains("@") ? nil : "must be an address" }), "Where it is told.",
            required: true, example: "ada@example.org"),
        Field("token", .line, "Proves to the other side who speaks.", secret: true),
    ],
    reported: [Field("paused_by", .line, "Who had it left alone.")],
    claims: { ["contact/\($0.parentId ?? "")/\($0.spec["name"]?.stringValue ?? "")"] },
    actions: [ResourceAction("pause", "Leave it alone until it is changed.")],
    columns: ["name", "address"], searched: ["name", "address"],
    validate: { spec, flaws in
        if spec["channel"] == "hook", spec["token"] == nil { flaws.add("token", "is required for a hook") }
    }, behaviour: ContactBehaviour())

struct ContactBehaviour: KindBehaviour {
    /// Nothing has to happen on a server, so the hub itself says how far it is.
    var settles: Bool { true }

    func settle(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Settlement? {
        .active(record.state["paused_by"] == nil ? nil : "It is left alone.")
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        var record = new
        record.state["paused_by"] = nil
        _ = try transaction.put(record)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        var record = record
        record.state["paused_by"] = .string(actor)
        record.status = .provisioning
        return try transaction.put(record)
    }
}
