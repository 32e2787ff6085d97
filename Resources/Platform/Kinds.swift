import Model
public import ResourceKit

/// The kinds of this family.
public let kinds: [ResourceKind] = [
    platformConfigKind, brandKind, regionKind, clusterKind, runtimeKind, lbAddressKind, shardKind,
]

/// A name of one line that people read.
let title = Field.Kind.string(check: { $0.isEmpty ? "must not be empty" : Names.lineFlaw($0, bytesMax: 200) })

/// A domain name of at least two labels, with or without the dot at its end.
let domain = Field.Kind.string(check: { DomainName.flaw($0) })

/// Settings that only the provider's own programs read.
let freeForm = Field.Kind.object([])

/// A name that stands in a claim, in one spelling.
func claimed(_ record: ResourceRecord, _ field: String = "name") -> String {
    record.spec[field]?.stringValue?.lowercased() ?? ""
}
