import Glibc
import Synchronization

/// A real PostgreSQL on a folder and a port of its own, with the disk synced as in earnest. One a process, started
/// when it is first asked for and stopped at its end.
public final class PostgresServer: Sendable {
    private let folder: String
    private let programs: String
    private let port: Int
    private let databases = Mutex(0)

    private struct Servers {
        var shared: PostgresServer?
        var all: [PostgresServer] = []
    }

    private static let servers = Mutex(Servers())

    /// The one that all tests of the process share, which are kind to it.
    /// - Throws: when PostgreSQL's server is not installed.
    public static func running() throws -> PostgresServer {
        try servers.withLock { servers in
            if let server = servers.shared { return server }
            let new = try add(&servers)
            servers.shared = new
            return new
        }
    }

    /// One of its own, for a test that stops it.
    /// - Throws: what says that it could not be done.
    public static func own() throws -> PostgresServer { try servers.withLock { try add(&$0) } }

    private static func add(_ servers: inout Servers) throws -> PostgresServer {
        let new = try PostgresServer(number: servers.all.count)
        if servers.all.isEmpty {
            atexit { for server in PostgresServer.servers.withLock({ $0.all }) { server.remove() } }
        }
        servers.all.append(new)
        return new
    }

    private init(number: Int) throws {
        guard let programs = Self.programs() else {
            throw ChildProgram.Failure(what: "no PostgreSQL server is installed")
        }
        self.programs = programs
        var template = Array("/tmp/roost-postgres-XXXXXX".utf8CString)
        guard let made = mkdtemp(&template) else { throw ChildProgram.Failure(what: "no temporary folder") }
        folder = String(cString: made)
        port = 20_000 + (Int(getpid()) * 8 + number) % 10_000
        if geteuid() == 0 { try ChildProgram.run(["chown", "postgres:", folder]) }
        try command(
            "initdb", ["-D", "\(folder)/data", "-U", "roost", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8"])
        try start()
    }

    /// The newest version that Debian's packages have brought.
    private static func programs() -> String? {
        for version in stride(from: 30, through: 14, by: -1) {
            let path = "/usr/lib/postgresql/\(version)/bin"
            if access("\(path)/initdb", X_OK) == 0 { return path }
        }
        return nil
    }

    /// The server refuses to run as root.
    private func command(_ program: String, _ arguments: [String]) throws {
        let user = geteuid() == 0 ? ["runuser", "-u", "postgres", "--"] : []
        try ChildProgram.run(user + ["\(programs)/\(program)"] + arguments)
    }

    private var options: String {
        "-p \(port) -k \(folder) -c listen_addresses=127.0.0.1 -c max_connections=300 -c fsync=on"
            + " -c synchronous_commit=on"
    }

    private func start() throws {
        try command("pg_ctl", ["-D", "\(folder)/data", "-l", "\(folder)/log", "-w", "-o", options, "start"])
    }

    /// Ends it as a power cut would, without any goodbye, and starts it again.
    public func restartImmediately() throws {
        try command(
            "pg_ctl",
            ["-D", "\(folder)/data", "-l", "\(folder)/log", "-w", "-o", options, "-m", "immediate", "restart"])
    }

    /// Ends it as a power cut would.
    public func stopImmediately() throws {
        try command("pg_ctl", ["-D", "\(folder)/data", "-m", "immediate", "stop"])
    }

    /// Starts it again.
    public func startAgain() throws { try start() }

    /// URL of a new, empty database.
    /// - Throws: what says that it could not be done.
    public func newDatabase() throws -> String {
        let number = databases.withLock { count -> Int in
            count += 1
            return count
        }
        try command("createdb", ["-h", folder, "-p", String(port), "-U", "roost", "test\(number)"])
        return "postgres://roost@127.0.0.1:\(port)/test\(number)"
    }

    private func remove() {
        do {
            try stopImmediately()
            try ChildProgram.run(["rm", "-rf", folder])
        } catch {
            print("the PostgreSQL in \(folder) could not be removed: \(error)")
        }
    }
}
