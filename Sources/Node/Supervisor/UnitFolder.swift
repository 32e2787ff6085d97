import CRoost
import Glibc
import Model

/// Files of one unit: `spec.json`, `status.json`, `lock`, and `stop` while it is being stopped.
///
/// Whoever holds an exclusive flock on `lock` owns the unit: its shim for as long as it lives, and for moments those
/// who start or clean up. The lock passes from starter to shim by inheritance, so there is no gap between them.
struct UnitFolder {
    let path: String
    let id: String

    init(root: String, id: String) {
        path = "\(root)/units/\(id)"
        self.id = id
    }

    /// The folder that holds a spec file.
    init?(specPath: String) {
        guard specPath.hasSuffix("/spec.json") else { return nil }
        path = String(specPath.dropLast("/spec.json".utf8.count))
        guard let slash = path.lastIndex(of: "/") else { return nil }
        id = String(path[path.index(after: slash)...])
    }

    var specPath: String { "\(path)/spec.json" }
    var lockPath: String { "\(path)/lock" }
    var stopPath: String { "\(path)/stop" }
    private var statusPath: String { "\(path)/status.json" }

    /// Name of the unit's control group: the same id may exist under another root.
    var groupName: String {
        let hash = path.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
        return "\(String(hash, radix: 16))-\(id)"
    }

    /// In the environment of every process of the unit; finds those that outlived their shim where there are no
    /// control groups.
    var marker: (name: String, value: String) { ("ROOST_UNIT", path) }

    static func ids(root: String) -> [String] {
        FileContents.names("\(root)/units").filter { UnitSpec.idFlaw($0) == nil }.sorted()
    }

    func readSpec() throws -> UnitSpec? {
        guard let bytes = try FileContents.read(specPath, bytesMax: 4_194_304) else { return nil }
        return try UnitSpecJSON.decode(try JSONParser.parse(bytes))
    }

    func writeSpec(_ spec: UnitSpec, durable: Bool) throws(SystemError) {
        try FileContents.replace(specPath, UnitSpecJSON.encode(spec).canonicalBytes, mode: 0o600, durable: durable)
    }

    func readRecord() -> UnitRecord? {
        for _ in 0..<3 {
            guard let text = FileContents.text(statusPath) else { return nil }
            // Unreadable only while a full disk makes the shim write in place; see `writeRecord`.
            if let value = try? JSONParser.parse(text), let record = UnitRecord(json: value) { return record }
            usleep(1000)
        }
        return nil
    }

    func writeRecord(_ record: UnitRecord) throws(SystemError) {
        let bytes = record.json.canonicalBytes
        do throws(SystemError) {
            try FileContents.replace(statusPath, bytes, mode: 0o600, durable: false)
        } catch  where error.code == ENOSPC || error.code == EDQUOT {
            try overwriteRecord(bytes)
        }
    }

    /// On a full disk: into the blocks that the file has already. White space fills it up to what was there.
    private func overwriteRecord(_ bytes: [UInt8]) throws(SystemError) {
        let descriptor = open(statusPath, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", statusPath) }
        defer { close(descriptor) }
        var info = stat()
        guard fstat(descriptor, &info) == 0 else { throw SystemError("fstat", statusPath) }
        let padding = max(0, Int(info.st_size) - bytes.count)
        try FileContents.writeAll(descriptor, bytes + [UInt8](repeating: 0x20, count: padding), statusPath)
    }

    /// Removes the folder. Without `spec.json` it is no unit any more, so that goes first.
    func remove() {
        for name in ["spec.json", "status.json", "shim.log", "stop"] { unlink("\(path)/\(name)") }
        for name in FileContents.names(path) where name.hasSuffix(".tmp") { unlink("\(path)/\(name)") }
        unlink(lockPath)
        rmdir(path)
    }

    /// The unit's lock, or nil when somebody else holds it. `makingFolder` is for those who start: others may remove
    /// the folder of a unit that died at any moment.
    func tryLock(makingFolder: Bool = false) throws(SystemError) -> Int32? {
        for _ in 0..<1000 {
            let descriptor = open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
            guard descriptor >= 0 else {
                guard errno == ENOENT, makingFolder else { throw SystemError("open", lockPath) }
                try FileContents.makeFolders(path, mode: 0o700)
                continue
            }
            if flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
                let failure = SystemError("flock", lockPath)
                close(descriptor)
                if failure.code == EWOULDBLOCK { return nil }
                throw failure
            }
            if isLockFile(descriptor) { return descriptor }
            // The unit was removed between open and flock.
            close(descriptor)
        }
        throw SystemError("flock", lockPath, code: EAGAIN)
    }

    /// Runs `body`; it is fine when the folder goes away under it, since somebody else cleaned up then. It is run again
    /// when there is a new folder by then.
    func whileThere(_ body: () throws -> Void) throws {
        for _ in 0..<100 {
            do {
                return try body()
            } catch let error as SystemError where error.code == ENOENT {
                guard FileContents.exists(path) else { return }
            }
        }
        try body()
    }

    /// Whether the descriptor is the lock file that is in the folder now.
    func isLockFile(_ descriptor: Int32) -> Bool {
        var held = stat()
        var named = stat()
        return fstat(descriptor, &held) == 0 && stat(lockPath, &named) == 0 && held.st_ino == named.st_ino
            && held.st_dev == named.st_dev
    }

    func isShim(_ identity: ProcessIdentity?) -> Bool { ProcessTable.isShim(identity, specPath: specPath) }

    /// Kills what is left of a unit whose shim is gone. The caller holds the lock.
    func killOrphans(_ record: UnitRecord?) -> Bool {
        for attempt in 0..<400 {
            var pids = Set(ProcessTable.orphans(app: record?.app, marker: "\(marker.name)=\(marker.value)"))
            if let folder = record?.processGroup, folder.hasSuffix("/\(groupName)") {
                pids.formUnion(ControlGroup.processes(in: folder))
            }
            if pids.isEmpty { return true }
            for pid in pids { kill(pid, SIGKILL) }
            usleep(attempt < 20 ? 2000 : 10_000)
        }
        return false
    }
}
