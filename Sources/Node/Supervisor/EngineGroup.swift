import Glibc
import Model

/// A control group of this machine below which a container engine puts the processes of a build.
///
/// The engine makes groups of its own inside, so this one holds no process itself, as cgroup v2 demands of a group with
/// limited children.
public enum EngineGroup {
    static let base = "roost-builds"
    private static let highest = "memory.max_usage_in_bytes"

    /// Makes the group, or takes the one that could not be removed, and limits its memory, swap included.
    ///
    /// - Parameter root: Another place than the system's, for tests.
    /// - Returns: The group's name as a container engine takes it, from the root of the hierarchy.
    /// - Throws: `unavailable` where the kernel or this process's rights do not let memory be limited.
    public static func make(name: String, memoryMaxBytes: Int64, root: String = "/sys/fs/cgroup") throws -> String {
        remove(name: name, root: root)
        do {
            if FileContents.exists("\(root)/cgroup.controllers") {
                try makeUnified(name, memoryMaxBytes, root)
            } else {
                try makeSplit(name, memoryMaxBytes, root)
            }
        } catch {
            throw Problem(
                .unavailable, "The memory of a build by Docker cannot be limited on this server.",
                hint: "For that the agent must run as root, on a kernel with the memory controller of control groups.",
                context: "\(error)")
        }
        return "/\(base)/\(name)"
    }

    private static func makeUnified(_ name: String, _ bytes: Int64, _ root: String) throws {
        let folder = "\(root)/\(base)/\(name)"
        try makeFolder("\(root)/\(base)")
        for parent in [root, "\(root)/\(base)"] {
            try FileContents.put("\(parent)/cgroup.subtree_control", "+memory")
        }
        try makeFolder(folder)
        try FileContents.put("\(folder)/memory.max", "\(bytes)")
        // Without swap on the machine there is nothing to limit.
        if FileContents.exists("\(folder)/memory.swap.max") { try FileContents.put("\(folder)/memory.swap.max", "0") }
    }

    private static func makeSplit(_ name: String, _ bytes: Int64, _ root: String) throws {
        let folder = "\(root)/memory/\(base)/\(name)"
        try makeFolder("\(root)/memory/\(base)")
        try makeFolder(folder)
        let together = "\(folder)/memory.memsw.limit_in_bytes"
        // The limit of memory and swap together may at no time be below the one of memory. It is missing where swap is
        // not accounted.
        if FileContents.exists(together) { try FileContents.put(together, "-1") }
        try FileContents.put("\(folder)/memory.limit_in_bytes", "\(bytes)")
        if FileContents.exists(together) { try FileContents.put(together, "\(bytes)") }
        try FileContents.put("\(folder)/\(highest)", "0")
    }

    /// Whether processes of the group were ended, or had to wait, for want of memory since it was made.
    public static func hasReachedLimit(name: String, root: String = "/sys/fs/cgroup") -> Bool {
        if let text = FileContents.text("\(root)/\(base)/\(name)/memory.events") {
            return text.split(separator: "\n").contains { $0.hasPrefix("oom_kill ") && $0 != "oom_kill 0" }
        }
        // Newer kernels no longer count failures in groups above the one that failed.
        let folder = "\(root)/memory/\(base)/\(name)"
        guard let most = FileContents.number("\(folder)/\(highest)"),
            let limit = FileContents.number("\(folder)/memory.limit_in_bytes")
        else { return false }
        return most >= limit
    }

    /// Removes the group in every hierarchy, with the empty ones that the engine left in it. One that still holds
    /// processes stays, with its limit.
    public static func remove(name: String, root: String = "/sys/fs/cgroup") {
        let isUnified = FileContents.exists("\(root)/cgroup.controllers")
        let hierarchies = isUnified ? [root] : FileContents.names(root).map { "\(root)/\($0)" }
        for hierarchy in hierarchies { removeTree("\(hierarchy)/\(base)/\(name)", depth: 0) }
    }

    private static func removeTree(_ folder: String, depth: Int) {
        guard depth < 8, FileContents.exists(folder) else { return }
        for name in FileContents.names(folder) where FileContents.exists("\(folder)/\(name)/cgroup.procs") {
            removeTree("\(folder)/\(name)", depth: depth + 1)
        }
        rmdir(folder)
    }

    private static func makeFolder(_ path: String) throws {
        guard mkdir(path, 0o755) == 0 || errno == EEXIST else { throw SystemError("mkdir", path) }
    }
}
