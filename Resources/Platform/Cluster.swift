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
        Field(
            "status", .choice([ResourceStatus.active.rawValue]),
            "May be named, and is always active: nothing is done on servers for a cluster itself.", inputOnly: true),
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
            "address", .string(check: lbAddressFlaw), "IPv4 or IPv6 address; unique, however it is spelt.",
            required: true, example: "192.0.2.10"),
        Field("label", .line, "What it is for."),
    ],
    claims: { record in
        let given = claimed(record, "address")
        return ["lb-address/\(Names.canonicalAddress(given) ?? given)"]
    }, columns: ["address", "label"], searched: ["address", "label"])

/// Visitors come from elsewhere, so the address must mean the same machine everywhere.
@Sendable private func lbAddressFlaw(_ text: String) -> String? {
    guard let bytes = Names.addressBytes(text) else { return Names.addressFlaw(text) }
    if let inner = Names.wrappedIPv4(text) { return "is an IPv4 address in the form of IPv6; write \(inner)" }
    if bytes.allSatisfy({ $0 == 0 }) { return "must be one address, not the one that stands for all" }
    switch (bytes.count, bytes[0], bytes[1]) {
    case (4, 127, _): return "must not be a loopback address"
    case (4, 169, 254), (16, 0xFE, 0x80...0xBF): return "must not be a link-local address"
    case (4, 224...239, _), (16, 0xFF, _): return "must not be a multicast address"
    case (4, 0, _), (4, 240..., _): return "must be an address that a machine can have"
    default: return Names.canonicalAddress(text) == "::1" ? "must not be a loopback address" : nil
    }
}
