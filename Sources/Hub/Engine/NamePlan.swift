import Model
import NamesResources
import ResourceKit

/// What a planned change means for the records of FQDNs. A worker makes them after a change; for a plan they are made
/// in its transaction, which is rolled back.
struct NamePlan {
    private static let fqdnsMax = 200

    let transaction: RecordingTransaction

    func derive() throws {
        var binding = FQDNBinding(transaction)
        for id in try fqdnIds() { try binding.bind(id) }
    }

    /// FQDNs that may need other records, in the order in which the change touched what they depend on.
    private func fqdnIds() throws -> [String] {
        var ids: [String] = []
        for image in transaction.images {
            for id in try fqdnIds(image) where ids.count < Self.fqdnsMax && !ids.contains(id) { ids.append(id) }
        }
        return ids
    }

    private func fqdnIds(_ image: RecordingTransaction.Image) throws -> [String] {
        guard let record = image.after ?? image.before else { return [] }
        switch image.kind {
        case "fqdn": return [record.id]
        case "lb-address":
            guard let clusterId = record.parentId else { return [] }
            return try transaction.all("tenant", referringTo: clusterId, in: "cluster_id").flatMap {
                try transaction.all("fqdn", parentId: $0.id).map(\.id)
            }
        case "zone":
            guard image.before?.status != image.after?.status || image.before?.parentId != record.parentId else {
                return []
            }
            return try transaction.all("fqdn", parentId: nil).filter {
                DomainName.isWithin(FQDNs.name($0), Zones.name(record))
            }.map(\.id)
        default: return []
        }
    }
}
