import Model

/// The sentence above the overview.
enum OverviewPage {
    static func summary(stacks: [JSONValue], services: [JSONValue], nodes: [JSONValue]) -> String {
        let troubled = services.count { service in
            ["bad", "warn"].contains(PageParts.tone(ServicePages.state(of: service, nodes: nodes)))
        }
        let silent = nodes.count { $0.flag("is_silent") }
        let look = troubled == 0 ? "" : troubled == 1 ? ", 1 needs a look" : ", \(troubled) need a look"
        return [
            count(stacks.count, "stack"), count(services.count, "service") + look,
            count(nodes.count, "server") + (silent == 0 ? "" : ", \(silent) silent"),
        ].joined(separator: " · ")
    }

    /// `1 server`, `2 servers`.
    static func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
}
