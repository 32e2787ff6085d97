import Glibc
import Model

/// The control group of a unit: cgroup v2, or the v1 controllers memory, cpu and pids.
struct ControlGroup {
    /// Every folder that belongs to the unit.
    private(set) var folders: [String] = []
    /// Holds exactly the unit's processes.
    private(set) var processFolder: String?
    /// Counts the unit's memory, and limits it when `limitsMemory`.
    private(set) var memoryFolder: String?
    private(set) var limitsMemory = false
    /// False for a group that systemd made and will remove.
    let isOurs: Bool

    /// Files into which a process writes itself to join.
    var joinFiles: [String] { isOurs ? folders.map { "\($0)/cgroup.procs" } : [] }

    private init(isOurs: Bool) { self.isOurs = isOurs }

    /// Where systems mount control groups.
    static let systemRoot = "/sys/fs/cgroup"

    /// Makes the group where this process may, and sets the limits as far as the kernel offers them.
    ///
    /// - Parameter root: Another place than the system's, for tests.
    static func make(name: String, spec: UnitSpec, root: String = systemRoot) -> ControlGroup? {
        guard geteuid() == 0 else { return nil }
        let group =
            FileContents.exists("\(root)/cgroup.controllers")
            ? makeUnified(name: name, spec: spec, root) : makeSplit(name: name, spec: spec, root)
        return group.folders.isEmpty ? nil : group
    }

    private static func makeUnified(name: String, spec: UnitSpec, _ root: String) -> ControlGroup {
        var group = ControlGroup(isOurs: true)
        let base = "\(root)/roost"
        let folder = "\(base)/\(name)"
        guard mkdir(base, 0o755) == 0 || errno == EEXIST else { return group }
        let controllers = spec.cpuQuota == nil ? ["memory", "pids"] : ["memory", "cpu", "pids"]
        for controller in controllers {
            // One by one: in a container some may be missing, and then the rest must still be had.
            for parent in [root, base] {
                try? FileContents.put("\(parent)/cgroup.subtree_control", "+\(controller)")
            }
        }
        guard mkdir(folder, 0o755) == 0 || errno == EEXIST else { return group }
        group.folders = [folder]
        group.processFolder = folder
        if FileContents.exists("\(folder)/memory.max") {
            group.memoryFolder = folder
            group.limitsMemory = set("\(folder)/memory.max", spec.memoryMaxBytes)
            if spec.memoryMaxBytes != nil { _ = set("\(folder)/memory.swap.max", 0) }
        }
        if let quota = spec.cpuQuota {
            _ = put("\(base)/cpu.weight", "800")
            _ = put("\(folder)/cpu.max", "\(Int64(quota * 100_000)) 100000")
        }
        _ = set("\(folder)/pids.max", spec.tasksMax.map(Int64.init))
        return group
    }

    private static func makeSplit(name: String, spec: UnitSpec, _ root: String) -> ControlGroup {
        var group = ControlGroup(isOurs: true)
        // Without a quota a unit stays where the scheduler weighs it like every other process.
        let controllers = spec.cpuQuota == nil ? ["memory", "pids"] : ["memory", "cpu", "pids"]
        for controller in controllers {
            let base = "\(root)/\(controller)/roost"
            let folder = "\(base)/\(name)"
            guard FileContents.exists("\(root)/\(controller)/cgroup.procs"),
                mkdir(base, 0o755) == 0 || errno == EEXIST, mkdir(folder, 0o755) == 0 || errno == EEXIST
            else { continue }
            group.folders.append(folder)
            group.processFolder = group.processFolder ?? folder
            switch controller {
            case "memory":
                group.memoryFolder = folder
                group.limitsMemory = set("\(folder)/memory.limit_in_bytes", spec.memoryMaxBytes)
                // Memory and swap together; missing where swap is not accounted.
                _ = set("\(folder)/memory.memsw.limit_in_bytes", spec.memoryMaxBytes)
            case "cpu":
                guard let quota = spec.cpuQuota else { continue }
                // All limited units together weigh as much as eight processes beside them.
                _ = put("\(base)/cpu.shares", "8192")
                _ = put("\(folder)/cpu.cfs_period_us", "100000")
                _ = put("\(folder)/cpu.cfs_quota_us", "\(Int64(quota * 100_000))")
            default:
                _ = set("\(folder)/pids.max", spec.tasksMax.map(Int64.init))
            }
        }
        return group
    }

