import NIOCore
import NIOHTTP2

/// The HTTP/2 connections of one event loop to one endpoint; requests share them.
///
/// `@unchecked Sendable`: confined to its event loop.
final class UpstreamSessions: @unchecked Sendable {
    /// Requests at once on one connection; more open another.
    static let streamsMax = 100
    static let idleNanoseconds: UInt64 = 60_000_000_000

    private var sessions: [UpstreamSession] = []
    private var isRetired = false

    /// Opens a stream for `connection`, on a connection that is there or on a new one.
    func open(_ connection: UpstreamConnection, _ endpoint: EndpointState, loop: EdgeLoop) -> EventLoopFuture<Void> {
        // An address went since they were opened: they end with their last stream.
        for session in sessions where session.generation != connection.generation { session.retire() }
        if let session = sessions.first(where: { $0.takesStreams }) { return session.open(connection) }
        let session = UpstreamSession(sessions: self, generation: connection.generation, loop: loop)
        sessions.append(session)
        session.connect(to: endpoint)
        return session.open(connection)
    }

    func remove(_ session: UpstreamSession) { sessions.removeAll { $0 === session } }

    func closeExpired(now: UInt64) {
        for session in sessions where session.idleSince &+ Self.idleNanoseconds <= now { session.close() }
    }

    /// The endpoint left the table: connections end with their last stream.
    func retire() {
        isRetired = true
        for session in sessions { session.retire() }
    }
}

/// One HTTP/2 connection to an upstream, in clear text and with prior knowledge (RFC 9113 section 3.3).
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class UpstreamSession: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame

    private let sessions: UpstreamSessions
    private let loop: EdgeLoop
    private let connected: EventLoopPromise<NIOHTTP2Handler.StreamMultiplexer>
    /// Of its endpoint, when it was opened.
    let generation: Int
    private var context: ChannelHandlerContext?
    private var streamCount = 0
    private var streamsMax = UpstreamSessions.streamsMax
    private var isLeaving = false
    /// The last stream that the upstream may do something with, once it wants no more of them.
    private var lastTaken: HTTP2StreamID?
    /// On any of its streams.
    var hasAnswered = false
    /// When its last stream ended; never while there is one.
    private(set) var idleSince: UInt64

    init(sessions: UpstreamSessions, generation: Int, loop: EdgeLoop) {
        self.sessions = sessions
        self.generation = generation
        self.loop = loop
        idleSince = UInt64.max - UpstreamSessions.idleNanoseconds
        connected = loop.eventLoop.makePromise()
    }

    var takesStreams: Bool { !isLeaving && !isGone && streamCount < streamsMax }
    /// Its streams hear of the end before it does.
    private var isGone: Bool { context.map { !$0.channel.isActive } ?? false }

    func connect(to endpoint: EndpointState, attempt: Int = 0) {
        guard let address = endpoint.address(attempt: attempt) else {
            sessions.remove(self)
            return connected.fail(ChannelError.connectTimeout(.zero))
        }
        Connecting.connect(to: address, on: loop.eventLoop, timeout: loop.times.connectTimeout) { result in
            do {
                let handler = self.handler()
                try SocketChannel.open(result.get(), on: self.loop.eventLoop, remoteAddress: address) { channel in
                    try channel.pipeline.syncOperations.addHandlers(GatheredFlush(), handler, self)
                }
                endpoint.connected(to: address)
                self.connected.succeed(try handler.syncMultiplexer())
            } catch let error
                where !DescriptorQueue.isReason(of: error) && endpoint.address(attempt: attempt + 1) != nil
            {
                self.connect(to: endpoint, attempt: attempt + 1)
            } catch {
                self.sessions.remove(self)
                self.connected.fail(error)
            }
        }
    }

    private func handler() -> NIOHTTP2Handler {
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .enablePush, value: 0),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HeadLimits.headBytesMax),
            HTTP2Setting(parameter: .initialWindowSize, value: HTTP2Limits.streamWindowBytes),
        ]
        connection.targetWindowSize = HTTP2Limits.connectionWindowBytes
        // A server may measure and cancel as it likes; it is ours.
        connection.controlFrameRateLimit.maximumCount = 100_000
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = HTTP2Limits.streamWindowBytes
        stream.outboundBufferSizeHighWatermark = 64 * 1024
        stream.outboundBufferSizeLowWatermark = 16 * 1024
        stream.streamResetFrameRateLimit.maximumCount = 100_000
        return NIOHTTP2Handler(
            mode: .client, eventLoop: loop.eventLoop, connectionConfiguration: connection,
            streamConfiguration: stream
        ) { pushed in pushed.close() }
    }

    func open(_ connection: UpstreamConnection) -> EventLoopFuture<Void> {
        // Counted from now on, so that those who come while it connects do not crowd it.
        streamCount += 1
        let loop = loop
        return connected.futureResult.flatMap { multiplexer in
            let opened = loop.eventLoop.makePromise(of: (any Channel).self)
            multiplexer.createStreamChannel(promise: opened) { stream in
                stream.eventLoop.makeCompletedFuture {
                    try stream.pipeline.syncOperations.addHandlers(
                        UpstreamStreamAdapter(self, loop: loop), StreamHandler(connection))
                }
            }
            return opened.futureResult
        }.assumeIsolated().always { result in
            switch result {
            // Not when its stream is told to be closed: one that was never used has no number, and is not told of.
            case .success(let channel): channel.closeFuture.assumeIsolated().whenComplete { _ in self.released() }
            case .failure: self.released()
            }
        }.nonisolated().map { _ in }
    }

    /// Whether the upstream did nothing with a request, and never will (RFC 9113 section 6.8).
    /// - Parameter stream: nil for one that was not sent.
    func hasRefused(_ stream: HTTP2StreamID?) -> Bool {
        guard let lastTaken else { return false }
        return stream.map { $0 > lastTaken } ?? true
    }

    /// Whether it broke or was closed after it had served.
    var isLost: Bool { hasAnswered && isGone }

    private func released() {
        streamCount -= 1
        guard streamCount == 0 else { return }
        idleSince = loop.coarseNow
        if isLeaving { close() }
    }

    func close() { context?.close(mode: .all, promise: nil) }

    func retire() {
        isLeaving = true
        if streamCount == 0 { close() }
    }

    // MARK: channel events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    /// Of an address that refused, maybe after the next one was tried.
    func handlerRemoved(context: ChannelHandlerContext) {
        if self.context === context { self.context = nil }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data).payload {
        case .goAway(let last, _, _):
            lastTaken = last
            retire()
        case .settings(.settings(let settings)):
            for setting in settings where setting.parameter == .maxConcurrentStreams {
                streamsMax = min(setting.value, UpstreamSessions.streamsMax)
            }
        default: break
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if error is NIOHTTP2Errors.StreamError { return }
        context.close(mode: .all, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        isLeaving = true
        sessions.remove(self)
    }
}
