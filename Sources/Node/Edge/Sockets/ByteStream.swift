import CRoost
import Glibc
import NIOCore

/// One end of a stream of bytes: a TCP socket of its own, or a place in the pipeline of a channel when there is more to
/// it, which is TLS or HTTP/2. Who reads and writes is a subclass, and does not see the difference.
///
/// A socket is the same object as who uses it: those of thousands of connections are not in the cache, and each further
/// one that is looked at costs as much as the work itself.
///
/// `@unchecked Sendable`: confined to its loop.
class ByteStream: LoopSource, @unchecked Sendable {
    private struct Flags: OptionSet {
        let rawValue: UInt16
        /// There may be something in the socket.
        static let readable = Flags(rawValue: 1)
        /// The end may be behind what is in the socket: a read that brings less than it could is not the last one.
        static let ending = Flags(rawValue: 2)
        static let reading = Flags(rawValue: 4)
        /// The loop reads on in its next turn.
        static let readLater = Flags(rawValue: 8)
        static let inputEnded = Flags(rawValue: 16)
        /// In a pipeline: asked to read when it did not want to.
        static let readAsked = Flags(rawValue: 32)
        static let sending = Flags(rawValue: 64)
        /// The socket took no more, and epoll tells when it does.
        static let full = Flags(rawValue: 128)
        static let outputEnding = Flags(rawValue: 256)
        static let outputEnded = Flags(rawValue: 512)
    }

    /// Reads of one socket in one turn of the loop.
    private static let readsMax = 4
    static let lowWaterBytes = 64 * 1024
    static let highWaterBytes = 256 * 1024

    final let socketLoop: SocketLoop
    /// -1 when it is in a pipeline, is not open yet, or was closed.
    @exclusivity(unchecked) private final var descriptor: Int32 = -1
    @exclusivity(unchecked) private final var flags: Flags = []
    @exclusivity(unchecked) private final var readSize = ReadSize()
    /// Not so much waits to be sent that more should not be written.
    @exclusivity(unchecked) private(set) final var isWritable = true
    /// Written and not flushed. Nothing is in `output` then.
    @exclusivity(unchecked) private final var held: ByteBuffer?
    /// What the socket has not taken; nil when that is nothing.
    @exclusivity(unchecked) private final var output: PendingOutput?
    @exclusivity(unchecked) private final var context: ChannelHandlerContext?

    init(_ loop: SocketLoop) { socketLoop = loop }

    // MARK: what happens, for subclasses

    /// Whether what comes is taken.
    var wantsBytes: Bool { true }
    func attached() {}
    func received(_ buffer: ByteBuffer) {}
    /// All that is there, or as much as goes in one turn, was read.
    func receivedAll() {}
    /// The other side sends nothing more.
    func inputEnded() {}
    /// All output was sent, and the end of it told.
    func outputEnded() {}
    func writabilityChanged() {}
    /// It broke, and ``closed()`` follows.
    func failed(_ error: any Error) {}
    func closed() {}

    // MARK: beginning

    /// Makes it the end of a connected socket, which it takes.
    /// - Throws: `IOError` when the system cannot watch one more; the socket is closed then.
    final func open(_ socket: Int32) throws {
        do {
            try socketLoop.watch(socket, for: self, onlyChanges: true)
        } catch {
            Glibc.close(socket)
            throw error
        }
        descriptor = socket
        attached()
    }

    /// Makes it a part of a pipeline.
    final func join(_ context: ChannelHandlerContext) {
        self.context = context
        isWritable = context.channel.isWritable
        attached()
    }

    /// The pipeline is no more.
    final func leave() {
        context = nil
        isWritable = false
    }

    final func takeWritability() {
        isWritable = context?.channel.isWritable ?? false
        writabilityChanged()
    }

    // MARK: reading