    /// The group of this very process when systemd started it as the unit's service.
    ///
    /// - Parameters:
    ///   - root, membership: Others than the system's, for tests; the latter as in cgroups(7).
    static func ofService(
        _ service: String, root: String = systemRoot, membership: String? = FileContents.text("/proc/self/cgroup")
    ) -> ControlGroup? {
        guard let text = membership else { return nil }
        var group = ControlGroup(isOurs: false)
        for line in text.split(separator: "\n") {
            let parts = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard parts.count == 3, parts[2].hasSuffix("/\(service)") else { continue }
            let controllers = parts[1].split(separator: ",")
            let path = String(parts[2])
            if controllers.isEmpty {
                let unified = FileContents.exists("\(root)/cgroup.controllers")
                let folder = (unified ? root : "\(root)/unified") + path
                if unified || group.processFolder == nil { group.processFolder = folder }
                if unified, FileContents.exists("\(folder)/memory.max") { group.memoryFolder = folder }
            } else if controllers.contains("name=systemd") {
                group.processFolder = "\(root)/systemd\(path)"
            } else if controllers.contains("memory") {
                group.memoryFolder = "\(root)/memory\(path)"
            }
        }
        guard let folder = group.processFolder, FileContents.exists("\(folder)/cgroup.procs") else { return nil }
        if let memory = group.memoryFolder, !FileContents.exists("\(memory)/cgroup.procs") {
            group.memoryFolder = nil
        }
        group.limitsMemory = group.memoryFolder != nil
        return group
    }

    /// Processes in the group other than this one.
    var processes: [Int32] { processFolder.map(Self.processes(in:)) ?? [] }

    static func processes(in folder: String) -> [Int32] {
        guard let text = FileContents.text("\(folder)/cgroup.procs", bytesMax: 1_048_576) else { return [] }
        return text.split(separator: "\n").compactMap { Int32($0) }.filter { $0 != getpid() && $0 > 0 }
    }

    /// Times that the kernel killed a process of the group for want of memory.
    var memoryKills: Int64 {
        guard let memoryFolder else { return 0 }
        for file in ["memory.events", "memory.oom_control"] {
            guard let text = FileContents.text("\(memoryFolder)/\(file)") else { continue }
            for line in text.split(separator: "\n") where line.hasPrefix("oom_kill ") {
                return Int64(line.dropFirst("oom_kill ".utf8.count)) ?? 0
            }
        }
        return 0
    }

    /// Memory in use without the page cache that the kernel would give up at once.
    static func memoryBytes(in folder: String) -> Int64? {
        let used =
            FileContents.number("\(folder)/memory.current")
            ?? FileContents.number("\(folder)/memory.usage_in_bytes")
        guard let used else { return nil }
        let lines = (FileContents.text("\(folder)/memory.stat") ?? "").split(separator: "\n")
        let cached =
            lines.first { $0.hasPrefix("total_inactive_file ") }
            ?? lines.first { $0.hasPrefix("inactive_file ") }
        let cache = cached.flatMap { $0.split(separator: " ").last }.flatMap { Int64($0) } ?? 0
        return max(0, used - cache)
    }

    /// Removes the empty group; the kernel may need a moment after the last process.
    func remove() {
        guard isOurs else { return }
        for folder in folders { Self.remove(folder) }
    }

    static func remove(_ folder: String) {
        for _ in 0..<100 {
            if rmdir(folder) == 0 || errno != EBUSY { return }
            usleep(2000)
        }
    }

    private static func set(_ path: String, _ value: Int64?) -> Bool {
        guard let value else { return false }
        return put(path, "\(value)")
    }

    private static func put(_ path: String, _ text: String) -> Bool {
        do {
            try FileContents.put(path, text)
            return true
        } catch {
            return false
        }
    }
}
