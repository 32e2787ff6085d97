import Glibc
import Model

/// The system calls that several file operations share.
enum FileCalls {
    static func check(_ path: String) throws {
        guard path.hasPrefix("/"), !path.utf8.contains(0) else {
            throw Problem.invalid("path", "must be absolute and must not contain NUL bytes")
        }
    }

    static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }

    static func name(of path: String) -> Substring {
        guard let slash = path.lastIndex(of: "/") else { return path[...] }
        return path[path.index(after: slash)...]
    }

    /// Up to `count` bytes; empty at the end.
    static func read(_ descriptor: Int32, count: Int, _ path: String) throws -> [UInt8] {
        var failure: Int32 = 0
        let chunk = [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            var got = Glibc.read(descriptor, buffer.baseAddress, count)
            while got < 0, errno == EINTR { got = Glibc.read(descriptor, buffer.baseAddress, count) }
            if got < 0 { failure = errno }
            initialized = max(0, got)
        }
        guard failure == 0 else { throw systemProblem("read", path, code: failure) }
        return chunk
    }

    static func writeAll(_ descriptor: Int32, _ bytes: [UInt8], _ path: String) throws {
        var offset = 0
        while offset < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress! + offset, bytes.count - offset)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw systemProblem("write", path) }
            offset += count
        }
    }

    static func makeFolders(_ path: String, mode: mode_t) throws {
        var info = stat()
        if stat(path, &info) == 0, info.st_mode & S_IFMT == S_IFDIR { return }
        if path != "/" { try makeFolders(folder(of: path), mode: mode) }
        guard mkdir(path, mode) == 0 || errno == EEXIST else { throw systemProblem("mkdir", path) }
    }

    static func syncFolder(_ folder: String) throws {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw systemProblem("open", folder) }
        defer { close(descriptor) }
        // Some file systems cannot sync a folder, and say so.
        guard fsync(descriptor) == 0 || errno == EINVAL else { throw systemProblem("fsync", folder) }
    }

    static func names(_ folder: String) throws -> [String] {
        guard let directory = opendir(folder) else {
            if errno == ENOENT || errno == ENOTDIR { return [] }
            throw systemProblem("opendir", folder)
        }
        defer { closedir(directory) }
        return names(directory)
    }

    static func names(_ directory: OpaquePointer) -> [String] {
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    static func resolved(_ path: String) -> String? {
        guard let real = realpath(path, nil) else { return nil }
        defer { free(real) }
        return String(cString: real)
    }
}
