import Glibc
import Host
import LinuxHost
import Model
import Testing

/// Internal names with a real systemd-resolved, a server for them, and one for all the other names.
@Suite(.enabled(if: geteuid() == 0), .timeLimit(.minutes(2)))
struct ResolvedTests {
    let bench = Workbench()

    /// Answers A questions for names below a suffix with one address, and refuses all others (RFC 1035 section 4).
    private static let server = #"""
        import socket, sys
        bind, port, suffix, address = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
        s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind((bind, port))
        while True:
            q, peer = s.recvfrom(512)
            at, labels = 12, []
            while q[at]:
                labels.append(q[at + 1:at + 1 + q[at]].decode()); at += 1 + q[at]
            name, kind, end = '.'.join(labels).lower(), q[at + 1:at + 3], at + 5
            known = suffix == '.' or name.endswith('.' + suffix)
            answer = known and kind == b'\0\1'
            head = q[:2] + (b'\x81\x80' if known else b'\x81\x85') + b'\0\1'
            head += b'\0\1' if answer else b'\0\0'
            record = b'\xc0\x0c\0\1\0\1\0\0\0\1\0\4' + socket.inet_aton(address) if answer else b''
            s.sendto(head + b'\0' * 4 + q[12:end] + record, peer)
        """#

    @Test func splitDNSServesInternalNamesAndLeavesTheOthers() async throws {
        let host = try await DebianHost.boot("resolved", address: "10.78.0.23")
        func sh(_ script: String) async throws -> String {
            let result = try await host.exec(["sh", "-c", script])
            return result.outputText
        }
        try await bench.write("dns.py", Self.server)
        try await host.put("\(bench.path)/dns.py")
        try bench.start(host.labCommand(["python3", "\(bench.path)/dns.py", "10.78.0.1", "53", ".", "192.0.2.7"]))
        _ = try await sh(
            "systemd-run -q --unit=inner python3 /opt/roost-test/dns.py 127.0.0.1 5399 svc.internal 127.0.0.9; "
                + "mkdir -p /etc/systemd/network/10-host0.network.d; "
                + "printf '[Network]\\nDNS=10.78.0.1\\n' > /etc/systemd/network/10-host0.network.d/dns.conf; "
                + "systemctl restart systemd-networkd; systemctl start systemd-resolved; "
                + "ln -sf ../run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
        func lookUp(_ name: String) async throws -> String {
            try await sh("getent ahostsv4 \(name) | head -1 | cut -d' ' -f1")
        }
        try await eventually("the machine resolves names at all") { try await lookUp("example.org") == "192.0.2.7\n" }
        let before = try await sh("cat /etc/hosts")
        let probe = "/opt/roost-test/supervise-probe names svc.internal 127.0.0.9 127.0.0.1:5399"
        #expect(try await sh("\(probe) web api") == "{}\n")
        try await eventually("internal names resolve") { try await lookUp("web.svc.internal") == "127.0.0.9\n" }
        #expect(try await lookUp("example.org") == "192.0.2.7\n", "other names still go to the other server")
        #expect(try await sh("cat /etc/hosts") == before)
        #expect(try await sh("\(probe)") == "{}\n")
        try await eventually("they do no more") { try await lookUp("web.svc.internal") == "192.0.2.7\n" }
        #expect(try await sh("ls /etc/systemd/resolved.conf.d") == "")
        // Without resolved: the hosts file.
        _ = try await sh(
            "systemctl stop systemd-resolved; rm /etc/resolv.conf; echo nameserver 10.78.0.1 > /etc/resolv.conf")
        #expect(try await sh("\(probe) web") == "{}\n")
        #expect(try await lookUp("web.svc.internal") == "127.0.0.9\n")
        #expect(try await sh("\(probe)") == "{}\n")
        #expect(try await sh("cat /etc/hosts") == before)
    }
}
