import Glibc
import Host
import Model
import Testing

@testable import LinuxHost

/// The firewall on a Debian host, seen from another one's network: what is allowed answers, what is not does not.
@Suite(.serialized, .enabled(if: geteuid() == 0), .timeLimit(.minutes(3)))
struct FirewallTests {
    let bench = Workbench()
    private static let address = "10.78.0.24"

    /// Answers `hello` on each port.
    private static let server = #"""
        import socket, sys, threading
        def serve(port):
            s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            s.bind(('::', port)); s.listen(16)
            while True:
                c, _ = s.accept(); c.sendall(b'hello'); c.close()
        for p in sys.argv[1:]: threading.Thread(target=serve, args=(int(p),)).start()
        """#

    /// Prints the ports that answer within three seconds.
    private static let client = #"""
        import socket, sys, threading
        found = []
        def ask(port):
            try:
                with socket.create_connection((sys.argv[1], port), timeout=3) as s:
                    s.settimeout(3)
                    if s.recv(5) == b'hello': found.append(port)
            except OSError: pass
        threads = [threading.Thread(target=ask, args=(int(p),)) for p in sys.argv[2:]]
        [t.start() for t in threads]; [t.join() for t in threads]
        print(*sorted(found))
        """#

    /// Sends an ICMP echo request (RFC 792) and waits two seconds for the answer.
    private static let ping = #"""
        import socket, struct, sys
        def total(b): s = sum(struct.unpack('!%dH' % (len(b) // 2), b)); return ~((s & 0xffff) + (s >> 16)) & 0xffff
        s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP); s.settimeout(2)
        head = struct.pack('!BBHHH', 8, 0, 0, 0x726f, 1)
        s.sendto(struct.pack('!BBHHH', 8, 0, total(head), 0x726f, 1), (sys.argv[1], 0))
        while True:
            packet, peer = s.recvfrom(1024)
            if peer[0] == sys.argv[1] and packet[20] == 0: print('answered'); break
        """#

    private struct Peer {
        let host: DebianHost
        let bench: Workbench

        func sh(_ script: String) async throws -> String { try await host.exec(["sh", "-c", script]).outputText }

        func firewall(_ verb: String, _ rules: String = "") async throws -> String {
            let result = try await host.exec(
                ["/opt/roost-test/supervise-probe", "firewall", verb], input: Array(rules.utf8))
            return result.outputText
        }

        /// Those of the ports that answer somebody in the network.
        func reachable(_ ports: String) async throws -> String {
            let command =
                ["python3", "\(bench.path)/client.py", FirewallTests.address]
                + ports.split(separator: " ")
                .map(String.init)
            return try await bench.run(host.labCommand(command)).filter { $0 != "\n" }
        }
    }

    private func peer() async throws -> Peer {
        let host = try await DebianHost.boot("firewall", address: Self.address)
        try await bench.write("server.py", Self.server)
        try await bench.write("client.py", Self.client)
        try await bench.write("ping.py", Self.ping)
        try await host.put("\(bench.path)/server.py")
        let peer = Peer(host: host, bench: bench)
        _ = try await peer.firewall("remove")
        _ = try await peer.sh(
            "systemctl -q is-active server || systemd-run -q --unit=server python3 /opt/roost-test/server.py "
                + "80 443 2222 5000 7000")
        try await eventually("all ports answer") {
            try await peer.reachable("80 443 2222 5000 7000") == "80 443 2222 5000 7000"
        }
        return peer
    }

    @Test func modesCloseWhatTheySay() async throws {
        let peer = try await peer()
        func reachable(_ rules: String) async throws -> String {
            #expect(try await peer.firewall("apply", rules) == "{}\n")
            return try await peer.reachable("80 443 2222 5000 7000")
        }
        #expect(
            try await reachable(#"{"mode": "daemon-port", "ssh_ports": [2222], "public_ports": [80, 443]}"#)
                == "80 443 2222")
        let away = #""ssh_ports": [2222], "ssh_allow": ["192.0.2.0/24", "2001:db8::/32"]"#
        #expect(try await reachable(#"{"mode": "daemon-port", "public_ports": [80], \#(away)}"#) == "80")
        #expect(try await reachable(#"{"mode": "blocked", \#(away)}"#) == "")
        #expect(try await reachable(#"{"mode": "open", \#(away)}"#) == "80 443 5000 7000")
        // Networks that hold one another, and ones with host bits, are fine.
        let near = #""ssh_ports": [2222], "ssh_allow": ["10.0.0.0/8", "10.78.0.1/24"]"#
        #expect(try await reachable(#"{"mode": "blocked", \#(near)}"#) == "2222")
        #expect(try await reachable(#"{"mode": "open", \#(near)}"#) == "80 443 2222 5000 7000")
        // What is blocked still answers pings, reaches itself, and reaches others: the agent its hub.
        #expect(try await reachable(#"{"mode": "blocked"}"#) == "")
        #expect(
            try await bench.run(peer.host.labCommand(["python3", "\(bench.path)/ping.py", Self.address]))
                == "answered\n")
        #expect(try await peer.sh("python3 -c \"\(Self.asker)\" 127.0.0.1 5000") == "hello")
        try bench.start(peer.host.labCommand(["python3", "\(bench.path)/server.py", "7600"]))
        try await eventually("the hub's address is reached from inside") {
            try await peer.sh("python3 -c \"\(Self.asker)\" 10.78.0.1 7600") == "hello"
        }
        #expect(try await peer.firewall("remove") == "{}\n")
        #expect(try await peer.reachable("80 443 2222 5000 7000") == "80 443 2222 5000 7000")
        #expect(try await peer.firewall("content") == "null\n")
        #expect(try await peer.firewall("remove") == "{}\n", "there may be nothing to remove")
    }

    private static let asker =
        "import socket, sys; "
        + "print(socket.create_connection((sys.argv[1], int(sys.argv[2])), 1).recv(5).decode(), end='')"

    @Test func publishedPortsOfContainersAreClosedToo() async throws {
        let peer = try await peer()
        // As Docker does it: port 8080 leads to another machine behind this one.
        _ = try await peer.sh(
            """
            ip netns add box; ip link add v0 type veth peer name v1 netns box; ip addr add 10.9.0.1/24 dev v0
            ip link set v0 up; ip -n box addr add 10.9.0.2/24 dev v1; ip -n box link set v1 up
            ip -n box route add default via 10.9.0.1; echo 1 > /proc/sys/net/ipv4/ip_forward
            systemd-run -q --unit=box ip netns exec box python3 /opt/roost-test/server.py 80
            nft 'table ip dockerish {
              chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 10.9.0.2:80; }; }'
            """)
        try await eventually("the published port answers") { try await peer.reachable("8080") == "8080" }
        let before = try await peer.sh("nft list table ip dockerish")
        #expect(try await peer.firewall("apply", #"{"mode": "daemon-port", "public_ports": [80]}"#) == "{}\n")
        #expect(try await peer.reachable("80 8080") == "80")
        #expect(try await peer.firewall("apply", #"{"mode": "daemon-port", "public_ports": [8080]}"#) == "{}\n")
        #expect(try await peer.reachable("80 8080") == "8080")
        #expect(try await peer.firewall("remove") == "{}\n")
        #expect(try await peer.reachable("8080") == "8080")
        #expect(try await peer.sh("nft list table ip dockerish") == before, "the tables of others are left alone")
        _ = try await peer.sh("nft delete table ip dockerish; systemctl stop box; ip netns del box")
    }

    @Test func contentTellsWhetherRulesWereTouched() async throws {
        let peer = try await peer()
        let rules = #"{"mode": "daemon-port", "ssh_ports": [22], "public_ports": [80]}"#
        #expect(try await peer.firewall("apply", rules) == "{}\n")
        let content = try await peer.firewall("content")
        #expect(try await peer.firewall("apply", rules) == "{}\n")
        #expect(try await peer.firewall("content") == content, "equal rules, equal content")
        _ = try await peer.sh("nft insert rule inet roost input tcp dport 7000 accept")
        #expect(try await peer.firewall("content") != content)
        #expect(try await peer.reachable("7000") == "7000")
        #expect(try await peer.firewall("apply", rules) == "{}\n")
        #expect(try await peer.reachable("7000") == "")
        _ = try await peer.sh("nft flush ruleset")
        #expect(try await peer.firewall("content") == "null\n")
        _ = try await peer.sh("mkdir -p /etc/ssh/sshd_config.d; echo Port 2022 > /etc/ssh/sshd_config.d/roost.conf")
        #expect(try await peer.firewall("ports") == "[2022]\n")
        _ = try await peer.sh("rm /etc/ssh/sshd_config.d/roost.conf")
        #expect(try await peer.firewall("ports") == "[22]\n")
    }

    @Test func anOrdinaryUserHasNone() async throws {
        let peer = try await peer()
        let answer = try await peer.sh(
            "echo '{\"mode\": \"blocked\"}' | setpriv --reuid=65534 --clear-groups /opt/roost-test/supervise-probe "
                + "firewall apply")
        #expect(answer.contains("\"code\":\"unavailable\"") && answer.contains("needs root"))
    }
}

/// What is read from files of the system.
@Suite struct FirewallReadingTests {
    @Test(arguments: [
        ("", [22]), ("#Port 2222\n", [22]), ("Port 2222\n", [2222]), ("Port 22\nport=2222\n", [22, 2222]),
        ("ListenAddress 0.0.0.0:2022\nListenAddress [::1]:2023\n", [2022, 2023]), ("ListenAddress ::\n", [22]),
        ("Port 99999\nPort nonsense\n", [22]),
    ])
    func portsOfSSHDaemons(_ text: String, _ ports: [Int]) {
        #expect(SSHConfiguration.ports([text]) == ports)
    }

    @Test func socketsAreReadFromTheKernelsTables() {
        let tcp = """
              sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt
               0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 1
               1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 2
               2: 0A4E000A:0050 01020304:9C40 01 00000000:00000000 00:00000000 00000000 0 0 3
            """
        #expect(
            ListeningPorts.parse(tcp, protocol: "tcp") == [
                ListeningPort(protocol: "tcp", address: "0.0.0.0", port: 22)
            ])
        let udp6 = """
              sl  local_address                         remote_address                        st
               0: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 x
               1: 00000000000000000000000000000000:0222 00000000000000000000000000000000:0000 07 x
               2: B80D0120000000000000000001000000:1234 00000000000000000000000000000000:0000 07 x
            """
        #expect(
            ListeningPorts.parse(udp6, protocol: "udp") == [
                ListeningPort(protocol: "udp", address: "::", port: 546),
                ListeningPort(protocol: "udp", address: "2001:db8::1", port: 4660),
            ])
    }

    @Test func anOwnListenerIsFound() async throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        var size = socklen_t(MemoryLayout<sockaddr_in>.size)
        let port = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { raw -> Int in
                bind(descriptor, raw, size)
                listen(descriptor, 1)
                getsockname(descriptor, raw, &size)
                return Int(UInt16(bigEndian: pointer.pointee.sin_port))
            }
        }
        let found = try await LiveFacts(dataFolder: "/").listeningPorts()
        #expect(found.contains(ListeningPort(protocol: "tcp", address: "0.0.0.0", port: port)))
    }
}
