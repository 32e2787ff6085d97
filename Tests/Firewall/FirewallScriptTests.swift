import Model
import NodeFirewall
import Testing

/// Rules as text for nft. That the kernel does as they say is tested on a Debian host, in Tests/LinuxHost.
@Suite struct FirewallScriptTests {
    private func lines(_ rules: FirewallRules) throws -> [String] {
        try FirewallScript.replacing(with: rules).split(separator: "\n").map { String($0.drop { $0 == " " }) }
    }

    @Test func `every script replaces our table and no other`() throws {
        for mode in FirewallRules.Mode.allCases {
            let script = try lines(FirewallRules(mode: mode, sshAllow: ["192.0.2.0/24"], publicPorts: [80]))
            #expect(script.prefix(2) == ["table inet roost", "delete table inet roost"])
            #expect(
                script.filter { $0.hasPrefix("table") || $0.contains("flush") || $0.hasPrefix("delete") }.count == 3)
            #expect(!script.contains { $0.contains("hook output") }, "nothing outbound is ever closed")
            #expect(script.contains("ct state established,related accept"))
        }
    }

    @Test func `open without networks leaves no table`() throws {
        #expect(try lines(FirewallRules(mode: .open)) == ["table inet roost", "delete table inet roost"])
        #expect(FirewallRules(mode: .open).isEmpty)
        #expect(!FirewallRules(mode: .open, sshAllow: ["192.0.2.0/24"]).isEmpty)
    }

    @Test func `open with networks restricts SSH alone`() throws {
        let script = try lines(FirewallRules(mode: .open, sshAllow: ["192.0.2.0/24", "2001:db8::/32"], sshPorts: [22]))
        #expect(script.contains("type filter hook input priority filter - 5; policy accept;"))
        #expect(
            script.suffix(5) == [
                "ip saddr 192.0.2.0/24 tcp dport { 22 } accept", "ip6 saddr 2001:db8::/32 tcp dport { 22 } accept",
                "tcp dport { 22 } drop", "}", "}",
            ])
    }

    @Test func `daemon-port opens SSH and the front door`() throws {
        let script = try lines(FirewallRules(mode: .daemonPort, sshPorts: [2222, 22], publicPorts: [443, 80, 443]))
        #expect(script.contains("type filter hook input priority filter - 5; policy drop;"))
        #expect(script.contains("tcp dport { 22, 2222 } accept"))
        #expect(script.contains("tcp dport { 80, 443 } accept"))
        #expect(script.contains("ct state new ct status dnat meta l4proto tcp ct original proto-dst 443 accept"))
        #expect(script.contains("ct state new ct status dnat drop"))
    }

    @Test func `blocked opens SSH for named networks only`() throws {
        let none = try lines(FirewallRules(mode: .blocked, publicPorts: [80]))
        #expect(!none.contains { $0.contains("tcp dport") || $0.contains("proto-dst") })
        let some = try lines(FirewallRules(mode: .blocked, sshAllow: ["10.0.0.0/8"]))
        #expect(some.filter { $0.contains("tcp dport") } == ["ip saddr 10.0.0.0/8 tcp dport { 22 } accept"])
    }

    @Test(arguments: ["10.0.0.0/8; flush ruleset", "10.0.0.0", "}", "10.0.0.0/33", "::/129", "example.org/8", ""])
    func `what is no network is no part of a script`(_ text: String) {
        #expect(throws: Problem.self) {
            try FirewallScript.replacing(with: FirewallRules(mode: .blocked, sshAllow: [text]))
        }
    }

    @Test(arguments: [0, -1, 65_536])
    func `what is no port is no part of a script`(_ port: Int) {
        #expect(throws: Problem.self) {
            try FirewallScript.replacing(with: FirewallRules(mode: .daemonPort, publicPorts: [port]))
        }
    }

    @Test func `listings are equal when the rules are`() throws {
        func listing(_ handle: Int, _ version: String, policy: String = "drop") throws -> JSONValue {
            try JSONParser.parse(
                """
                {"nftables": [{"metainfo": {"version": "\(version)"}},
                  {"table": {"family": "inet", "name": "roost", "handle": \(handle)}},
                  {"chain": {"family": "inet", "table": "roost", "name": "input", "handle": \(handle),
                    "policy": "\(policy)"}}]}
                """)
        }
        let content = FirewallListing.content(try listing(4, "1.0.6"))
        #expect(FirewallListing.content(try listing(9, "1.1.0")) == content)
        #expect(FirewallListing.content(try listing(4, "1.0.6", policy: "accept")) != content)
        #expect(FirewallListing.holds(table: "roost", in: try listing(4, "1")))
        #expect(!FirewallListing.holds(table: "other", in: try listing(4, "1")))
    }
}
