public import ResourceKit

/// The kinds of this family.
public let kinds: [ResourceKind] = [zoneKind, zoneRecordKind, fqdnKind, certificateKind]
