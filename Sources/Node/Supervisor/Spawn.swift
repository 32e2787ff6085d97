import CRoost
import Glibc

/// A program to start; see `croost_spawn_plan`.
public struct Spawn {
    public var argv: [String]
    public var environment: [String] = []
    public var searchPath: String?
    public var workingDirectory: String?
    public var input: Int32 = -1
    public var output: Int32 = -1
    public var errors: Int32 = -1
    /// Becomes descriptor 3 of the child.
    public var kept: Int32 = -1
    public var newSession = true
    public var detach = false
    public var identity: UserIdentity?
    public var join: [String] = []
    public var noNewPrivileges = false
    public var openFiles: UInt64 = 0
    /// Killed when the thread that started it ends, as it does when this process is killed.
    public var diesWithCaller = false

    public init(argv: [String], environment: [String] = [], searchPath: String? = nil) {
        self.argv = argv
        self.environment = environment
        self.searchPath = searchPath
    }

    /// Where it failed: a step of `croost_spawn_step`, and errno.
    public struct Failure: Error {
        public let step: Int32
        public let code: Int32
        public var reason: String { String(cString: strerror(code)) }
    }

    /// Starts the program and returns once it runs (or failed to).
    /// - Returns: Its process id.
    public func run() throws(Failure) -> Int32 {
        let program = argv[0]
        var candidates = [program]
        if !program.utf8.contains(UInt8(ascii: "/")) {
            let path = searchPath ?? "/usr/local/bin:/usr/bin:/bin"
            candidates = path.split(separator: ":").map { "\($0)/\(program)" }
        }
        var plan = croost_spawn_plan()
        plan.stdio = (input, output, errors)
        plan.keep_fd = kept
        plan.new_session = newSession ? 1 : 0
        plan.detach = detach ? 1 : 0
        plan.no_new_privileges = noNewPrivileges ? 1 : 0
        plan.open_files = openFiles
        plan.die_with_caller = diesWithCaller ? 1 : 0
        let folder = workingDirectory.map { strdup($0) } ?? nil
        let lists = [candidates, argv, environment, join].map(CStringList.init)
        defer {
            free(folder)
            for list in lists { list.free() }
        }
        plan.candidates = UnsafePointer(lists[0].pointer)
        plan.argv = UnsafePointer(lists[1].pointer)
        plan.envp = UnsafePointer(lists[2].pointer)
        plan.join = UnsafePointer(lists[3].pointer)
        plan.cwd = folder.map { UnsafePointer($0) }
        var pid: pid_t = 0
        var step: Int32 = 0
        let groups = identity?.groups ?? []
        let code = groups.withUnsafeBufferPointer { groups in
            if let identity {
                plan.set_ids = 1
                plan.uid = identity.user
                plan.gid = identity.group
                plan.groups = groups.baseAddress
                plan.group_count = Int32(groups.count)
            }
            return croost_spawn(&plan, &pid, &step)
        }
        guard code == 0 else { throw Failure(step: step, code: code) }
        return pid
    }
}

/// A NULL-terminated array of C strings.
private struct CStringList {
    let pointer: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>
    private let count: Int

    init(_ strings: [String]) {
        count = strings.count
        pointer = .allocate(capacity: count + 1)
        for (index, string) in strings.enumerated() { pointer[index] = strdup(string) }
        pointer[count] = nil
    }

    func free() {
        for index in 0..<count { Glibc.free(pointer[index]) }
        pointer.deallocate()
    }
}

/// Ids of an account.
public struct UserIdentity: Equatable, Sendable {
    public var user: UInt32
    public var group: UInt32
    public var groups: [UInt32]

    /// Nil when there is no such account.
    public static func find(_ name: String) -> UserIdentity? {
        var record = passwd()
        var found: UnsafeMutablePointer<passwd>?
        var buffer = [CChar](repeating: 0, count: 16_384)
        guard getpwnam_r(name, &record, &buffer, buffer.count, &found) == 0, found != nil else { return nil }
        var count: Int32 = 64
        var groups = [gid_t](repeating: 0, count: Int(count))
        if getgrouplist(name, record.pw_gid, &groups, &count) < 0 {
            groups = [gid_t](repeating: 0, count: Int(count))
            guard getgrouplist(name, record.pw_gid, &groups, &count) >= 0 else { return nil }
        }
        return UserIdentity(
            user: record.pw_uid, group: record.pw_gid, groups: Array(groups.prefix(Int(count))))
    }
}
