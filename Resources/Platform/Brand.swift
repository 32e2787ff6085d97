import Model
public import ResourceKit

/// What a customer sees of a provider: its names, name servers and mail policy.
public let brandKind = ResourceKind(
    name: "brand", plural: "brands", summary: "A brand that hosting is sold under.", identity: .slug(field: "id"),
    isAsynchronous: false,
    fields: [
        Field("id", .slug, "Chosen id; else the name, where it is a slug.", immutable: true, example: "acme"),
        Field("name", title, "Unique name.", required: true, example: "Acme Hosting"),
        Field(
            "base_hostname", domain, "Names that its customers get end in this.", required: true,
            example: "acme.example.org"),
        Field("primary_ns", domain, "First name server of its zones.", required: true, example: "ns1.acme.example.org"),
        Field(
            "secondary_ns", domain, "Second name server of its zones.", required: true,
            example: "ns2.acme.example.org"),
        Field(
            "hostmaster_email", .string(check: Brand.emailFlaw), "Who answers for its zones.", required: true,
            example: "hostmaster@acme.example.org"),
        Field("mail_hostname", domain, "Mail server of its customers.", example: "mail.acme.example.org"),
        Field(
            "spf_includes", .string(check: MailFields.spfFlaw),
            "Added to the SPF records of its customers: domain names with blanks between them.",
            example: "include:_spf.acme.example.org"),
        Field("dkim_selector", .string(check: Names.dnsLabelFlaw), "Selector of its DKIM key.", example: "mail1"),
        Field(
            "dkim_public_key", .text(bytesMax: 4096),
            "Its DKIM key: RSA or Ed25519 in Base64, in PEM form, or the whole record."),
        Field(
            "dmarc_policy", .string(check: MailFields.dmarcFlaw),
            "DMARC policy of its customers: none, quarantine, reject, or a whole record.", example: "quarantine"),
        Field(
            "rate_limit", .integer(1...1_000_000),
            "Requests a minute that all keys of the brand may make together; 60000 when absent. Set by callers of all "
                + "brands.", forPlatform: true),
    ],
    reported: [Field("cluster_ids", .list(of: .reference("cluster"), countMax: 1000), "Clusters that it may use.")],
    claims: { ["brand/\(claimed($0))"] }, columns: ["name", "base_hostname"], searched: ["name", "base_hostname"],
    links: [
        ResourceLink(
            "clusters", to: "cluster", field: "cluster_ids",
            "Clusters that the brand may use; every one when none is named.")
    ],
    validate: { spec, flaws in
        guard let key = spec["dkim_public_key"]?.stringValue, let flaw = MailFields.dkimFlaw(key) else { return }
        flaws.add("dkim_public_key", flaw)
    })

/// What a brand's fields may hold.
public enum Brand {
    /// Why a text is no email address; only what is plainly wrong is refused.
    @Sendable public static func emailFlaw(_ text: String) -> String? {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, text.utf8.count <= 254,
            parts[0].utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }), Names.hostnameFlaw(String(parts[1])) == nil
        else { return "must be an email address" }
        return nil
    }

    /// Whether a brand may use a cluster.
    public static func mayUse(_ clusterId: String, _ brand: ResourceRecord) -> Bool {
        let ids = brand.state["cluster_ids"]?.arrayValue ?? []
        return ids.isEmpty || ids.contains(.string(clusterId))
    }
}
