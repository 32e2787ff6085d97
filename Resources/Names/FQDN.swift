import Model
public import ResourceKit

/// A domain name that a tenant's sites answer to.
public let fqdnKind = ResourceKind(
    name: "fqdn", plural: "fqdns", summary: "A domain name of a tenant; it leads to the cluster.",
    parent: .init(kind: "tenant", field: "tenant_id"), isAsynchronous: true,
    fields: [
        Field(
            "fqdn", .string(check: { DomainName.flaw($0) }),
            "The name, with or without the dot at its end; unique on the platform.", required: true, immutable: true,
            example: "www.example.org"),
        Field(
            "webroot_id",
            .string(check: { _ in "must be null: this hub has no webroots yet, so no name can lead to one" }),
            "The webroot that it leads to; null, as there are none yet."),
        Field(
            "ssl_enabled", .boolean,
            "Whether it is to be served over HTTPS; the status message says when no certificate is there for it.",
            default: false),
    ],
    reported: [
        Field("zone_id", .reference("zone"), "The zone here that its records are in; null when there is none."),
        Field(
            "record_ids", .list(of: .reference("zone-record"), countMax: 1000), "The records that were made for it."),
    ],
    claims: { [FQDNs.claim($0.spec["fqdn"]?.stringValue ?? "")] },
    actions: [ResourceAction("retry", "Try its failed records again; harmless on a healthy one.")],
    columns: ["fqdn", "ssl_enabled", "zone_id"], searched: ["fqdn"], behaviour: FQDNBehaviour())

/// Rules of FQDNs.
public enum FQDNs {
    static func claim(_ name: String) -> String { "fqdn/\(DomainName.canonical(name))" }

    /// The name in one spelling.
    public static func name(_ fqdn: ResourceRecord) -> String {
        DomainName.canonical(fqdn.spec["fqdn"]?.stringValue ?? "")
    }

    /// Whether it is to be served over HTTPS and has no valid certificate.
    static func lacksCertificate(_ fqdn: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        guard fqdn.spec["ssl_enabled"] == true else { return false }
        return try !transaction.all("certificate", parentId: fqdn.id).contains { $0.state["is_current"] == true }
    }
}

struct FQDNBehaviour: KindBehaviour {
    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        for id in record.state["record_ids"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            guard let made = try transaction.get("zone-record", id), made.status == .failed else { continue }
            _ = try made.tryingAgain(transaction)
        }
        return try record.tryingAgain(transaction)
    }

    /// The worker looks at its records again.
    func comesBack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool { true }

    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        // Its certificates have just gone, and what came of that was noted.
        let record = try transaction.get("fqdn", record.id) ?? record
        for id in record.state["record_ids"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            guard var made = try transaction.get("zone-record", id), made.status != .deleting else { continue }
            made.status = .deleting
            _ = try transaction.put(made)
        }
        return true
    }
}
