import AccessResources
import AppsResources
import FleetResources
public import ResourceKit

/// The list of kinds. A new kind is a folder and a line here.
public enum Catalog {
    public static let kinds: [ResourceKind] =
        AccessResources.kinds + [stackKind, serviceKind, deploymentKind, nodeKind, installTokenKind]

    public static func kind(named name: String) -> ResourceKind? { kinds.first { $0.name == name } }
}
