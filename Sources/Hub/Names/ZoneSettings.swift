import HubStore
import Model
import NamesResources
import ResourceKit

/// What the platform's settings mean for one zone.
struct ZoneSettings: Sendable {
    var server: ZoneServerAddress?
    var authority: ZoneAuthority?

    static let noServer =
        "No DNS server is configured: set dns_api_url and dns_api_key in the platform's settings, or on a shard of the "
        + "role dns in the zone's region."
    static let noNameServers =
        "No name servers are configured: give the zone a brand, or set primary_ns and secondary_ns in the platform's "
        + "settings."

    init(of zone: ResourceRecord, _ transaction: any ResourceTransaction) throws {
        let platform = try transaction.get("platform-config", "platform-config")?.spec ?? [:]
        let brand = try zone.brandId.flatMap { try transaction.get("brand", $0) }
        authority = ZoneAuthority(zone: Zones.name(zone), brand: brand?.spec, platform: platform)
        server = try Self.regional(zone, transaction) ?? ZoneServerAddress(platform)
    }

    /// The server of the first shard for names in the zone's region.
    private static func regional(
        _ zone: ResourceRecord, _ transaction: any ResourceTransaction
    ) throws -> ZoneServerAddress? {
        guard let regionId = zone.spec["region_id"]?.stringValue else { return nil }
        for cluster in try transaction.all("cluster", parentId: regionId) {
            for shard in try transaction.all("shard", parentId: cluster.id)
            where shard.spec["role"] == "dns" && shard.status != .deleting {
                if let address = ZoneServerAddress(shard.spec) { return address }
            }
        }
        return nil
    }
}
