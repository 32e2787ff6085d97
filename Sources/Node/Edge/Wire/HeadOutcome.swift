/// What reading a head came to.
enum HeadOutcome: Equatable {
    /// Not all of it is there yet.
    case incomplete
    case complete
    /// Not acceptable: the status to answer with before the connection is closed.
    case refused(UInt16)
}

/// Sizes beyond which a head is refused.
enum HeadLimits {
    static let headBytesMax = 32 * 1024
    static let targetBytesMax = 8 * 1024
    static let methodBytesMax = 32
    static let emptyLinesMax = 2
}
