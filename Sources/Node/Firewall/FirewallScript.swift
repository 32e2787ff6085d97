public import Model

/// Firewall rules as a script for nft(8). Pure: equal rules give an equal script.
public enum FirewallScript {
    /// Name of the table that is ours, of the family `inet`. Nothing outside of it is ever touched.
    public static let table = "roost"

    /// Where our chains stand: before the ordinary filters. A packet that we accept still goes through those of others;
    /// one that we drop is gone.
    private static let priority = "filter - 5"

    /// Replaces the whole table in one transaction: at no moment are there no rules, or a part of them.
    ///
    /// - Throws: `invalid` for a network or port that is none. Nothing unchecked becomes part of a script.
    public static func replacing(with rules: FirewallRules) throws(Problem) -> String {
        for network in rules.sshAllow {
            if let flaw = Names.cidrFlaw(network) { throw Problem.invalid("ssh_allow", flaw) }
        }
        for port in rules.sshPorts + rules.publicPorts where !(1...65_535).contains(port) {
            throw Problem.invalid("port", "must be between 1 and 65535")
        }
        // The first line makes the table when there is none, so that it can be deleted.
        var lines = ["table inet \(table)", "delete table inet \(table)"]
        guard !rules.isEmpty else { return text(lines) }
        lines.append("table inet \(table) {")
        lines += chain("input", policy: rules.mode == .open ? "accept" : "drop", input(rules))
        if rules.mode != .open { lines += chain("forward", policy: "accept", forward(rules)) }
        return text(lines + ["}"])
    }

    private static func text(_ lines: [String]) -> String { lines.joined(separator: "\n") + "\n" }

    private static func chain(_ name: String, policy: String, _ rules: [String]) -> [String] {
        let head = "type filter hook \(name) priority \(priority); policy \(policy);"
        return ["  chain \(name) {", "    \(head)"] + rules.map { "    \($0)" } + ["  }"]
    }

    private static func input(_ rules: FirewallRules) -> [String] {
        var lines = ["iifname \"lo\" accept", "ct state established,related accept"]
        if rules.mode != .open {
            lines += essentials + ["ct state invalid drop"]
        }
        lines += ssh(rules)
        if rules.mode == .daemonPort, !rules.publicPorts.isEmpty {
            lines.append("tcp dport { \(list(rules.publicPorts)) } accept")
        }
        return lines
    }

    /// Without these a machine loses its address, its neighbours or its paths (RFC 4890 sections 4.3 and 4.4, RFC 2131
    /// section 4.1, RFC 8415 section 7.2). They come before the drop of invalid packets: neighbour discovery is not
    /// tracked.
    private static let essentials = [
        "icmp type { destination-unreachable, time-exceeded, parameter-problem, echo-request } accept",
        "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } accept",
        "icmpv6 type echo-request accept",
        "icmpv6 type { nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, mld-listener-query } accept",
        "udp sport 67 udp dport 68 accept", "ip6 saddr fe80::/10 udp sport 547 udp dport 546 accept",
    ]

    private static func ssh(_ rules: FirewallRules) -> [String] {
        guard !rules.sshPorts.isEmpty else { return [] }
        let ports = "tcp dport { \(list(rules.sshPorts)) }"
        // One rule each: in a set, networks that hold one another would be an error.
        let allowed = rules.sshAllow.map { "\($0.contains(":") ? "ip6" : "ip") saddr \($0) \(ports) accept" }
        switch rules.mode {
        case .open: return allowed + ["\(ports) drop"]
        case .daemonPort: return rules.sshAllow.isEmpty ? ["\(ports) accept"] : allowed
        case .blocked: return allowed
        }
    }

    /// Ports that are handed on to containers do not pass the input chain; the same holds for them.
    private static func forward(_ rules: FirewallRules) -> [String] {
        let open = rules.mode == .daemonPort ? Set(rules.publicPorts).sorted() : []
        return open.map { "ct state new ct status dnat meta l4proto tcp ct original proto-dst \($0) accept" }
            + ["ct state new ct status dnat drop"]
    }

    private static func list(_ ports: [Int]) -> String {
        Set(ports).sorted().map { String($0) }.joined(separator: ", ")
    }
}
