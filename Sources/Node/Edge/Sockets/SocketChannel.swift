import NIOCore

/// A connected socket with a pipeline, for what NIO's own handlers do: TLS and HTTP/2. Reads by itself whenever the
/// pipeline has taken what was read before.
///
/// `@unchecked Sendable`: confined to its loop but for what `Channel` promises.
final class SocketChannel: Channel, ChannelCore, @unchecked Sendable {
    private let socketLoop: SocketLoop
    private let stream: ChannelStream
    private let closePromise: EventLoopPromise<Void>
    /// The end of what comes is told to the pipeline, and is not the end of the channel.
    fileprivate let allowsHalfClosure: Bool
    let remoteAddress: SocketAddress?
    private(set) var isActive = false
    private(set) lazy var pipeline = ChannelPipeline(channel: self)
    private var outputEndPromise: EventLoopPromise<Void>?
    private var hasEndedOutput = false

    private init(_ loop: SocketLoop, remoteAddress: SocketAddress?, allowsHalfClosure: Bool) {
        socketLoop = loop
        stream = ChannelStream(loop)
        closePromise = loop.makePromise()
        self.remoteAddress = remoteAddress
        self.allowsHalfClosure = allowsHalfClosure
    }

    /// Makes a channel of a connected socket, which it takes.
    /// - Parameter initialize: adds the handlers, before anything is read.
    /// - Throws: what `initialize` throws, or `IOError` when the system cannot watch one more; the socket is closed.
    @discardableResult
    static func open(
        _ socket: Int32, on loop: SocketLoop, remoteAddress: SocketAddress?, allowsHalfClosure: Bool = false,
        initialize: (SocketChannel) throws -> Void
    ) throws -> SocketChannel {
        let channel = SocketChannel(loop, remoteAddress: remoteAddress, allowsHalfClosure: allowsHalfClosure)
        channel.stream.channel = channel
        do {
            try channel.stream.open(socket)
        } catch {
            channel.forget()
            throw error
        }
        do {
            try initialize(channel)
        } catch {
            channel.stream.closeStream()
            throw error
        }
        channel.isActive = true
        let pipeline = channel.pipeline.syncOperations
        pipeline.fireChannelRegistered()
        pipeline.fireChannelActive()
        if channel.isActive { pipeline.read() }
        return channel
    }

    // MARK: what the socket tells

    fileprivate func received(_ buffer: ByteBuffer) { pipeline.syncOperations.fireChannelRead(NIOAny(buffer)) }

    fileprivate func receivedAll() {
        pipeline.syncOperations.fireChannelReadComplete()
        if isActive { pipeline.syncOperations.read() }
    }

    fileprivate func inputEnded() {
        if allowsHalfClosure {
            pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            stream.closeStream()
        }
    }

    fileprivate func outputEnded() {
        let promise = outputEndPromise
        outputEndPromise = nil
        hasEndedOutput = true
        promise?.succeed(())
        pipeline.fireUserInboundEventTriggered(ChannelEvent.outputClosed)
    }

    fileprivate func writabilityChanged() { pipeline.syncOperations.fireChannelWritabilityChanged() }

    fileprivate func failed(_ error: any Error) { pipeline.syncOperations.fireErrorCaught(error) }

    fileprivate func closed() {
        outputEndPromise?.fail(ChannelError.ioOnClosedChannel)
        outputEndPromise = nil
        let wasActive = isActive
        isActive = false
        if wasActive {
            pipeline.syncOperations.fireChannelInactive()
            pipeline.syncOperations.fireChannelUnregistered()
        }
        // Handlers may be in the middle of something that led here.
        socketLoop.assumeIsolated().execute { self.forget() }
    }

    private func forget() {
        stream.channel = nil
        removeHandlers(pipeline: pipeline)
        closePromise.succeed(())
    }

    // MARK: Channel

