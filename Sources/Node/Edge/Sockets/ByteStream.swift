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
    /// Reads of one socket before others have their turn.
    private static let readsMax = 4
    private static let lowWaterBytes = 64 * 1024
    static let highWaterBytes = 256 * 1024

    final let socketLoop: SocketLoop
    /// -1 when it is in a pipeline, is not open yet, or was closed.
    @exclusivity(unchecked) private final var descriptor: Int32 = -1
    @exclusivity(unchecked) private final var flags: StreamFlags = []
    @exclusivity(unchecked) private final var readSize = ReadSize()
    /// Not so much waits to be sent that more should not be written.
    @exclusivity(unchecked) private(set) final var isWritable = true
    /// Written and not flushed. Nothing is in `output` then.
    @exclusivity(unchecked) private final var held: ByteBuffer?
    /// What the socket has not taken; nil when that is nothing.
    @exclusivity(unchecked) private final var output: PendingOutput?
    @exclusivity(unchecked) private final var context: ChannelHandlerContext?
    /// What broke the output.
    private final var brokenBy: Int32 = 0

    init(_ loop: SocketLoop) { socketLoop = loop }

    // MARK: what happens, for subclasses

    /// Whether what comes is taken.
    var wantsBytes: Bool { true }
    /// Whether what came before it broke will be wanted, when it is not at the moment.
    var wantsBytesOfBroken: Bool { false }
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
        if events & (CROOST_ENDED.rawValue | CROOST_URGENT.rawValue) != 0 {
            flags.insert(.holdsMore)
            if events & CROOST_BROKEN.rawValue != 0 { flags.insert(.broken) }
        }
        readAll()
        failIfUnread()
    }

    /// Ends it if it is broken, and nobody waits for what came before.
    private final func failIfUnread() {
        guard flags.contains(.broken), descriptor >= 0 else { return }
        guard flags.contains(.inputEnded) || !wantsBytes && !wantsBytesOfBroken else { return }
        let code = brokenBy != 0 ? brokenBy : SocketOption.takeError(descriptor) ?? ECONNRESET
        fail(IOError(errnoCode: code, reason: "socket"))
    }

    /// Its end, or a break, was told, and may be behind what was read.
    final var mayHaveEnded: Bool { flags.contains(.holdsMore) }

    /// Reads on if it wants to now, and did not. Not before what the loop is doing now is done.
    final func resumeRead() {
        if descriptor >= 0 {
            if flags.contains(.readable), wantsBytes { goOnLater() }
        } else if flags.contains(.readAsked), wantsBytes, let context {
            flags.remove(.readAsked)
            context.read()
        }
    }

    /// The pipeline asks for more.
    final func readWasAsked() {
        if wantsBytes { context?.read() } else { flags.insert(.readAsked) }
    }

    private final func goOnLater() {
        guard !flags.contains(.planned) else { return }
        flags.insert(.planned)
        socketLoop.goOnLater(self)
    }

    final func goOn() {
        flags.remove(.planned)
        if output != nil, !flags.contains(.full) { sendOn() }
        if flags.contains(.readable) { readAll() }
        failIfUnread()
    }

    private final func readAll() {
        guard descriptor >= 0, flags.isDisjoint(with: [.reading, .inputEnded]) else { return }
        flags.insert(.reading)
        var reads = 0
        var end: InputEnd?
        while flags.contains(.readable), descriptor >= 0, wantsBytes, end == nil, reads < Self.readsMax {
            let (buffer, count) = read()
            if count > 0 {
                reads += 1
                received(buffer)
            } else {
                end = inputEnd(count, errno)
                socketLoop.giveBack(buffer)
            }
        }
        if reads > 0, descriptor >= 0 { receivedAll() }
        flags.remove(.reading)
        guard descriptor >= 0 else { return }
        switch end {
        case .end: inputIsOver()
        case .broken(let code): fail(IOError(errnoCode: code, reason: "recv"))
        case nil: if flags.contains(.readable), wantsBytes { goOnLater() }
        }
    }

    private enum InputEnd {
        case end
        case broken(Int32)
    }

    private final func inputEnd(_ count: Int, _ code: Int32) -> InputEnd? {
        if count < 0, code == EINTR { return nil }
        // EPIPE: the end came before the break, and all is there.
        if flags.contains(.outputBroken) { return count == 0 && brokenBy == EPIPE ? .end : .broken(brokenBy) }
        if count == 0 { return .end }
        guard code == EAGAIN else { return .broken(code) }
        flags.remove(.readable)
        return nil
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
            if count < size, !flags.contains(.holdsMore) { flags.remove(.readable) }
            readSize.note(count)
        }
        return (buffer, count)
    }

    private final func inputIsOver() {
        flags.remove(.readable)
        flags.insert(.inputEnded)
        inputEnded()
        if !flags.isDisjoint(with: [.outputEnded, .outputBroken]) { closeStream() }
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
        if sent == count {
            // Small ones are given back by who has read them.
            if buffer.capacity == ReadSize.most { socketLoop.giveBack(buffer) }
            return
        }
        let code = errno
        if sent < 0, code != EAGAIN, code != EINTR { return outputBroke(code) }
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
        let outcome = output.send(to: descriptor, socketLoop)
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
        case .unfinished:
            updateWritability()
            goOnLater()
        case .broken(let code): outputBroke(code)
        }
    }

    private final func updateWritability() {
        let bytes = output?.bytes ?? 0
        guard isWritable ? bytes > Self.highWaterBytes : bytes < Self.lowWaterBytes else { return }
        isWritable.toggle()
        writabilityChanged()
    }

    /// What the other side sent before, an answer for instance, is still read, and then it is closed.
    private final func outputBroke(_ code: Int32) {
        brokenBy = code
        flags.insert([.broken, .outputBroken, .outputEnding, .readable, .holdsMore])
        held = nil
        let unsent = output
        output = nil
        unsent?.fail()
        guard descriptor >= 0 else { return }
        goOnLater()
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
        guard descriptor >= 0, output == nil, flags.isDisjoint(with: [.outputEnded, .outputBroken]) else { return }
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
}
