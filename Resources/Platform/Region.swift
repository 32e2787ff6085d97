import Model
public import ResourceKit

/// A place where clusters stand.
public let regionKind = ResourceKind(
    name: "region", plural: "regions", summary: "A place where clusters stand.", identity: .slug(field: "id"),
    isAsynchronous: false, isPlatformOnly: true,
    fields: [
        Field("id", .slug, "Chosen id; else the name.", immutable: true, example: "eu-1"),
        Field("name", .slug, "Unique name.", required: true, example: "eu-1"),
        Field("config", freeForm, "Settings for programs of your own.", default: [:]),
    ],
    claims: { ["region/\(claimed($0))"] }, columns: ["name"], searched: ["name"])
