import NIOCore

/// Memory that a request needs while it is under way. The loop has it ready and gets it back: with thousands of
/// connections, what was used last is still in the cache, and what hangs on a connection is not.
struct RequestMemory {
    /// The head for the upstream.
    var upstreamHead: ByteBuffer
    /// What the access log will need of the head.
    var logLine: [UInt8] = []
}

/// The memory of requests that ended, the last on top.
struct SpareRequestMemory {
    static let countMax = 512
    static let bytesMax = 4096

    private var spares: [RequestMemory] = []

    /// Empty: nothing is left of whom it served before.
    mutating func take() -> RequestMemory? {
        guard var spare = spares.popLast() else { return nil }
        spare.upstreamHead.clear()
        spare.logLine.removeAll(keepingCapacity: true)
        return spare
    }

    mutating func give(_ memory: consuming RequestMemory) {
        guard spares.count < Self.countMax, (1...Self.bytesMax).contains(memory.logLine.capacity),
            memory.upstreamHead.capacity <= Self.bytesMax
        else { return }
        spares.append(memory)
    }
}
