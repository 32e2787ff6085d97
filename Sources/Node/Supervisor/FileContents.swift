import CRoost
import Glibc
import Model

/// A failed system call.
struct SystemError: Error, CustomStringConvertible {
    let call: String
    let path: String
    let code: Int32

    init(_ call: String, _ path: String, code: Int32 = errno) {
        self.call = call
        self.path = path
        self.code = code
    }

    var reason: String { String(cString: strerror(code)) }
    var description: String { "\(call) \(path): \(reason)" }
}

/// Small files of the supervisor, without Foundation: the shim must stay small.
enum FileContents {
    /// The content, or nil when there is no such file.
    static func read(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT || errno == ENOTDIR { return nil }
            throw SystemError("open", path)
        }
        defer { close(descriptor) }
        var content: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 8192)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == 0 { return content }
            guard count > 0 else {
                if errno == EINTR { continue }
                // Files of processes and control groups vanish between open and read.
                if errno == ESRCH || errno == ENODEV { return nil }
                throw SystemError("read", path)
            }
            content.append(contentsOf: chunk[0..<count])
            guard content.count <= bytesMax else { throw SystemError("read", path, code: EFBIG) }
        }
    }

    static func text(_ path: String, bytesMax: Int = 65_536) -> String? {
        // A file that cannot be read says as much as one that is not there: these are probes of /proc and of control
        // groups, whose owners come and go.
        guard let bytes = try? read(path, bytesMax: bytesMax) else { return nil }
        return String(decoding: bytes, as: UTF8.self)
    }

    static func number(_ path: String) -> Int64? {
        guard let text = text(path) else { return nil }
        return Int64(text.prefix { $0 != "\n" && $0 != " " })
    }

    /// Writes to an existing file, such as a control group's.
    static func put(_ path: String, _ text: String) throws(SystemError) {
        let descriptor = open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw SystemError("open", path) }
        defer { close(descriptor) }
        try writeAll(descriptor, Array(text.utf8), path)
    }

    /// Replaces a file by way of a temporary one in the same folder; `durable` also survives a power cut.
    static func replace(_ path: String, _ bytes: [UInt8], mode: mode_t, durable: Bool) throws(SystemError) {
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode)
        guard descriptor >= 0 else { throw SystemError("open", temporary) }
        do throws(SystemError) {
            defer { close(descriptor) }
            try writeAll(descriptor, bytes, temporary)
            if durable, fsync(descriptor) != 0 { throw SystemError("fsync", temporary) }
        } catch {
            unlink(temporary)
            throw error
        }
        guard rename(temporary, path) == 0 else {
            let failure = SystemError("rename", path)
            unlink(temporary)
            throw failure
        }
        if durable { syncFolder(of: path) }
    }

    /// Makes the folder and those above it.
    static func makeFolders(_ path: String, mode: mode_t) throws(SystemError) {
        if mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let slash = path.lastIndex(of: "/"), slash != path.startIndex else {
            throw SystemError("mkdir", path)
        }
        try makeFolders(String(path[..<slash]), mode: 0o755)
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw SystemError("mkdir", path) }
    }

    /// Names in a folder without `.` and `..`; empty when there is none.
    static func names(_ folder: String) -> [String] {
        guard let directory = opendir(folder) else { return [] }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

    static func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws(SystemError) {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress! + offset, bytes.count - offset) }
            guard count >= 0 else {
                if errno == EINTR { continue }
                throw SystemError("write", path)
            }
            offset += count
        }
    }

    private static func syncFolder(of path: String) {
        guard let slash = path.lastIndex(of: "/") else { return }
        let descriptor = open(String(path[..<slash]), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}
