import AccessResources
import AppsResources
import FleetResources
import NamesResources
import PlatformResources
public import ResourceKit
import TenantsResources

/// The list of kinds. A new kind is a folder and a line here.
public enum Catalog {
    /// Every kind, in the order of help texts and pages.
    public static let kinds: [ResourceKind] =
        AccessResources.kinds + PlatformResources.kinds + TenantsResources.kinds + NamesResources.kinds
        + [
            stackKind, serviceKind, deploymentKind, previewKind, canaryKind, siteKind, siteUserKind, nodeKind,
            installTokenKind,
        ]

    /// The kind of this name; nil for none.
    public static func kind(named name: String) -> ResourceKind? { kinds.first { $0.name == name } }
}
