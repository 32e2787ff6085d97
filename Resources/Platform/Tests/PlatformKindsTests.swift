import Model
import PlatformResources
import ResourceKit
import Testing

@Suite struct PlatformKindsTests {
    private func flaws(_ kind: ResourceKind, _ spec: [String: JSONValue]) -> Set<String> {
        var flaws = FieldFlaws()
        kind.fields.check(spec, partial: true, into: &flaws)
        return Set(flaws.reasons.keys)
    }

    @Test func `names of domains are taken with and without the dot`() {
        #expect(flaws(brandKind, ["primary_ns": "ns1.example.org.", "base_hostname": "example.org"]).isEmpty)
        #expect(
            flaws(brandKind, ["primary_ns": "-x", "hostmaster_email": "nobody"]) == ["primary_ns", "hostmaster_email"])
    }

    @Test func `only what the hub removes has a retention`() {
        #expect(flaws(platformConfigKind, ["retention_days": ["events": 30, "audit_logs": 365]]).isEmpty)
        #expect(flaws(platformConfigKind, ["retention_days": ["mail": 1]]) == ["retention_days.mail"])
        #expect(flaws(platformConfigKind, ["retention_days": ["events": 0]]) == ["retention_days.events"])
    }

    @Test func `a load balancer has an address and a runtime a version`() {
        #expect(flaws(lbAddressKind, ["address": "2001:db8::1"]).isEmpty)
        #expect(flaws(lbAddressKind, ["address": "lb.example.org"]) == ["address"])
        #expect(flaws(runtimeKind, ["version": "8 4", "runtime": "PHP!"]) == ["version", "runtime"])
    }

    @Test func `a brand without clusters may use every one`() {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        var brand = ResourceRecord(kind: "brand", id: "a", status: .active, spec: [:], createdAt: time, updatedAt: time)
        #expect(Brand.mayUse("c", brand))
        brand.state["cluster_ids"] = ["d"]
        #expect(!Brand.mayUse("c", brand) && Brand.mayUse("d", brand))
    }
}
