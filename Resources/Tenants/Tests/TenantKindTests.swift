import Model
import ResourceKit
import TenantsResources
import Testing

@Suite struct TenantKindTests {
    @Test func `a label is claimed within its brand`() {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        var tenant = ResourceRecord(
            kind: "tenant", id: "t_1", brandId: "acme", status: .active, spec: [:], createdAt: time, updatedAt: time)
        #expect(tenantKind.claims(tenant).isEmpty)
        tenant.spec["name"] = "shop"
        #expect(tenantKind.claims(tenant) == ["tenant/acme/shop"])
    }

    @Test func `its place cannot be changed by hand`() {
        let fixed = tenantKind.fields.filter(\.isImmutable).map(\.name)
        #expect(fixed == ["brand_id", "region_id", "cluster_id", "shard_id"])
        #expect(tenantKind.fields.filter(\.isBinding).map(\.name) == fixed)
    }
}