    final override func ready(_ events: UInt32) {
        guard descriptor >= 0 else { return }
        if output != nil, events & CROOST_WRITABLE.rawValue != 0 {
            flags.remove(.full)
            sendOn()
        }
        if events & (CROOST_READABLE.rawValue | CROOST_ENDED.rawValue) == 0 { return }
        flags.insert(.readable)
        if events & CROOST_ENDED.rawValue != 0 {
            flags.insert(.ending)
            if events & CROOST_BROKEN.rawValue != 0, descriptor >= 0, !wantsBytes { return fail(socketError()) }
        }
        readAll()
    }

    /// Reads on if it wants to now, and did not.
    final func resumeRead() {
        if descriptor >= 0 {
            if flags.contains(.readable) { readAll() }
        } else if flags.contains(.readAsked), wantsBytes, let context {
            flags.remove(.readAsked)
            context.read()
        }
    }

    /// The pipeline asks for more.
    final func readWasAsked() {
        if wantsBytes { context?.read() } else { flags.insert(.readAsked) }
    }

    final func readAgain() {
        flags.remove(.readLater)
        if flags.contains(.readable) { readAll() }
    }

    private final func readAll() {
        guard flags.isDisjoint(with: [.reading, .inputEnded]) else { return }
        flags.insert(.reading)
        var reads = 0
        var end: Int?
        while flags.contains(.readable), descriptor >= 0, wantsBytes, end == nil, reads < Self.readsMax {
            let (buffer, count) = read()
            if count > 0 {
                reads += 1
                received(buffer)
            } else if count == 0 || errno != EINTR && errno != EAGAIN {
                end = count == 0 ? 0 : Int(errno)
            } else if errno == EAGAIN {
                flags.remove(.readable)
            }
        }
        if reads > 0, descriptor >= 0 { receivedAll() }
        flags.remove(.reading)
        guard descriptor >= 0 else { return }
        if let end { return inputIsOver(end) }
        if flags.contains(.readable), !flags.contains(.readLater), wantsBytes {
            flags.insert(.readLater)
            socketLoop.readLater(self)
        }
    }

    @inline(__always)
    private final func read() -> (ByteBuffer, Int) {
        let size = readSize.bytes
        var buffer = socketLoop.takeBuffer(size)
        var count = 0
        buffer.writeWithUnsafeMutableBytes(minimumWritableBytes: size) { space in
            count = croost_receive(descriptor, space.baseAddress, size)
            return max(0, count)
        }
        if count > 0 {
            // The socket is empty, and what comes from here on is told of.
            if count < size, !flags.contains(.ending) { flags.remove(.readable) }
            readSize.note(count)
        }
        return (buffer, count)
    }

    /// - Parameter code: 0 at the end of the stream, or what broke it.
    private final func inputIsOver(_ code: Int) {
        flags.remove(.readable)
        flags.insert(.inputEnded)
        if code != 0 { return fail(IOError(errnoCode: Int32(code), reason: "recv")) }
        inputEnded()
        if flags.contains(.outputEnded) { closeStream() }
    }

    // MARK: writing

    final func writeOut(_ buffer: ByteBuffer) {
        guard descriptor >= 0 else {
            context?.write(NIOAny(IOData.byteBuffer(buffer)), promise: nil)
            return
        }
        if output == nil, held == nil, !flags.contains(.outputEnding) {
            held = buffer
        } else {
            add { $0.add(buffer) }
        }
    }

    /// - Parameter completion: called once, with whether all went into the socket.
    final func writeOut(_ buffer: ByteBuffer, _ completion: @escaping (Bool) -> Void) {
        if let context {
            let promise = context.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { result in
                if case .success = result { completion(true) } else { completion(false) }
            }
            return context.write(NIOAny(IOData.byteBuffer(buffer)), promise: promise)
        }
        add(orElse: completion) { $0.add(buffer, completion) }
    }

    /// Writes a part of a file, which stays open until `completion`. Of a socket only.
    /// - Parameter completion: called once, with whether all of it went into the socket.
    final func writeOut(file: Int32, _ range: Range<Int>, _ completion: @escaping (Bool) -> Void) {
        add(orElse: completion) { $0.add(file: file, range, completion) }
    }

