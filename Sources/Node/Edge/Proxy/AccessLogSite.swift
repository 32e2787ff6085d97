import Glibc

/// Which site a line of the access log is of.
enum AccessLogSite {
    private static let begin = Array(",\"site\":\"".utf8)

    /// The member that names the site; empty for none.
    static func member(_ siteId: String?) -> [UInt8] {
        guard let siteId else { return [] }
        return begin + Array(siteId.utf8) + [UInt8(ascii: "\"")]
    }

    /// Whether a line is of one of these sites, or of none. No client can write such a member: quotation marks of what
    /// it sends are escaped.
    static func isKept(_ line: UnsafeRawBufferPointer, _ sites: Set<String>) -> Bool {
        var rest = line
        while let start = rest.baseAddress, let comma = memchr(start, Int32(begin[0]), rest.count) {
            let at = UnsafeRawPointer(comma) - start
            guard at + begin.count <= rest.count else { break }
            if memcmp(comma, begin, begin.count) == 0 {
                let id = rest[(at + begin.count)...].prefix { $0 != UInt8(ascii: "\"") }
                return sites.contains(String(decoding: id, as: UTF8.self))
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[(at + 1)...])
        }
        return true
    }
}

/// Takes the lines of sites that are gone out of one file. The file is replaced as a whole and only if there is
/// something to take out, so that a power cut leaves the one or the other.
struct AccessLogPurge {
    private static let blockBytes = 1024 * 1024

    private let path: String
    private let sites: Set<String>
    private let source: Int32
    private var output: Int32 = -1
    private var block = [UInt8](repeating: 0, count: Self.blockBytes)
    /// Where the block is in the file.
    private var blockStart = 0

    /// - Returns: 0, or the number of the system's error; the file is as it was then.
    static func run(_ path: String, keeping sites: Set<String>) -> Int32 {
        let source = open(path, O_RDONLY | O_CLOEXEC)
        guard source >= 0 else { return errno == ENOENT ? 0 : errno }
        var purge = AccessLogPurge(path: path, sites: sites, source: source)
        var failure = purge.read()
        if purge.output >= 0 {
            close(purge.output)
            if failure == 0, rename(purge.temporaryPath, path) != 0 { failure = errno }
            if failure != 0 { unlink(purge.temporaryPath) }
        }
        close(source)
        return failure
    }

    private init(path: String, sites: Set<String>, source: Int32) {
        (self.path, self.sites, self.source) = (path, sites, source)
    }

    private var temporaryPath: String { path + ".purge" }

    private mutating func read() -> Int32 {
        var filled = 0
        while true {
            if filled == block.count { block += [UInt8](repeating: 0, count: block.count) }
            let count = block.withUnsafeMutableBytes {
                Glibc.read(source, $0.baseAddress! + filled, $0.count - filled)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return errno }
            filled += count
            // A last line without an end is one that was cut off; nobody can say whose it is.
            let end = count == 0 ? filled : (block[..<filled].lastIndex(of: ByteClass.lf) ?? -1) + 1
            let failure = take(end)
            if failure != 0 || count == 0 { return failure }
            block.withUnsafeMutableBytes { _ = memmove($0.baseAddress!, $0.baseAddress! + end, filled - end) }
            filled -= end
            blockStart += end
        }
    }

    /// Keeps what is to be kept of the lines up to `end` in the block.
    private mutating func take(_ end: Int) -> Int32 {
        var keptStart = 0
        var at = 0
        while at < end {
            let next = (block[at..<end].firstIndex(of: ByteClass.lf) ?? end - 1) + 1
            let isKept = block[at..<next].withUnsafeBytes { AccessLogSite.isKept($0, sites) }
            if !isKept {
                let failure = output < 0 ? begin(blockStart + at) : write(keptStart, at)
                if failure != 0 { return failure }
                keptStart = next
            }
            at = next
        }
        return output < 0 ? 0 : write(keptStart, end)
    }

    /// Begins the file that takes the place, with the first `count` bytes, all of which are kept.
    private mutating func begin(_ count: Int) -> Int32 {
        output = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o640)
        guard output >= 0 else { return errno }
        var offset = 0
        while offset < count {
            let copied = sendfile(output, source, &offset, count - offset)
            if copied < 0, errno == EINTR { continue }
            guard copied > 0 else { return copied < 0 ? errno : EIO }
        }
        return 0
    }

    private func write(_ start: Int, _ end: Int) -> Int32 {
        var at = start
        while at < end {
            let written = block.withUnsafeBytes { Glibc.write(output, $0.baseAddress! + at, end - at) }
            if written < 0, errno == EINTR { continue }
            guard written > 0 else { return errno }
            at += written
        }
        return 0
    }
}
