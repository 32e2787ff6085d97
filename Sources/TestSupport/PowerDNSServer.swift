import CRoost
import Glibc
import Synchronization

/// A real PowerDNS in a folder and on ports of its own, which can be stopped and started again.
public final class PowerDNSServer: Sendable {
    /// What could not be done.
    public struct Failure: Error {
        public var what: String
    }

    /// The key of its API.
    public static let key = "k-\(getpid())"

    public let dnsPort: Int
    public let apiPort: Int
    private let folder = TemporaryFolder()
    private let child = Mutex<pid_t?>(nil)

    public var url: String { "http://127.0.0.1:\(apiPort)" }

    /// Starts one with an empty database.
    /// - Throws: ``Failure``.
    public init() throws {
        (dnsPort, apiPort) = (try Self.freePort(), try Self.freePort())
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"
        try Self.wait(for: try Self.spawn(["/usr/bin/sqlite3", "\(folder.path)/pdns.db", ".read \(schema)"]))
        let lines = [
            "launch=gsqlite3", "gsqlite3-database=\(folder.path)/pdns.db", "gsqlite3-pragma-synchronous=0",
            "local-address=127.0.0.1", "local-port=\(dnsPort)", "api=yes", "api-key=\(Self.key)", "webserver=yes",
            "webserver-address=127.0.0.1", "webserver-port=\(apiPort)", "webserver-allow-from=127.0.0.0/8",
            "socket-dir=\(folder.path)", "setuid=", "setgid=", "cache-ttl=0", "query-cache-ttl=0",
            "negquery-cache-ttl=0",
            "zone-cache-refresh-interval=0", "expand-alias=no",
        ]
        guard let file = fopen("\(folder.path)/pdns.conf", "we") else { throw Failure(what: "no configuration") }
        fputs(lines.joined(separator: "\n") + "\n", file)
        fclose(file)
        try start()
    }

    deinit { stop() }

    /// Starts it again; returns when it takes connections.
    /// - Throws: ``Failure``.
    public func start() throws {
        let pid = try Self.spawn([
            "/usr/sbin/pdns_server", "--config-dir=\(folder.path)", "--daemon=no", "--guardian=no",
            "--disable-syslog=yes", "--write-pid=no",
        ])
        child.withLock { $0 = pid }
        for _ in 0..<1500 {
            if Self.isListening(apiPort) { return }
            usleep(20_000)
        }
        throw Failure(what: "PowerDNS does not start")
    }

    /// Ends it at once.
    public func stop() {
        guard
            let pid = child.withLock({ pid in
                defer { pid = nil }
                return pid
            })
        else { return }
        kill(pid, SIGKILL)
        var status: Int32 = 0
        while waitpid(pid, &status, 0) < 0, errno == EINTR {}
    }

    /// What a DNS query over UDP is answered with: lines as dig prints them, sorted.
    /// - Throws: ``Failure``.
    public func dig(_ name: String, _ type: String) throws -> [String] {
        let output = "\(folder.path)/dig-\(UInt64.random(in: .min ... .max))"
        defer { unlink(output) }
        try Self.wait(
            for: try Self.spawn(
                [
                    "/usr/bin/dig", "@127.0.0.1", "-p", String(dnsPort), "+short", "+time=2", "+tries=5", "+norecurse",
                    name, type,
                ], output: output))
        guard let file = fopen(output, "re") else { throw Failure(what: "dig said nothing") }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init).sorted()
    }

    private static func freePort() throws -> Int {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, length) == 0 ? getsockname(descriptor, $0, &length) : -1
            }
        }
        guard code == 0 else { throw Failure(what: "no free port") }
        return Int(UInt16(bigEndian: address.sin_port))
    }

    private static func loopback(_ port: Int) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(port).bigEndian
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        return address
    }

    private static func isListening(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }

    /// Starts a program with none of our descriptors but the file that its output goes to.
    private static func spawn(_ argv: [String], output: String? = nil) throws -> pid_t {
        let lists = [[argv[0]], argv, ["PATH=/usr/bin:/bin", "LC_ALL=C"]].map { list in
            let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: list.count + 1)
            for (index, text) in list.enumerated() { pointers[index] = strdup(text) }
            pointers[list.count] = nil
            return (pointers, list.count)
        }
        defer {
            for (pointers, count) in lists {
                for index in 0..<count { free(pointers[index]) }
                pointers.deallocate()
            }
        }
        let sink = open(output ?? "/dev/null", O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        defer { close(sink) }
        var plan = croost_spawn_plan()
        plan.candidates = UnsafePointer(lists[0].0)
        plan.argv = UnsafePointer(lists[1].0)
        plan.envp = UnsafePointer(lists[2].0)
        plan.stdio = (-1, sink, -1)
        plan.keep_fd = -1
        var child = pid_t()
        var step: Int32 = 0
        guard croost_spawn(&plan, &child, &step) == 0 else { throw Failure(what: "\(argv[0]) could not be started") }
        return child
    }

    private static func wait(for child: pid_t) throws {
        var status: Int32 = 0
        while waitpid(child, &status, 0) < 0, errno == EINTR {}
        guard status == 0 else { throw Failure(what: "a program ended with the status \(status)") }
    }
}
