import Model
public import ResourceKit

/// What a customer of a brand has.
public let tenantKind = ResourceKind(
    name: "tenant", plural: "tenants", summary: "What a customer of a brand has, on one shard.",
    identity: .prefixed("t_"), isAsynchronous: true,
    fields: [
        Field("brand_id", .reference("brand"), "The brand.", required: true, immutable: true, binding: true),
        Field("region_id", .reference("region"), "The region.", required: true, immutable: true, binding: true),
        Field("cluster_id", .reference("cluster"), "The cluster.", required: true, immutable: true, binding: true),
        Field(
            "shard_id", .reference("shard"), "The web shard; `migrate` changes it.", required: true, immutable: true,
            binding: true),
        Field("name", .slug, "A label, unique in its brand."),
        Field("customer_id", .line, "Whose it is, in the books of the brand.", example: "c-1001"),
        Field("sftp_enabled", .boolean, "Whether files can be reached over SFTP.", default: false),
        Field("ssh_enabled", .boolean, "Whether a shell can be reached over SSH.", default: false),
        Field(
            "disk_quota_bytes", .integer(0...Int64.max / 2), "Most that its files may take; 0 is no limit.",
            default: 0, example: 10_737_418_240),
    ],
    reported: [
        Field("suspend_reason", .line, "Why it is suspended."),
        Field("suspended_at", .line, "When it was suspended."),
        Field("run_id", .line, "The workflow run that moves it, or did so last."),
    ],
    claims: { record in
        guard let name = record.spec["name"]?.stringValue else { return [] }
        return ["tenant/\(record.brandId ?? "")/\(name)"]
    },
    actions: [
        ResourceAction(
            "suspend", "Take it off the net; everything stays stored.",
            fields: [Field("reason", .line, "Why, for people.", example: "Invoice 2031 is unpaid.")]),
        ResourceAction("unsuspend", "Put it back on the net."),
        ResourceAction(
            "migrate", "Move it to another web shard of its cluster; cancelling the run brings it back.",
            fields: [
                Field("target_shard_id", .reference("shard"), "The shard to move to.", required: true),
                Field("migrate_zones", .boolean, "Whether its zones move as well.", default: false),
                Field("migrate_fqdns", .boolean, "Whether its domain names follow.", default: false),
            ]),
        ResourceAction("retry-failed", "Try again whatever of it failed.", effect: .retryFailedOfTenant),
    ],
    columns: ["name", "customer_id", "brand_id", "shard_id", "region_id", "cluster_id"],
    searched: ["name", "customer_id"],
    views: [
        ResourceView("resource-summary", "Count what it holds, per kind and status."),
        ResourceView("resource-usage", "Show what it uses, and of how much."),
    ], workflows: [Migration.declaration], behaviour: TenantBehaviour())

/// Rules of tenants.
public enum Tenants {
    /// Whether somebody can log in as the tenant: once it was active, also while a change of it is under way.
    public static func mayLogIn(_ tenant: ResourceRecord) -> Bool {
        tenant.status == .active || tenant.status == .provisioning
    }
}
