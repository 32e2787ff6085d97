public import Model

/// What nft(8) says is in force, read from its JSON (libnftables-json(5)).
public enum FirewallListing {
    /// Whether a table is among those that `nft -j list tables` names.
    public static func holds(table: String, in listing: JSONValue) -> Bool {
        (listing["nftables"]?.arrayValue ?? []).contains { entry in
            entry["table"]?["family"]?.stringValue == "inet" && entry["table"]?["name"]?.stringValue == table
        }
    }

    /// The content of a table as text that is equal exactly when the rules are: without the numbers that the kernel
    /// gives anew each time, and without the version of the tool.
    public static func content(_ listing: JSONValue) -> String {
        let entries = (listing["nftables"]?.arrayValue ?? []).filter { $0["metainfo"] == nil }
        return JSONValue.array(entries.map(withoutHandles)).canonicalText
    }

    private static func withoutHandles(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members):
            .object(members.filter { $0.key != "handle" }.mapValues(withoutHandles))
        case .array(let values): .array(values.map(withoutHandles))
        default: value
        }
    }
}