    private final func add(orElse failed: ((Bool) -> Void)? = nil, _ body: (PendingOutput) -> Void) {
        guard descriptor >= 0, !flags.contains(.outputEnding) else {
            failed?(false)
            return
        }
        let output = output ?? PendingOutput()
        self.output = output
        if let buffer = held {
            held = nil
            output.add(buffer)
        }
        body(output)
        updateWritability()
    }

    @inline(__always)
    final func flush() {
        guard descriptor >= 0 else {
            context?.flush()
            return
        }
        if let buffer = held {
            held = nil
            send(buffer)
        } else if output != nil, !flags.contains(.full) {
            sendOn()
        }
    }

    private final func send(_ buffer: ByteBuffer) {
        let count = buffer.readableBytes
        let sent = buffer.withUnsafeReadableBytes { croost_send(descriptor, $0.baseAddress, count) }
        if sent == count { return }
        if sent < 0, errno != EAGAIN, errno != EINTR { return outputBroke() }
        var rest = buffer
        rest.moveReaderIndex(forwardBy: max(0, sent))
        let output = PendingOutput()
        output.add(rest)
        self.output = output
        sendOn()
    }

    private final func sendOn() {
        guard let output, descriptor >= 0, !flags.contains(.sending) else { return }
        flags.insert(.sending)
        let outcome = output.send(to: descriptor)
        flags.remove(.sending)
        // What was sent may have been the last that its writer wanted of it.
        guard descriptor >= 0 else { return }
        switch outcome {
        case .done:
            self.output = nil
            updateWritability()
            if flags.contains(.outputEnding) { tellEnd() }
        case .full:
            flags.insert(.full)
            updateWritability()
        case .broken: outputBroke()
        }
    }

    private final func updateWritability() {
        let bytes = output?.bytes ?? 0
        guard isWritable ? bytes > Self.highWaterBytes : bytes < Self.lowWaterBytes else { return }
        isWritable.toggle()
        writabilityChanged()
    }

    /// Whatever the other side sent before is still read.
    private final func outputBroke() {
        flags.insert([.readable, .ending])
        readAll()
        closeStream()
    }

    /// What was written and did not go into the socket yet. The kernel sends on what it has.
    final var unsentBytes: Int {
        if descriptor >= 0 { return (held?.readableBytes ?? 0) + (output?.bytes ?? 0) }
        guard let options = context?.channel.syncOptions else { return 0 }
        do {
            return try options.getOption(.bufferedWritableBytes)
        } catch {
            // It is closed.
            return 0
        }
    }

    // MARK: the end

    /// Sends nothing more, once all that was written is out; see ``outputEnded()``.
    final func endOutput() {
        flush()
        if let context {
            let promise = context.eventLoop.makePromise(of: Void.self)
            promise.futureResult.assumeIsolated().whenComplete { _ in self.outputEnded() }
            return context.close(mode: .output, promise: promise)
        }
        guard descriptor >= 0, !flags.contains(.outputEnding) else { return }
        flags.insert(.outputEnding)
        if output == nil { tellEnd() }
    }

    private final func tellEnd() {
        guard descriptor >= 0, !flags.contains(.outputEnded) else { return }
        flags.insert(.outputEnded)
        // It fails when the other side is gone, of which epoll tells.
        shutdown(descriptor, Int32(SHUT_WR))
        outputEnded()
        if flags.contains(.inputEnded) { closeStream() }
    }

    /// At once; what was not sent is lost.
    final func closeStream() {
        if let context { return context.close(mode: .all, promise: nil) }
        guard descriptor >= 0 else { return }
        let former = descriptor
        descriptor = -1
        socketLoop.letGo(of: self, watching: former)
        Glibc.close(former)
        held = nil
        isWritable = false
        let unsent = output
        output = nil
        unsent?.fail()
        closed()
    }

    final override func loopEnded() { closeStream() }

    private final func fail(_ error: any Error) {
        failed(error)
        closeStream()
    }

    private final func socketError() -> IOError {
        var code: Int32 = 0
        var size = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
        return IOError(errnoCode: code == 0 ? ECONNRESET : code, reason: "socket")
    }
}
