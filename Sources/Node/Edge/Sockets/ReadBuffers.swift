import NIOCore

/// How much one read of a socket may bring. It grows with what comes, and shrinks again.
struct ReadSize {
    static let least = 2048
    static let most = 65536

    private(set) var bytes = ReadSize.least
    private var smallCount: UInt8 = 0

    @inline(__always)
    mutating func note(_ count: Int) {
        if count == bytes {
            bytes = min(Self.most, bytes * 4)
            smallCount = 0
        } else if bytes > Self.least, count < bytes / 4 {
            smallCount += 1
            guard smallCount >= 4 else { return }
            bytes = max(Self.least, bytes / 4)
            smallCount = 0
        }
    }
}

/// Memory for reading that was given back, the last on top, where it may still be in the cache. To ask the system for
/// large pieces anew costs more than to read them.
struct SpareBuffers {
    private static let smallMax = 512
    private static let largeMax = 128

    private var small: [ByteBuffer] = []
    private var large: [ByteBuffer] = []

    @inline(__always)
    mutating func take(_ bytes: Int) -> ByteBuffer {
        let spare =
            switch bytes {
            case ReadSize.least: small.popLast()
            case ReadSize.most: large.popLast()
            default: nil as ByteBuffer?
            }
        guard var buffer = spare else { return ByteBufferAllocator().buffer(capacity: bytes) }
        // Another one comes of it when somebody still uses this one.
        buffer.clear()
        return buffer
    }

    @inline(__always)
    mutating func give(_ buffer: consuming ByteBuffer) {
        // A slice may be as long and hold much more.
        guard buffer.capacity == buffer.storageCapacity else { return }
        if buffer.capacity == ReadSize.least {
            if small.count < Self.smallMax { small.append(buffer) }
        } else if buffer.capacity == ReadSize.most, large.count < Self.largeMax {
            large.append(buffer)
        }
    }

    mutating func trim() { large.removeLast((large.count + 1) / 2) }
}
