import Glibc
import Synchronization

/// A real PowerDNS in a folder and on ports of its own, which can be stopped and started again.
public final class PowerDNSServer: Sendable {
    /// The key of its API.
    public static let key = "k-\(getpid())"

    public let dnsPort: Int
    public let apiPort: Int
    private let folder = TemporaryFolder()
    private let child = Mutex<ChildProgram?>(nil)

    public var url: String { "http://127.0.0.1:\(apiPort)" }

    /// Starts one with an empty database.
    /// - Throws: what says that it could not be done.
    public init() throws {
        let ports = try FreePorts.take(2)
        (dnsPort, apiPort) = (ports[0], ports[1])
        let schema = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"
        try ChildProgram.run(["/usr/bin/sqlite3", "\(folder.path)/pdns.db", ".read \(schema)"])
        let lines = [
            "launch=gsqlite3", "gsqlite3-database=\(folder.path)/pdns.db", "gsqlite3-pragma-synchronous=0",
            "local-address=127.0.0.1", "local-port=\(dnsPort)", "api=yes", "api-key=\(Self.key)", "webserver=yes",
            "webserver-address=127.0.0.1", "webserver-port=\(apiPort)", "webserver-allow-from=127.0.0.0/8",
            "socket-dir=\(folder.path)", "setuid=", "setgid=", "cache-ttl=0", "query-cache-ttl=0",
            "negquery-cache-ttl=0",
            "zone-cache-refresh-interval=0", "expand-alias=no",
        ]
        guard let file = fopen("\(folder.path)/pdns.conf", "we") else {
            throw ChildProgram.Failure(what: "no configuration")
        }
        fputs(lines.joined(separator: "\n") + "\n", file)
        fclose(file)
        try start()
    }

    deinit { stop() }

    /// Starts it again; returns when it takes connections.
    /// - Throws: what says that it could not be done.
    public func start() throws {
        let program = try ChildProgram([
            "/usr/sbin/pdns_server", "--config-dir=\(folder.path)", "--daemon=no", "--guardian=no",
            "--disable-syslog=yes", "--write-pid=no",
        ])
        child.withLock { $0 = program }
        for _ in 0..<1500 {
            if Self.isListening(apiPort) { return }
            usleep(20_000)
        }
        throw ChildProgram.Failure(what: "PowerDNS does not start")
    }

    /// Ends it at once.
    public func stop() {
        child.withLock { program in
            program?.end()
            program = nil
        }
    }

    /// What a DNS query over UDP is answered with: lines as dig prints them, sorted.
    /// - Throws: what says that it could not be done.
    public func dig(_ name: String, _ type: String) throws -> [String] {
        let output = "\(folder.path)/dig-\(UInt64.random(in: .min ... .max))"
        defer { unlink(output) }
        try ChildProgram.run(
            [
                "/usr/bin/dig", "@127.0.0.1", "-p", String(dnsPort), "+short", "+time=2", "+tries=5", "+norecurse",
                name, type,
            ], output: output)
        guard let file = fopen(output, "re") else { throw ChildProgram.Failure(what: "dig said nothing") }
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

    private static func isListening(_ port: Int) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(descriptor) }
        var address = FreePorts.loopback(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