    var allocator: ByteBufferAllocator { ByteBufferAllocator() }
    var closeFuture: EventLoopFuture<Void> { closePromise.futureResult }
    var localAddress: SocketAddress? { nil }
    var parent: (any Channel)? { nil }
    var isWritable: Bool { stream.isWritable }
    var eventLoop: any EventLoop { socketLoop }
    var _channelCore: any ChannelCore { self }
    var syncOptions: (any NIOSynchronousChannelOptions)? { SocketOptions(channel: self) }

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) -> EventLoopFuture<Void> {
        socketLoop.makeFailedFuture(ChannelError.operationUnsupported)
    }

    func getOption<Option: ChannelOption>(_ option: Option) -> EventLoopFuture<Option.Value> {
        guard socketLoop.inEventLoop else { return socketLoop.submit { try self.read(option) } }
        return socketLoop.makeCompletedFuture { try read(option) }
    }

    fileprivate func read<Option: ChannelOption>(_ option: Option) throws -> Option.Value {
        let value: Any? =
            switch option {
            case is ChannelOptions.Types.AutoReadOption: true
            case is ChannelOptions.Types.AllowRemoteHalfClosureOption: allowsHalfClosure
            case is ChannelOptions.Types.BufferedWritableBytesOption: stream.unsentBytes
            default: nil
            }
        guard let value = value as? Option.Value else { throw ChannelError.operationUnsupported }
        return value
    }

    // MARK: ChannelCore

    func localAddress0() throws -> SocketAddress { throw ChannelError.operationUnsupported }

    func remoteAddress0() throws -> SocketAddress {
        guard let remoteAddress else { throw ChannelError.operationUnsupported }
        return remoteAddress
    }

    func register0(promise: EventLoopPromise<Void>?) { promise?.fail(ChannelError.operationUnsupported) }

    func bind0(to: SocketAddress, promise: EventLoopPromise<Void>?) { register0(promise: promise) }

    func connect0(to: SocketAddress, promise: EventLoopPromise<Void>?) { register0(promise: promise) }

    func triggerUserOutboundEvent0(_ event: Any, promise: EventLoopPromise<Void>?) { register0(promise: promise) }

    func channelRead0(_ data: NIOAny) {}

    func errorCaught0(error: any Error) {}

    func write0(_ data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(let buffer) = unwrapData(data, as: IOData.self) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        guard let promise else { return stream.writeOut(buffer) }
        stream.writeOut(buffer) { isSent in
            if isSent { promise.succeed(()) } else { promise.fail(ChannelError.ioOnClosedChannel) }
        }
    }

    func flush0() { stream.flush() }

    func read0() { stream.readMore() }

    func close0(error: any Error, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        guard isActive || mode == .all else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch mode {
        case .all:
            stream.closeStream()
            promise?.succeed(())
        case .output:
            if let pending = outputEndPromise {
                if let promise { pending.futureResult.cascade(to: promise) }
            } else if hasEndedOutput {
                promise?.fail(ChannelError.outputClosed)
            } else {
                outputEndPromise = promise ?? socketLoop.makePromise()
                stream.endOutput()
            }
        case .input: promise?.fail(ChannelError.operationUnsupported)
        }
    }
}

/// The socket of a ``SocketChannel``.
///
/// `@unchecked Sendable`: confined to its loop.
private final class ChannelStream: ByteStream, @unchecked Sendable {
    var channel: SocketChannel?
    private var isAsked = false

    override var wantsBytes: Bool { isAsked }

    func readMore() {
        isAsked = true
        resumeRead()
    }

    override func received(_ buffer: ByteBuffer) { channel?.received(buffer) }

    override func receivedAll() {
        isAsked = false
        channel?.receivedAll()
    }

    override func inputEnded() { channel?.inputEnded() }
    override func outputEnded() { channel?.outputEnded() }
    override func writabilityChanged() { channel?.writabilityChanged() }
    override func failed(_ error: any Error) { channel?.failed(error) }
    override func closed() { channel?.closed() }
}

private struct SocketOptions: NIOSynchronousChannelOptions {
    let channel: SocketChannel

    func setOption<Option: ChannelOption>(_ option: Option, value: Option.Value) throws {
        throw ChannelError.operationUnsupported
    }

    func getOption<Option: ChannelOption>(_ option: Option) throws -> Option.Value { try channel.read(option) }
}
