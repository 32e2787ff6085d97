import Glibc
import Model

/// Appends to `current.log` and rotates it by size, so that a unit never holds more than
/// `sizeMaxBytes * filesMax` on disk, whatever it writes.
struct LogWriter {
    private let folder: String
    private let sizeMaxBytes: Int
    private let filesMax: Int
    private var descriptor: Int32 = -1
    private var sizeBytes = 0

    init(folder: String, sizeMaxBytes: Int, filesMax: Int) {
        self.folder = folder
        self.sizeMaxBytes = sizeMaxBytes
        self.filesMax = filesMax
    }

    private var current: String { "\(folder)/current.log" }

    /// Writes the bytes; what the disk cannot take is dropped, since the application must not hang on its log.
    mutating func write(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            guard descriptor >= 0 || openCurrent() else { return }
            let room = sizeMaxBytes - sizeBytes
            if room <= 0 {
                rotate()
                continue
            }
            var part = rest.prefix(room)
            // Cut between lines where a line ends in reach.
            if part.count < rest.count, let newline = part.lastIndex(of: UInt8(ascii: "\n")) {
                part = rest[rest.startIndex...newline]
            }
            guard append(UnsafeRawBufferPointer(rebasing: part)) else { return }
            rest = rest[part.endIndex...]
            if !rest.isEmpty { rotate() }
        }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset < bytes.count {
            let count = Glibc.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return false }
            offset += count
            sizeBytes += count
        }
        return true
    }

    private mutating func openCurrent() -> Bool {
        do {
            try FileContents.makeFolders(folder, mode: 0o750)
        } catch {
            return false
        }
        descriptor = open(current, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o640)
        guard descriptor >= 0 else { return false }
        var info = stat()
        sizeBytes = fstat(descriptor, &info) == 0 ? Int(info.st_size) : 0
        return true
    }

    private mutating func rotate() {
        if descriptor >= 0 { close(descriptor) }
        descriptor = -1
        sizeBytes = 0
        guard filesMax > 1 else {
            unlink(current)
            return
        }
        // The oldest is overwritten by the rename.
        for number in stride(from: filesMax - 2, to: 0, by: -1) {
            rename("\(folder)/\(number).log", "\(folder)/\(number + 1).log")
        }
        rename(current, "\(folder)/1.log")
    }
}
