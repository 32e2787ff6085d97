import HubStore
import Model
import NamesResources
import ResourceKit

/// What there is to do, as one look at the store finds it.
struct NameWork: Sendable {
    /// Canonical zone name → ids of zones of that name that are being deleted.
    private(set) var zones: [String: [String]] = [:]
    private(set) var fqdnIds: [String] = []

    private static let pageMax = 500

    /// - Parameter isAll: also what is settled, to put back what was changed by other hands.
    init(_ kinds: NameKinds, isAll: Bool, _ transaction: any StoreTransaction) throws {
        var moved: [String] = []
        for status in [ResourceStatus.pending, .provisioning, .deleting] {
            try Self.pages(kinds.zone, status, transaction) { zone in
                let name = Zones.name(zone)
                zones[name, default: []] += zone.status == .deleting ? [zone.id] : []
                if zone.status != .provisioning { moved.append(name) }
            }
            var seen: Set<String> = []
            try Self.pages(kinds.record, status, transaction) { record in
                guard let id = record.parentId, seen.insert(id).inserted, let zone = try transaction.get("zone", id)
                else { return }
                if zone.status != .deleting { zones[Zones.name(zone), default: []] += [] }
            }
            if status != .deleting, !isAll {
                try Self.pages(kinds.fqdn, status, transaction) { fqdnIds.append($0.id) }
            }
        }
        guard isAll || !moved.isEmpty else { return }
        if isAll { try Self.pages(kinds.zone, nil, transaction) { zones[Zones.name($0), default: []] += [] } }
        // A zone that came or goes changes what the names below it need.
        var known = Set(fqdnIds)
        try Self.pages(kinds.fqdn, nil, transaction) { fqdn in
            let name = FQDNs.name(fqdn)
            guard isAll || moved.contains(where: { DomainName.isWithin(name, $0) }) else { return }
            if known.insert(fqdn.id).inserted { fqdnIds.append(fqdn.id) }
        }
    }

    private static func pages(
        _ kind: ResourceKind, _ status: ResourceStatus?, _ transaction: any StoreTransaction,
        _ body: (ResourceRecord) throws -> Void
    ) throws {
        var query = ListQuery(limit: pageMax, status: status?.rawValue)
        repeat {
            let page = try transaction.page(kind, query)
            for record in page.records { try body(record) }
            query.cursor = page.nextCursor
        } while query.cursor != nil
    }
}

/// The kinds that the worker looks for.
struct NameKinds: Sendable {
    let zone: ResourceKind
    let record: ResourceKind
    let fqdn: ResourceKind
}
