import Glibc
import Host
import Model

/// Whole trees, by folder descriptors: whoever owns a part of the tree cannot swap a folder for a link meanwhile.
enum FileTree {
    /// Open folders at a time. Deeper trees are still removed, but not given away.
    private static let depthMax = 128

    /// Removes a file or a tree of any depth; fine when there is none.
    static func remove(_ path: String) throws {
        if unlink(path) == 0 || errno == ENOENT || errno == ENOTDIR { return }
        guard errno == EISDIR || errno == EPERM else { throw systemProblem("unlink", path) }
        let root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard root >= 0 else { throw systemProblem("open", path) }
        defer { close(root) }
        var moved = 0
        while true {
            let names = try names(in: root, path)
            if names.isEmpty { break }
            for name in names { try remove(name, in: root, root: root, depth: 1, moved: &moved, shown: path) }
        }
        guard rmdir(path) == 0 || errno == ENOENT else { throw systemProblem("rmdir", path) }
    }

    /// Removes one entry. What is nested too deeply is moved up to the root, whose next round finds it.
    private static func remove(
        _ name: String, in folder: Int32, root: Int32, depth: Int, moved: inout Int, shown: String
    ) throws {
        if unlinkat(folder, name, 0) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else { throw systemProblem("unlink", "\(shown)/…/\(name)") }
        guard depth < depthMax else {
            moved += 1
            guard renameat(folder, name, root, ".deep-\(getpid())-\(moved)") == 0 else {
                throw systemProblem("rename", "\(shown)/…/\(name)")
            }
            return
        }
        let descriptor = try openForRemoval(name, in: folder, shown: "\(shown)/…/\(name)")
        defer { close(descriptor) }
        for entry in try names(in: descriptor, shown) {
            try remove(entry, in: descriptor, root: root, depth: depth + 1, moved: &moved, shown: shown)
        }
        guard unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT else {
            throw systemProblem("rmdir", "\(shown)/…/\(name)")
        }
    }

    /// Package caches are often write-protected, which stops everybody but root.
    private static func openForRemoval(_ name: String, in folder: Int32, shown: String) throws -> Int32 {
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        var descriptor = openat(folder, name, flags)
        if descriptor < 0, errno == EACCES, fchmodat(folder, name, 0o700, 0) == 0 {
            descriptor = openat(folder, name, flags)
        }
        guard descriptor >= 0 else { throw systemProblem("open", shown) }
        if geteuid() != 0 { fchmod(descriptor, 0o700) }
        return descriptor
    }

    /// - Throws: `too_large` for a tree that is nested too deeply.
    static func give(_ path: String, user: uid_t, group: gid_t) throws {
        var info = stat()
        guard lstat(path, &info) == 0 else { throw systemProblem("lstat", path) }
        if info.st_mode & S_IFMT == S_IFDIR {
            let root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard root >= 0 else { throw systemProblem("open", path) }
            defer { close(root) }
            try giveContents(of: root, user: user, group: group, depth: 1, shown: path)
        }
        guard lchown(path, user, group) == 0 else { throw systemProblem("chown", path) }
    }

    private static func giveContents(of folder: Int32, user: uid_t, group: gid_t, depth: Int, shown: String) throws {
        guard depth < depthMax else {
            throw Problem(.tooLarge, "\(shown) has folders nested more than \(depthMax) deep.")
        }
        for name in try names(in: folder, shown) {
            var info = stat()
            guard fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            if info.st_mode & S_IFMT == S_IFDIR {
                let descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                guard descriptor >= 0 else { throw systemProblem("open", "\(shown)/…/\(name)") }
                defer { close(descriptor) }
                try giveContents(of: descriptor, user: user, group: group, depth: depth + 1, shown: shown)
            }
            guard fchownat(folder, name, user, group, AT_SYMLINK_NOFOLLOW) == 0 || errno == ENOENT else {
                throw systemProblem("chown", "\(shown)/…/\(name)")
            }
        }
    }

    /// Counts files and links and adds up sizes; what is nested deeper than other calls go is not counted.
    static func measure(_ path: String) throws -> TreeSize {
        let root = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard root >= 0 else { throw systemProblem("open", path) }
        defer { close(root) }
        var size = TreeSize()
        try measure(root, depth: 1, shown: path, &size)
        return size
    }

    private static func measure(_ folder: Int32, depth: Int, shown: String, _ size: inout TreeSize) throws {
        for name in try names(in: folder, shown) where depth > 1 || name != ".git" {
            var info = stat()
            // Gone meanwhile: nothing to count.
            guard fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) == 0 else { continue }
            guard info.st_mode & S_IFMT == S_IFDIR else {
                size.files += 1
                if info.st_mode & S_IFMT == S_IFREG { size.bytes += Int64(info.st_size) }
                continue
            }
            guard depth < depthMax else { continue }
            let descriptor = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else {
                if errno == ENOENT || errno == EACCES { continue }
                throw systemProblem("open", "\(shown)/…/\(name)")
            }
            defer { close(descriptor) }
            try measure(descriptor, depth: depth + 1, shown: shown, &size)
        }
    }

    /// Names in an open folder, from its beginning.
    private static func names(in folder: Int32, _ shown: String) throws -> [String] {
        let copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { throw systemProblem("open", shown) }
        guard let directory = fdopendir(copy) else {
            close(copy)
            throw systemProblem("opendir", shown)
        }
        defer { closedir(directory) }
        return FileCalls.names(directory)
    }
}
