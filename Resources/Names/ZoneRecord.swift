import AgentProtocol
import Host
import Model
public import ResourceKit

/// A record of a zone.
public let zoneRecordKind = ResourceKind(
    name: "zone-record", plural: "zone-records", summary: "A DNS record of a zone.",
    parent: .init(kind: "zone", field: "zone_id", segment: "records"), isAsynchronous: true,
    fields: [
        Field(
            "type", .choice(RecordType.allCases.map(\.rawValue)), "What it says.", required: true, example: "A"),
        Field(
            "name", .string(check: RecordName.flaw), "Name relative to the zone; @ is the zone itself.",
            required: true, example: "www"),
        Field(
            "content", .string(check: { $0.isEmpty ? "must not be empty" : nil }),
            "What it says, as its type has it; domain names are absolute.", required: true, example: "192.0.2.10"),
        Field(
            "ttl", .integer(60...86_400),
            "How many seconds others may keep it; of records of one name and type the smallest counts.",
            default: 3600),
        Field(
            "priority", .integer(0...65_535),
            "Of MX, SRV, URI, HTTPS and SVCB, where the content does not begin with it; the smallest comes first."),
    ],
    reported: [
        Field("managed_by", .choice(["user", "auto"]), "Who keeps it: a person, or the platform."),
        Field("source_fqdn_id", .reference("fqdn"), "The FQDN that it was made for."),
    ],
    claims: ZoneRecords.claims, claimedFields: ["name"], columns: ["name", "type", "content", "ttl", "managed_by"],
    searched: ["name", "content"], validate: ZoneRecords.validate, behaviour: ZoneRecordBehaviour())

/// Rules of records.
public enum ZoneRecords {
    /// The type; nil only for a record of a later version.
    public static func type(_ record: ResourceRecord) -> RecordType? {
        record.spec["type"]?.stringValue.flatMap(RecordType.init(rawValue:))
    }

    /// The name relative to the zone, in one spelling.
    public static func name(_ record: ResourceRecord) -> String {
        record.state["relative_name"]?.stringValue
            ?? DomainName.canonical(record.spec["name"]?.stringValue ?? "@")
    }

    /// What it says.
    /// - Throws: ``RecordFlaw``; never for what was stored.
    public static func content(_ record: ResourceRecord, zone: String) throws(RecordFlaw) -> RecordContent {
        try content(record.spec, zone: zone)
    }

    static func content(_ spec: [String: JSONValue], zone: String) throws(RecordFlaw) -> RecordContent {
        guard let type = spec["type"]?.stringValue.flatMap(RecordType.init(rawValue:)) else {
            throw RecordFlaw("type", "is not known")
        }
        return try RecordContent.read(
            type, spec["content"]?.stringValue ?? "", priority: spec["priority"]?.intValue, zone: zone)
    }

    static func isAutomatic(_ record: ResourceRecord) -> Bool { record.state["managed_by"] == "auto" }

    @Sendable static func validate(_ spec: [String: JSONValue], _ flaws: inout FieldFlaws) {
        do {
            // No rule of contents depends on what the zone is called.
            _ = try content(spec, zone: "zone.example")
        } catch {
            flaws.add(error.field, error.why)
        }
        // Only asked of what comes: a zone with one from before must still be read.
        if spec["type"] == "AAAA", let inner = spec["content"]?.stringValue.flatMap(Names.wrappedIPv4) {
            flaws.add("content", "is an IPv4 address in the form of IPv6; make an A record of \(inner)")
        }
    }

    /// The record itself, so that there are no two alike, and for an alias that there is one at the name.
    @Sendable static func claims(_ record: ResourceRecord) -> [String] {
        guard !isAutomatic(record), let type = type(record), let zoneId = record.parentId else { return [] }
        let name = name(record)
        if type == .cname { return [aliasClaim(zoneId, name)] }
        let content: String
        do {
            content = try self.content(record, zone: "@").text
        } catch {
            return []
        }
        return ["zone-record/\(zoneId)/\(sha256Hex(Array(content.utf8)))/\(type.rawValue) \(name) with this content"]
    }

    static func aliasClaim(_ zoneId: String, _ name: String) -> String { "zone-record/\(zoneId)/CNAME \(name)" }
}

struct ZoneRecordBehaviour: KindBehaviour {
    func prepareCreate(_ draft: inout ResourceRecord, _ world: HubWorld) async throws {
        draft.state["managed_by"] = "user"
    }

    func didCreate(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        try admit(record, transaction)
    }

    func didUpdate(from old: ResourceRecord, to new: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard !ZoneRecords.isAutomatic(old) else { throw Self.keptByPlatform }
        var record = new
        record.state["relative_name"] = nil
        if ZoneRecords.type(old) != ZoneRecords.type(new) || old.spec["name"] != new.spec["name"] {
            // What was published under the former name must go.
            let former: JSONValue = ["name": .string(ZoneRecords.name(old)), "type": old.spec["type"] ?? .null]
            record.state["former"] = .array((old.state["former"]?.arrayValue ?? []) + [former])
            try leave(old, transaction)
        }
        try admit(record, transaction)
    }

    private static let keptByPlatform = Problem(
        .conflict, "The record is kept by the platform.",
        hint: "Create one of your own at the same name, which takes its place, or delete the FQDN that it is for.")

    /// Its FQDN would stay without it.
    func checkDeletion(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard ZoneRecords.isAutomatic(record), let id = record.state["source_fqdn_id"]?.stringValue,
            let fqdn = try transaction.get("fqdn", id), fqdn.status != .deleting
        else { return }
        throw Self.keptByPlatform
    }

    /// The worker compares it with what the name server has.
    func comesBack(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool { true }

    /// It stays until the name server has let go of it.
    func willDelete(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws -> Bool {
        if !ZoneRecords.isAutomatic(record) { try leave(record, transaction) }
        return false
    }

    /// The FQDN whose place it took may get its records back.
    private func leave(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let zone = try record.parentId.flatMap({ try transaction.get("zone", $0) }) else { return }
        try FQDNBinding.lookAgain(
            at: RecordName.absolute(ZoneRecords.name(record), in: Zones.name(zone)), transaction)
    }

    /// Checks what depends on the zone, and makes room for it.
    private func admit(_ record: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        guard let zone = try record.parentId.flatMap({ try transaction.get("zone", $0) }) else {
            throw Problem.invalid("zone_id", "is not the id of a zone")
        }
        var record = record
        do {
            record.state["relative_name"] = .string(
                try RecordName.relative(record.spec["name"]?.stringValue ?? "", in: Zones.name(zone)))
            try RecordNeighbours(zone: zone, transaction: transaction).check(record)
        } catch let flaw as RecordFlaw {
            throw flaw.problem
        }
        _ = try transaction.put(record)
        let name = RecordName.absolute(ZoneRecords.name(record), in: Zones.name(zone))
        try FQDNBinding.makeRoom(at: name, transaction)
    }
}
