import Host
import Model
public import ResourceKit

/// Makes the records of FQDNs as they should be: the addresses of the cluster, in the zone that the name lies in.
///
/// What it does follows from what is stored, so it can be done at any time and again. Records of people are left alone;
/// where they stand, none is made.
public struct FQDNBinding {
    private static let ttlSeconds: Int64 = 300

    private let transaction: any ResourceTransaction
    /// Zone id → name → records there, read once for many FQDNs.
    private var names: [String: [String: [ResourceRecord]]] = [:]
    private var addresses: [String: [String]] = [:]

    public init(_ transaction: any ResourceTransaction) { self.transaction = transaction }

    /// Binds one FQDN. Nothing is written that changes nothing.
    /// - Throws: what the store throws.
    public mutating func bind(_ id: String) throws {
        guard let fqdn = try transaction.get("fqdn", id), fqdn.status != .deleting, fqdn.status != .suspended else {
            return
        }
        let zone = try usableZone(fqdn)
        let addresses = try addresses(fqdn)
        var existing = try made(fqdn, zone)
        var users: [ResourceRecord] = []
        var wanted: [Address] = []
        if let zone {
            users = try records(of: zone, at: relative(fqdn, zone)).filter(Self.isInTheWay)
            wanted = addresses.map(Address.init).filter { address in
                !users.contains { $0.spec["type"] != .string(address.type == "A" ? "AAAA" : "A") }
            }
        }
        var kept: [ResourceRecord] = []
        for address in wanted {
            if let index = existing.firstIndex(where: { address.isSaid(by: $0) }) {
                kept.append(existing.remove(at: index))
            } else if let zone {
                kept.append(try make(address, fqdn, zone))
            }
        }
        for var record in existing {
            record.status = .deleting
            _ = try transaction.put(record)
        }
        if !existing.isEmpty || kept.contains(where: { $0.version <= 1 }) { names[zone?.id ?? ""] = nil }
        try note(fqdn, zone, kept, users, addresses)
    }

    private struct Address {
        let text: String
        init(_ text: String) { self.text = text }
        var type: String { text.contains(":") ? "AAAA" : "A" }
        func isSaid(by record: ResourceRecord) -> Bool {
            record.spec["type"] == .string(type)
                && record.spec["content"]?.stringValue.flatMap(Names.canonicalAddress) == text
        }
    }

    /// A record of a person that takes the place of one of ours.
    private static func isInTheWay(_ record: ResourceRecord) -> Bool {
        ["A", "AAAA", "ALIAS", "CNAME"].contains(record.spec["type"]?.stringValue) && record.status != .deleting
            && !ZoneRecords.isAutomatic(record)
    }

    /// The zone that the name lies in, if the records of this tenant may be made there.
    private func usableZone(_ fqdn: ResourceRecord) throws -> ResourceRecord? {
        guard let zone = try Zones.covering(FQDNs.name(fqdn), transaction) else { return nil }
        let isOpen = (zone.brandId == nil || zone.brandId == fqdn.brandId)
        return isOpen && (zone.tenantId == nil || zone.tenantId == fqdn.tenantId) ? zone : nil
    }

    private func relative(_ fqdn: ResourceRecord, _ zone: ResourceRecord) -> String {
        let (name, top) = (FQDNs.name(fqdn), Zones.name(zone))
        return name == top ? "@" : String(name.dropLast(top.utf8.count + 1))
    }

    private mutating func addresses(_ fqdn: ResourceRecord) throws -> [String] {
        guard let tenant = try fqdn.parentId.flatMap({ try transaction.get("tenant", $0) }),
            let clusterId = tenant.spec["cluster_id"]?.stringValue
        else { return [] }
        if let known = addresses[clusterId] { return known }
        let given = try transaction.all("lb-address", parentId: clusterId)
            .compactMap { $0.spec["address"]?.stringValue }
        // What stands there from before may be spelt twice, or be nothing that a record can say.
        var found: [String] = []
        for address in given.filter({ Names.wrappedIPv4($0) == nil }).compactMap(Names.canonicalAddress)
        where !found.contains(address) {
            found.append(address)
        }
        addresses[clusterId] = found
        return found
    }

    private mutating func records(of zone: ResourceRecord, at name: String) throws -> [ResourceRecord] {
        if let known = names[zone.id] { return known[name] ?? [] }
        let all = Dictionary(
            grouping: try transaction.all("zone-record", parentId: zone.id), by: ZoneRecords.name)
        names[zone.id] = all
        return all[name] ?? []
    }

