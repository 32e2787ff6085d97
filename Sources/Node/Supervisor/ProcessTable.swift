import Glibc
import Model

/// What /proc says about processes.
enum ProcessTable {
    /// The fields of proc_pid_stat(5) that matter here.
    struct Stat {
        var pid: Int32
        var state: UInt8
        var parent: Int32
        var session: Int32
        var startTicks: Int64
        var residentPages: Int64
        /// A zombie or a process on its way there holds nothing any more.
        var isDead: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }
    }

    /// `btime` of proc_stat(5).
    static func bootSeconds() -> Int64 {
        let lines = (FileContents.text("/proc/stat", bytesMax: 1_048_576) ?? "").split(separator: "\n")
        let line = lines.first { $0.hasPrefix("btime ") }
        return line.flatMap { Int64($0.dropFirst("btime ".utf8.count)) } ?? 0
    }

    static func entry(_ pid: Int32) -> Stat? {
        guard let text = FileContents.text("/proc/\(pid)/stat", bytesMax: 4096) else { return nil }
        let bytes = Array(text.utf8)
        // The second field is the program's name in parentheses and may hold anything.
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else { return nil }
        let fields = bytes[(end + 2)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 21 else { return nil }
        func number(_ index: Int) -> Int64 { Int64(String(decoding: fields[index], as: UTF8.self)) ?? 0 }
        return Stat(
            pid: pid, state: fields[0].first ?? 0, parent: Int32(number(1)), session: Int32(number(3)),
            startTicks: number(19), residentPages: number(21))
    }

    static func identity(_ pid: Int32) -> ProcessIdentity? {
        entry(pid).map { ProcessIdentity(pid: pid, startTicks: $0.startTicks, bootSeconds: bootSeconds()) }
    }

    /// Whether a process of this number and start time runs. After a reboot another one may, if rarely: callers that
    /// kill look closer.
    static func runs(_ identity: ProcessIdentity) -> Bool {
        guard let entry = entry(identity.pid) else { return false }
        return entry.startTicks == identity.startTicks && !entry.isDead
    }

    /// Whether this very process still runs, and is the shim of the unit with this spec file.
    static func isShim(_ identity: ProcessIdentity?, specPath: String) -> Bool {
        guard let identity, runs(identity) else { return false }
        let arguments = FileContents.text("/proc/\(identity.pid)/cmdline")?.split(separator: "\0") ?? []
        return arguments.suffix(2) == ["shim", specPath[...]]
    }

    static func allPids() -> [Int32] { FileContents.names("/proc").compactMap { Int32($0) } }

    static func all() -> [Stat] { allPids().compactMap { entry($0) } }

    /// Everything below a process, nearest first.
    static func descendants(of root: Int32) -> [Int32] {
        if FileContents.exists("/proc/self/task/\(getpid())/children") { return listedDescendants(of: root) }
        let children = Dictionary(grouping: all().filter { !$0.isDead }, by: \.parent)
        var found: [Int32] = []
        var open = [root]
        while let pid = open.popLast() {
            for child in children[pid] ?? [] {
                found.append(child.pid)
                open.append(child.pid)
            }
        }
        return found
    }

    /// By the kernel's own lists (CONFIG_PROC_CHILDREN): costs as much as the unit has processes, not the machine.
    private static func listedDescendants(of root: Int32) -> [Int32] {
        var found: [Int32] = []
        var seen: Set<Int32> = [root]
        var open = [root]
        while let pid = open.popLast() {
            for thread in FileContents.names("/proc/\(pid)/task") {
                guard let text = FileContents.text("/proc/\(pid)/task/\(thread)/children") else { continue }
                for child in text.split(separator: " ").compactMap({ Int32($0) }) where seen.insert(child).inserted {
                    open.append(child)
                    if let entry = entry(child), !entry.isDead { found.append(child) }
                }
            }
        }
        return found
    }

    /// Resident bytes of these processes together; shared pages count once per process.
    static func residentBytes(_ pids: [Int32]) -> Int64 {
        let page = Int64(sysconf(Int32(_SC_PAGESIZE)))
        return pids.reduce(0) { $0 + (entry($1)?.residentPages ?? 0) * page }
    }

    /// Processes of a unit whose shim is gone: in the application's session, or marked by the environment that it gave
    /// to its children.
    static func orphans(app: ProcessIdentity?, marker: String) -> [Int32] {
        let needle = Array(marker.utf8)
        // Another boot's number means nothing; within a minute is the same boot, unless the clock was set, and then the
        // environment must do.
        let leader = app.flatMap { abs($0.bootSeconds - bootSeconds()) <= 60 && runs($0) ? $0 : nil }
        return all().filter { entry in
            guard !entry.isDead, entry.pid != getpid() else { return false }
            if let leader, entry.session == leader.pid { return true }
            return environmentHolds(entry.pid, needle)
        }.map(\.pid)
    }

    private static func environmentHolds(_ pid: Int32, _ variable: [UInt8]) -> Bool {
        // Unreadable means that it runs as somebody else, and then it is not ours.
        guard let bytes = try? FileContents.read("/proc/\(pid)/environ", bytesMax: 4_194_304) else { return false }
        return bytes.split(separator: 0).contains { $0.elementsEqual(variable) }
    }
}
