import Model
public import ResourceKit

/// Servers that stand together and serve together.
public let clusterKind = ResourceKind(
    name: "cluster", plural: "clusters", summary: "Servers of a region that serve together.",
    identity: .slug(field: "id"), parent: .init(kind: "region", field: "region_id"), isAsynchronous: false,
    isPlatformOnly: true,
    fields: [
        Field("id", .slug, "Chosen id; else the name.", immutable: true, example: "eu-1-a"),
        Field("name", .slug, "Name, unique in its region.", required: true, example: "eu-1-a"),
        Field("config", freeForm, "Settings for programs of your own.", default: [:]),
        Field("spec", freeForm, "What the cluster should be made of, for programs of your own.", default: [:]),
    ],
    claims: { ["cluster/\($0.parentId ?? "")/\(claimed($0))"] }, columns: ["name"], searched: ["name"])

/// A language version that a cluster offers.
public let runtimeKind = ResourceKind(
    name: "runtime", plural: "runtimes", summary: "A version of a language that a cluster offers.",
    parent: .init(kind: "cluster", field: "cluster_id"), isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field(
            "runtime", .string(check: Names.dnsLabelFlaw), "Language.", required: true, immutable: true,
            example: "php"),
        Field(
            "version", .string(check: versionFlaw), "Version as its packages name it.", required: true, immutable: true,
            example: "8.4"),
    ],
    claims: { ["runtime/\($0.parentId ?? "")/\(claimed($0, "runtime"))/\(claimed($0, "version"))"] },
    columns: ["runtime", "version"], searched: ["runtime", "version"], naturalKey: ["runtime", "version"])

@Sendable private func versionFlaw(_ text: String) -> String? {
    let isPlain = text.utf8.allSatisfy {
        (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || $0 == 46 || $0 == 45 || $0 == 95
    }
    return (1...40).contains(text.utf8.count) && isPlain ? nil : "must be a version such as 8.4"
}

/// An address that visitors of a cluster come to.
public let lbAddressKind = ResourceKind(
    name: "lb-address", plural: "lb-addresses", summary: "An address that visitors of a cluster come to.",
    parent: .init(kind: "cluster", field: "cluster_id"), isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field(
            "address", .string(check: Names.addressFlaw), "IPv4 or IPv6 address; unique.", required: true,
            example: "192.0.2.10"),
        Field("label", .line, "What it is for."),
    ],
    claims: { ["lb-address/\(claimed($0, "address"))"] }, columns: ["address", "label"],
    searched: ["address", "label"])
