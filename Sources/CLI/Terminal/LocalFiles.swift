import Glibc
import Model

/// Files of the person who runs the command.
enum LocalFiles {
    /// Reads a whole file, or standard input for `-`.
    ///
    /// - Throws: `not_found`, `too_large`, `unavailable`.
    static func read(_ path: String, bytesMax: Int) throws(Problem) -> String {
        let isInput = path == "-"
        let descriptor = isInput ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw Problem(.notFound, "\(path) cannot be read: \(reason(errno)).") }
        defer { if !isInput { close(descriptor) } }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw Problem(.unavailable, "\(path) cannot be read: \(reason(errno)).") }
            if count == 0 { break }
            bytes += buffer[..<count]
            guard bytes.count <= bytesMax else {
                throw Problem(.tooLarge, "\(path) has more than \(ByteCount.text(Int64(bytesMax))).")
            }
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw Problem(.invalid, "\(path) is not valid UTF-8.")
        }
        return text
    }

    /// Replaces a file in one step; nobody but its owner can read it.
    static func writePrivate(_ text: String, to path: String) throws(Problem) {
        let folder = path.split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
        try makeFolders(folder)
        let temporary = "\(path).\(getpid()).tmp"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw Problem(.storage, "\(temporary) cannot be made: \(reason(errno)).") }
        var bytes = Array(text.utf8)[...]
        var failure: Int32 = 0
        while !bytes.isEmpty, failure == 0 {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count > 0 { bytes.removeFirst(count) } else if errno != EINTR { failure = errno }
        }
        if failure == 0, fsync(descriptor) != 0 { failure = errno }
        close(descriptor)
        if failure == 0, rename(temporary, path) != 0 { failure = errno }
        guard failure == 0 else {
            unlink(temporary)
            throw Problem(.storage, "\(path) cannot be written: \(reason(failure)).")
        }
    }

    private static func makeFolders(_ folder: String) throws(Problem) {
        var path = ""
        for part in folder.split(separator: "/", omittingEmptySubsequences: true) {
            path += "/\(part)"
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw Problem(.storage, "\(path) cannot be made: \(reason(errno)).")
            }
        }
    }

    private static func reason(_ code: Int32) -> String { String(cString: strerror(code)) }
}
