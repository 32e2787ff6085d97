import HubStore
import Model
import NamesResources
import ResourceKit

/// Everything that is stored about one zone name, as of one moment.
struct ZoneSnapshot: Sendable {
    var name: String
    /// The zone that is to be served; nil when the name is to go.
    var zone: ResourceRecord?
    var records: [ResourceRecord] = []
    /// Zones of this name that are being deleted, and their records.
    var departed: [ResourceRecord] = []
    var departedRecords: [ResourceRecord] = []
    var settings: ZoneSettings?

    /// - Parameter departing: ids of zones of this name that are being deleted.
    init(name: String, departing: [String], _ transaction: any ResourceTransaction) throws {
        self.name = name
        zone = try Zones.named(name, transaction)
        if let zone { records = try transaction.all("zone-record", parentId: zone.id) }
        for id in departing {
            guard let gone = try transaction.get("zone", id), gone.status == .deleting else { continue }
            departed.append(gone)
            departedRecords += try transaction.all("zone-record", parentId: id)
        }
        settings = try (zone ?? departed.first).map { try ZoneSettings(of: $0, transaction) }
    }

    /// Whether anybody waits for something.
    var isUnsettled: Bool {
        !departed.isEmpty || ([zone].compactMap { $0 } + records).contains { $0.isUnsettled }
    }
}

extension ResourceRecord {
    /// Whether work on it is left to do.
    var isUnsettled: Bool { [.pending, .provisioning, .deleting].contains(status) }
    /// Whether it is on its way to be active.
    var isArriving: Bool { [.pending, .provisioning].contains(status) }
}
