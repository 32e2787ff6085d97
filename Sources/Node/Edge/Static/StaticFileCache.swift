import Glibc
import Model
import NIOCore

/// Small files of one event loop, in memory for a second at a time before the disk is asked again whether they changed.
final class StaticFileCache {
    static let fileBytesMax = 64 * 1024
    static let bytesMax = 32 * 1024 * 1024
    static let trustedFor: UInt64 = 1_000_000_000

    struct Key: Hashable {
        var folder: String
        var path: [UInt8]
    }

    struct Entry {
        var content: ByteBuffer
        var etag: String
        var lastModified: String
        var mediaType: String
        var checkedAt: UInt64
    }

    private var entries: [Key: Entry] = [:]
    /// Compressed siblings that were not there, and when that was seen.
    private var absent: [Key: UInt64] = [:]
    private var bytes = 0

    func isAbsent(_ key: Key, now: UInt64) -> Bool {
        absent[key].map { now &- $0 < Self.trustedFor } ?? false
    }

    func noteAbsent(_ key: Key, now: UInt64) {
        if absent.count >= 10_000 { absent = [:] }
        absent[key] = now
    }

    func find(_ key: Key, now: UInt64) -> Entry? {
        guard let entry = entries[key], now &- entry.checkedAt < Self.trustedFor else { return nil }
        return entry
    }

    /// Content of a small file, from memory when it is still the same.
    func load(_ file: StaticFolder.OpenedFile, _ key: Key, now: UInt64) -> Entry? {
        let etag = StaticAnswer.etag(
            size: file.size, seconds: file.modifiedSeconds, nanoseconds: file.modifiedNanoseconds)
        if var known = entries[key], known.etag == etag {
            known.checkedAt = now
            entries[key] = known
            return known
        }
        guard let content = Self.read(file) else { return nil }
        let entry = Entry(
            content: content, etag: etag,
            lastModified: Timestamp(millisecondsSinceEpoch: Int64(file.modifiedSeconds) * 1000).httpDate,
            mediaType: MediaTypes.type(ofFile: file.name), checkedAt: now)
        if let former = entries[key] { bytes -= former.content.readableBytes }
        if bytes + content.readableBytes > Self.bytesMax || entries.count >= 10_000 {
            entries = [:]
            bytes = 0
        }
        entries[key] = entry
        bytes += content.readableBytes
        return entry
    }

    private static func read(_ file: StaticFolder.OpenedFile) -> ByteBuffer? {
        var buffer = ByteBufferAllocator().buffer(capacity: max(file.size, 1))
        while buffer.readableBytes < file.size {
            let wanted = file.size - buffer.readableBytes
            let got = buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: wanted) { space in
                max(0, Glibc.read(file.descriptor, space.baseAddress, wanted))
            }
            // It shrank while it was read, or the disk failed.
            if got == 0 { return nil }
        }
        return buffer
    }
}
