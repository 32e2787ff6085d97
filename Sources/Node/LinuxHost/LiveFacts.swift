import Glibc
public import Host
public import Model
import Supervisor

/// Facts from /proc, /etc/os-release and statvfs.
public struct LiveFacts: Facts {
    private let dataFolder: String

    /// - Parameter dataFolder: The file system whose space is reported.
    public init(dataFolder: String) { self.dataFolder = dataFolder }

    public func machine() async throws -> MachineFacts {
        let folder = dataFolder
        return try await BlockingThreads.shared.run {
            var name = utsname()
            guard uname(&name) == 0 else { throw systemProblem("uname", "/proc/version") }
            var disk = statvfs()
            guard statvfs(folder, &disk) == 0 else { throw systemProblem("statvfs", folder) }
            let memory = try Self.pairs("/proc/meminfo", separator: ":")
            func memoryBytes(_ key: String) -> Int64 {
                let digits = (memory[key] ?? "").drop { $0 == " " }.prefix { $0.isNumber }
                return (Int64(digits) ?? 0) * 1024
            }
            let load = try Self.text("/proc/loadavg").split(separator: " ").first.flatMap { Double($0) }
            let uptime = try Self.text("/proc/uptime").prefix { $0 != "." }
            return MachineFacts(
                hostname: Self.string(name.nodename), os: try Self.operatingSystem(),
                kernel: Self.string(name.release), cpus: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), load1: load ?? 0,
                memoryTotalBytes: memoryBytes("MemTotal"), memoryAvailableBytes: memoryBytes("MemAvailable"),
                diskTotalBytes: Int64(disk.f_blocks) * Int64(disk.f_frsize),
                diskFreeBytes: Int64(disk.f_bavail) * Int64(disk.f_frsize),
                supervisor: SystemdPresence.isManager && geteuid() == 0 ? "systemd" : "built-in",
                uptimeSeconds: Int64(uptime) ?? 0)
        }
    }

    public func listeningPorts() async throws -> [ListeningPort] {
        try await BlockingThreads.shared.run { try ListeningPorts.all() }
    }

    private static func operatingSystem() throws -> String {
        let release = try pairs("/etc/os-release", separator: "=")
        return (release["PRETTY_NAME"] ?? release["ID"] ?? "Linux").filter { $0 != "\"" }
    }

    private static func text(_ path: String) throws -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return "" }
            throw systemProblem("open", path)
        }
        defer { close(descriptor) }
        return String(decoding: try FileCalls.read(descriptor, count: 65_536, path), as: UTF8.self)
    }

    private static func pairs(_ path: String, separator: Character) throws -> [String: String] {
        var pairs: [String: String] = [:]
        for line in try text(path).split(separator: "\n") {
            let parts = line.split(separator: separator, maxSplits: 1)
            if parts.count == 2 { pairs[String(parts[0])] = String(parts[1]) }
        }
        return pairs
    }

    private static func string<Tuple>(_ field: Tuple) -> String {
        withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }
}