    /// What was made for it and is still there; what is in another zone than the one that it lies in now goes.
    private func made(_ fqdn: ResourceRecord, _ zone: ResourceRecord?) throws -> [ResourceRecord] {
        var result: [ResourceRecord] = []
        for id in fqdn.state["record_ids"]?.arrayValue?.compactMap(\.stringValue) ?? [] {
            guard var record = try transaction.get("zone-record", id), record.status != .deleting else { continue }
            if record.parentId == zone?.id {
                result.append(record)
            } else {
                record.status = .deleting
                _ = try transaction.put(record)
            }
        }
        return result
    }

    private func make(
        _ address: Address, _ fqdn: ResourceRecord, _ zone: ResourceRecord
    ) throws -> ResourceRecord {
        let name = relative(fqdn, zone)
        return try transaction.put(
            ResourceRecord(
                kind: "zone-record", id: transaction.random.uuid(), parentId: zone.id, brandId: zone.brandId,
                tenantId: zone.tenantId, status: .pending,
                spec: [
                    "type": .string(address.type), "name": .string(name), "content": .string(address.text),
                    "ttl": .int(Self.ttlSeconds),
                ],
                state: [
                    "managed_by": "auto", "source_fqdn_id": .string(fqdn.id), "relative_name": .string(name),
                ], createdAt: transaction.now, updatedAt: transaction.now))
    }

    private func note(
        _ fqdn: ResourceRecord, _ zone: ResourceRecord?, _ kept: [ResourceRecord], _ users: [ResourceRecord],
        _ addresses: [String]
    ) throws {
        var next = fqdn
        next.state["zone_id"] = zone.map { .string($0.id) }
        next.state["record_ids"] = .array(kept.map { .string($0.id) })
        (next.status, next.statusMessage) = Self.status(zone, kept, users, addresses)
        if next.status == .active, try FQDNs.lacksCertificate(fqdn, transaction) {
            let known = next.statusMessage.map { "\($0) " } ?? ""
            next.statusMessage = known + "It is active without a certificate: upload one for HTTPS."
        }
        if next != fqdn { _ = try transaction.put(next) }
    }

    private static func status(
        _ zone: ResourceRecord?, _ kept: [ResourceRecord], _ users: [ResourceRecord], _ addresses: [String]
    ) -> (ResourceStatus, String?) {
        if let failed = kept.first(where: { $0.status == .failed }) {
            return (.failed, "Its \(described(failed)) failed: \(failed.statusMessage ?? "no reason is known").")
        }
        if let waiting = kept.first(where: { $0.status != .active }) {
            let why = waiting.statusMessage.map { " \($0)" } ?? ""
            return (.provisioning, "Waiting for its \(described(waiting)).\(why)")
        }
        if addresses.isEmpty {
            return (.active, "The cluster has no load balancer addresses, so no DNS records were made.")
        }
        guard let zone else {
            return (
                .active,
                "No zone here covers the name; where its DNS is kept, point it to \(addresses.joined(separator: ", "))."
            )
        }
        guard !users.isEmpty else { return (.active, nil) }
        let names = users.prefix(5).map(described).joined(separator: ", ")
        return (
            .active,
            "Left alone in the zone \(Zones.name(zone)): \(names). The load balancer is at "
                + "\(addresses.joined(separator: ", "))."
        )
    }

    private static func described(_ record: ResourceRecord) -> String {
        func text(_ field: String) -> String { record.spec[field]?.stringValue ?? "" }
        return "\(text("type")) record \(text("name")) → \(text("content").prefix(100))"
    }

    /// Another certificate of an FQDN is current, or none is any more: its message says so from now on.
    static func noteCertificate(of id: String, _ transaction: any ResourceTransaction) throws {
        guard try transaction.get("fqdn", id)?.status == .active else { return }
        var binding = FQDNBinding(transaction)
        try binding.bind(id)
    }

    /// A person's record at a name is going: the worker is to look what that means for the FQDN there.
    static func lookAgain(at name: String, _ transaction: any ResourceTransaction) throws {
        guard var fqdn = try transaction.claimHolder(FQDNs.claim(name)).flatMap({ try transaction.get("fqdn", $0) }),
            fqdn.status == .active
        else { return }
        fqdn.status = .provisioning
        _ = try transaction.put(fqdn)
    }

    /// A person's record was made at a name: records of ours there that it replaces go in the same transaction.
    static func makeRoom(at name: String, _ transaction: any ResourceTransaction) throws {
        guard let id = try transaction.claimHolder(FQDNs.claim(name)) else { return }
        var binding = FQDNBinding(transaction)
        try binding.bind(id)
    }
}
