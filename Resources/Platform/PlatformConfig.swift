import Model
public import ResourceKit

/// The settings of the whole platform; there is exactly one.
public let platformConfigKind = ResourceKind(
    name: "platform-config", plural: "platform-config", summary: "Settings of the whole platform.",
    isAsynchronous: false, isPlatformOnly: true, verbs: [.read, .update],
    fields: [
        Field(
            "base_domain", domain, "Names that the platform gives out end in this.", example: "hosting.example.org"),
        Field("primary_ns", domain, "First name server of zones without a brand.", example: "ns1.example.org"),
        Field("secondary_ns", domain, "Second name server of zones without a brand.", example: "ns2.example.org"),
        dnsAPIURL, dnsAPIKey,
        Field(
            "oidc_issuer", .string(check: issuerFlaw), "Address under which the hub logs people in to other programs.",
            example: "https://hub.example.org"),
        Field(
            "retention_days",
            .map(key: retentionFlaw, value: .integer(1...3650), countMax: 10),
            "How long records are kept, in days; known: \(PlatformConfig.retained.joined(separator: ", ")).",
            default: [:], example: ["events": 30]),
        Field(
            "logs_size_max", .size(1 << 20...1 << 50),
            "How much output of services and builds is kept in all; beyond that the oldest goes.", default: "8G",
            example: "8G"),
    ], singletonPath: "platform/config")

@Sendable private func issuerFlaw(_ text: String) -> String? {
    guard text.hasPrefix("https://") || text.hasPrefix("http://"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { return "must be an http or https URL" }
    return Names.lineFlaw(text, bytesMax: 1000)
}

@Sendable private func retentionFlaw(_ name: String) -> String? {
    PlatformConfig.retained.contains(name)
        ? nil : "must be one of \(PlatformConfig.retained.joined(separator: ", "))"
}

/// What the hub reads from the settings.
public enum PlatformConfig {
    /// Records whose age the hub limits.
    public static let retained = ["audit_logs", "events", "logs", "workflow_runs"]

    /// How much output is kept when the settings do not say, in bytes.
    public static let logsBytesStandard: Int64 = 8 << 30

    /// How much output of services and builds is kept, in bytes.
    public static func logsBytesMax(_ record: ResourceRecord?) -> Int64 {
        record?.spec["logs_size_max"].flatMap { ByteCount.parse(json: $0) } ?? logsBytesStandard
    }

    /// How long a kind of record is kept; nil when the settings do not say.
    public static func retention(of name: String, _ record: ResourceRecord?) -> Duration? {
        record?.spec["retention_days"]?[name]?.intValue.map { .seconds($0 * 86_400) }
    }
}
