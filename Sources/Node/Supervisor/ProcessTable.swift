import Glibc
import Model

/// What /proc says about processes.
enum ProcessTable {
    /// The fields of proc_pid_stat(5) that matter here.
    struct Entry {
        var pid: Int32
        var state: UInt8
        var parent: Int32
        var session: Int32
        var startTicks: Int64
        var residentPages: Int64
        /// A zombie or a process on its way there holds nothing any more.
        var isDead: Bool { state == UInt8(ascii: "Z") || state == UInt8(ascii: "X") }
    }

    static let bootId: String = {
        let text = FileContents.text("/proc/sys/kernel/random/boot_id") ?? ""
        return String(text.prefix { $0 != "\n" })
    }()

    static func entry(_ pid: Int32) -> Entry? {
        guard let text = FileContents.text("/proc/\(pid)/stat", bytesMax: 4096) else { return nil }
        let bytes = Array(text.utf8)
        // The second field is the program's name in parentheses and may hold anything.
        guard let end = bytes.lastIndex(of: UInt8(ascii: ")")), end + 2 < bytes.count else { return nil }
        let fields = bytes[(end + 2)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 21 else { return nil }
        func number(_ index: Int) -> Int64 { Int64(String(decoding: fields[index], as: UTF8.self)) ?? 0 }
        return Entry(
            pid: pid, state: fields[0].first ?? 0, parent: Int32(number(1)), session: Int32(number(3)),
            startTicks: number(19), residentPages: number(21))
    }

    static func identity(_ pid: Int32) -> ProcessIdentity? {
        entry(pid).map { ProcessIdentity(pid: pid, startTicks: $0.startTicks, bootId: bootId) }
    }

    /// Whether this very process still runs.
    static func runs(_ identity: ProcessIdentity?) -> Bool {
        guard let identity, identity.bootId == bootId, let entry = entry(identity.pid) else { return false }
        return entry.startTicks == identity.startTicks && !entry.isDead
    }

    static func allPids() -> [Int32] { FileContents.names("/proc").compactMap { Int32($0) } }

    static func all() -> [Entry] { allPids().compactMap { entry($0) } }

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
        let leader = app.flatMap { $0.bootId == bootId ? $0 : nil }
        let leaderRuns = runs(leader)
        return all().filter { entry in
            guard !entry.isDead, entry.pid != getpid() else { return false }
            if let leader, leaderRuns, entry.session == leader.pid { return true }
            return environmentHolds(entry.pid, needle)
        }.map(\.pid)
    }

    private static func environmentHolds(_ pid: Int32, _ variable: [UInt8]) -> Bool {
        // Unreadable means that it runs as somebody else, and then it is not ours.
        guard let bytes = try? FileContents.read("/proc/\(pid)/environ", bytesMax: 4_194_304) else { return false }
        return bytes.split(separator: 0).contains { $0.elementsEqual(variable) }
    }
}
