import Model
import ResourceKit

/// What records of one zone mean for each other.
struct RecordNeighbours {
    let zone: ResourceRecord
    let transaction: any ResourceTransaction

    /// - Throws: ``RecordFlaw``, or a conflict with another record.
    func check(_ record: ResourceRecord) throws {
        guard let type = ZoneRecords.type(record) else { return }
        let name = ZoneRecords.name(record)
        if name == "@", type == .cname {
            // The zone's SOA and NS records are there (RFC 1034 section 3.6.2).
            throw RecordFlaw("type", "must not be CNAME at the zone itself; ALIAS does the same there")
        }
        if name == "@", type == .ds {
            throw RecordFlaw("type", "must not be DS at the zone itself, but in the one above")
        }
        if type == .cname {
            try requireAlone(record, name)
        } else if let alias = try alias(name), alias != record.id {
            throw Self.conflict(
                "name", "has a CNAME record already, which must be the only one of its name", name)
        }
        for target in try ZoneRecords.content(record, zone: Zones.name(zone)).targets {
            guard let relative = relative(target), try alias(relative) != nil else { continue }
            throw RecordFlaw("content", "points to \(target), which is a CNAME; name what that stands for")
        }
    }

    private func alias(_ name: String) throws -> String? {
        try transaction.claimHolder(ZoneRecords.aliasClaim(zone.id, name))
    }

    private func relative(_ name: String) -> String? {
        let top = Zones.name(zone)
        guard DomainName.isWithin(name, top) else { return nil }
        return name == top ? "@" : String(name.dropLast(top.utf8.count + 1))
    }

    /// RFC 1034 section 3.6.2. What the platform made gives way.
    private func requireAlone(_ record: ResourceRecord, _ name: String) throws {
        let own = RecordName.absolute(name, in: Zones.name(zone))
        for other in try transaction.all("zone-record", parentId: zone.id)
        where other.id != record.id && other.status != .deleting && !ZoneRecords.isAutomatic(other) {
            if ZoneRecords.name(other) == name {
                throw Self.conflict(
                    "name", "has other records already; a CNAME must be the only one of its name", name)
            }
            let type = ZoneRecords.type(other)
            guard type == .mx || type == .srv || type == .ns,
                try ZoneRecords.content(other, zone: Zones.name(zone)).targets.contains(own)
            else { continue }
            throw Self.conflict(
                "name", "is what an \(type?.rawValue ?? "") record points to, so it cannot be a CNAME", name)
        }
    }

    private static func conflict(_ field: String, _ why: String, _ name: String) -> Problem {
        Problem(.conflict, "The name \(name) \(why).", fields: [field: why])
    }
}
