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
        #expect(flaws(platformConfigKind, ["retention_days": ["events": 30, "workflow_runs": 365]]).isEmpty)
        #expect(flaws(platformConfigKind, ["retention_days": ["mail": 1]]) == ["retention_days.mail"])
        #expect(flaws(platformConfigKind, ["retention_days": ["events": 0]]) == ["retention_days.events"])
    }

    @Test func `a load balancer has an address and a runtime a version`() {
        #expect(flaws(lbAddressKind, ["address": "2001:db8::1"]).isEmpty)
        #expect(flaws(lbAddressKind, ["address": "lb.example.org"]) == ["address"])
        #expect(flaws(runtimeKind, ["version": "8 4", "runtime": "PHP!"]) == ["version", "runtime"])
    }

    @Test(arguments: [
        "::ffff:192.0.2.99", "::192.0.2.99", "127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "169.254.1.1",
        "fe80::1", "255.255.255.255",
    ])
    func `a load balancer has an address that means it everywhere`(address: String) {
        #expect(flaws(lbAddressKind, ["address": .string(address)]) == ["address"])
    }

    @Test func `an address is the same in every spelling`() {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        let claims = ["2001:DB8::1", "2001:db8:0::1", "2001:0db8:0:0:0:0:0:1"].map { address in
            lbAddressKind.claims(
                ResourceRecord(
                    kind: "lb-address", id: "a", status: .active, spec: ["address": .string(address)], createdAt: time,
                    updatedAt: time))
        }
        #expect(Set(claims) == [["lb-address/2001:db8::1"]])
    }

    @Test(arguments: [
        ("base_hostname", "1.2.3.4"), ("base_hostname", "localhost"), ("primary_ns", "a"), ("secondary_ns", "ns.1"),
    ])
    func `names of a brand are full domain names`(field: String, name: String) {
        #expect(flaws(brandKind, [field: .string(name)]) == [field])
    }

    @Test func `mail fields say what DNS can say`() {
        for policy in ["none", "quarantine", "reject", "v=DMARC1; p=reject; rua=mailto:d@example.org;"] {
            #expect(flaws(brandKind, ["dmarc_policy": .string(policy)]).isEmpty, "\(policy)")
        }
        for policy in ["bogus", "", "v=DMARC1", "v=DMARC1; p=never", "p=reject", "v=DMARC1; p=none; ; x"] {
            #expect(flaws(brandKind, ["dmarc_policy": .string(policy)]) == ["dmarc_policy"], "\(policy)")
        }
        for names in ["_spf.example.org", "include:_spf.example.org a:mail.example.org ip4:192.0.2.0/24"] {
            #expect(flaws(brandKind, ["spf_includes": .string(names)]).isEmpty, "\(names)")
        }
        for names in ["; drop", "", "include:", "redirect=example.org", "ip4:2001:db8::1"] {
            #expect(flaws(brandKind, ["spf_includes": .string(names)]) == ["spf_includes"], "\(names)")
        }
        let selector = brandKind.fields.first { $0.name == "dkim_selector" }
        #expect(selector != nil && flaws(brandKind, ["dkim_selector": "a b"]) == ["dkim_selector"])
    }

    @Test func `a DKIM key is a public key`() {
        func isTaken(_ key: String) -> Bool {
            var flaws = FieldFlaws()
            brandKind.validate(["dkim_public_key": .string(key)], &flaws)
            return flaws.reasons["dkim_public_key"] == nil
        }
        let lines = Self.key.split(separator: "\n")
        #expect(isTaken(Self.key) && isTaken(lines.joined()) && isTaken("v=DKIM1; k=rsa; p=\(lines.joined())"))
        #expect(isTaken("-----BEGIN PUBLIC KEY-----\n\(Self.key)\n-----END PUBLIC KEY-----\n"))
        // The sample of RFC 8463 appendix A.2.
        #expect(isTaken("v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="))
        for text in ["not a key", "", "AAAA", String(lines.joined().dropLast(20)), "v=DKIM1; p="] {
            #expect(!isTaken(text), "\(text)")
        }
        #expect(!isTaken("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"))
    }

    private static let key = """
        MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArSNcnM4He0dbeJF8pI1g
        SSJcg2bCb7OFXsx2GKn1zKXH4fheJ0U511AAns9dhWGPDN6qWEb7eu7krEXt2FWD
        1TRNw2YXWf8LWgP6r+b7qq+gsd8WxVwh8njHmPD/RU/M9blnOXkIywRKZPZkYwRR
        jEwQsi3gvuPENV1c9svfuUilE6XgdmzSwOuY6Xc1ytIRLQqTgv7Gsfi8zpVzm4au
        U7ig6OgwV17sFPRbr0FTVNoOtbMeJRwaW7kL2HdrzY70lWSVG18mKo0OdavywlxG
        NCw7ZM6ZC++RGPbrtx6EW6yHnwUGEtCJ7aSXpBGuQQpIHURK/UInCfO1vtVXTKWq
        XwIDAQAB
        """

    @Test func `a brand without clusters may use every one`() {
        let time = Timestamp(millisecondsSinceEpoch: 0)
        var brand = ResourceRecord(kind: "brand", id: "a", status: .active, spec: [:], createdAt: time, updatedAt: time)
        #expect(Brand.mayUse("c", brand))
        brand.state["cluster_ids"] = ["d"]
        #expect(!Brand.mayUse("c", brand) && Brand.mayUse("d", brand))
    }
}
