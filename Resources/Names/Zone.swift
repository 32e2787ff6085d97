import Model
public import ResourceKit

/// A DNS zone that the platform's name servers answer for.
public let zoneKind = ResourceKind(
    name: "zone", plural: "zones", summary: "A DNS zone that the platform's name servers answer for.",
    parent: .init(kind: "tenant", field: "tenant_id", isOptional: true, isMovable: true), isAsynchronous: true,
    fields: [
        Field(
            "name", .string(check: { DomainName.flaw($0, underscores: true) }),
            "Domain name, with or without the dot at its end; unique.", required: true, immutable: true,
            example: "example.org"),
        Field(
            "brand_id", .reference("brand"),
            "The brand whose name servers and hostmaster stand in it; that of the tenant when absent.",
            immutable: true),
        Field("region_id", .reference("region"), "The region whose name servers hold it."),
    ],
    claims: { [Zones.claim($0.spec["name"]?.stringValue ?? "")] },
    actions: [ResourceAction("retry", "Try it and its failed records again; harmless on a healthy zone.")],
    columns: ["name", "brand_id", "region_id"], searched: ["name"], behaviour: ZoneBehaviour())

/// Rules of zones.
public enum Zones {
    /// What a zone holds as long as it is not being deleted.
    public static func claim(_ name: String) -> String { "zone/\(DomainName.canonical(name))" }

    /// The canonical name of a zone.
    public static func name(_ zone: ResourceRecord) -> String {
        DomainName.canonical(zone.spec["name"]?.stringValue ?? "")
    }

    /// The zone of this name that is not being deleted.
    public static func named(_ name: String, _ transaction: any ResourceTransaction) throws -> ResourceRecord? {
        try transaction.claimHolder(claim(name)).flatMap { try transaction.get("zone", $0) }
    }

    /// The nearest zone that a name lies in, itself included.
    public static func covering(_ name: String, _ transaction: any ResourceTransaction) throws -> ResourceRecord? {
        let canonical = DomainName.canonical(name)
        for candidate in [canonical] + DomainName.above(canonical) {
            if let zone = try named(candidate, transaction) { return zone }
        }
        return nil
    }
}

struct ZoneBehaviour: KindBehaviour {
    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try requireSameOwner(record, transaction)
        guard let brandId = record.brandId, record.spec["brand_id"] == nil else { return }
        // That of the tenant or of the caller, for all to see.
        var record = record
        record.spec["brand_id"] = .string(brandId)
        _ = try transaction.put(record)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard old.parentId != new.parentId else { return }
        try requireSameOwner(new, transaction)
        // What is new to a tenant makes the names of tenants below it look for their zone again.
        var record = new
        record.status = .pending
        _ = try transaction.put(record)
    }

    func perform(
        _ action: ResourceAction, _ arguments: [String: JSONValue], on record: ResourceRecord, by actor: String,
        _ transaction: any ResourceTransaction
    ) throws -> ResourceRecord {
        let records = try transaction.all("zone-record", parentId: record.id)
        for failed in records where failed.status == .failed { _ = try failed.tryingAgain(transaction) }
        return try record.tryingAgain(transaction)
    }

    /// A zone below that of somebody else would take names away from it.
    private func requireSameOwner(_ zone: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        for name in DomainName.above(Zones.name(zone)) {
            guard let above = try Zones.named(name, transaction) else { continue }
            let isSameTenant = above.tenantId == nil || above.tenantId == zone.tenantId
            if above.brandId == zone.brandId, isSameTenant { return }
            throw Problem(
                .conflict, "The zone lies below another one of somebody else.",
                hint: "Create it with the brand and tenant of that zone, or have records made there.",
                fields: ["name": "lies below a zone of somebody else"])
        }
    }

    /// The worker compares it with what the name server has.
    func comesBack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool { true }

    /// It stays until the name server has let go of it.
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool { false }
}

extension ResourceRecord {
    /// What failed, or is held to be healthy, is compared with what the name server has once more.
    func tryingAgain(_ transaction: any ResourceTransaction) throws -> ResourceRecord {
        guard status == .failed || status == .active else { return self }
        var record = self
        (record.status, record.statusMessage) = (.provisioning, nil)
        return try transaction.put(record)
    }
}
