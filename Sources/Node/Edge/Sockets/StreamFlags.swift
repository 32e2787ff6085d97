/// What a ``ByteStream`` knows of its socket.
struct StreamFlags: OptionSet {
    let rawValue: UInt16
    /// There may be something in the socket.
    static let readable = StreamFlags(rawValue: 1)
    /// The end, or an urgent byte, may be behind what is read: one that brings less than it could is not the last.
    static let holdsMore = StreamFlags(rawValue: 2)
    static let reading = StreamFlags(rawValue: 4)
    /// The loop calls ``goOn()``.
    static let planned = StreamFlags(rawValue: 8)
    static let inputEnded = StreamFlags(rawValue: 16)
    /// In a pipeline: asked to read when it did not want to.
    static let readAsked = StreamFlags(rawValue: 32)
    static let sending = StreamFlags(rawValue: 64)
    /// The socket took no more, and epoll tells when it does.
    static let full = StreamFlags(rawValue: 128)
    static let outputEnding = StreamFlags(rawValue: 256)
    static let outputEnded = StreamFlags(rawValue: 512)
    /// Nothing can be sent any more; what came before is still read.
    static let outputBroken = StreamFlags(rawValue: 1024)
    /// The connection broke, and what came before it may not have been read.
    static let broken = StreamFlags(rawValue: 2048)
}
