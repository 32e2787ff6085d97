import NIOCore
import NIOHTTP2

/// One HTTP/2 connection of a client (RFC 9113). Its streams are connections of their own to the rest of the edge; this
/// keeps the time, says goodbye, and ends what breaks the protocol.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class HTTP2Session: ChannelInboundHandler, NIOHTTP2StreamDelegate, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame
    typealias OutboundOut = HTTP2Frame

    private let loop: EdgeLoop
    private var context: ChannelHandlerContext?
    private var streamCount = 0
    private var lastStream = HTTP2StreamID.rootStream
    private var isFinishing = false
    /// When it is ended unless a stream is opened; never while there is one.
    private(set) var deadline: UInt64

    private init(loop: EdgeLoop) {
        self.loop = loop
        deadline = loop.coarseNow &+ loop.times.keepAliveTimeout
    }

    static func begin(_ channel: any Channel, loop: EdgeLoop) throws {
        let session = HTTP2Session(loop: loop)
        let limits = loop.limits
        var connection = NIOHTTP2Handler.ConnectionConfiguration()
        connection.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: limits.concurrentStreamsMax),
            HTTP2Setting(parameter: .maxHeaderListSize, value: HeadLimits.headBytesMax),
            HTTP2Setting(parameter: .initialWindowSize, value: HTTP2Limits.streamWindowBytes),
        ]
        connection.targetWindowSize = HTTP2Limits.connectionWindowBytes
        connection.maximumBufferedControlFrames = HTTP2Limits.bufferedControlFramesMax
        connection.controlFrameRateLimit.maximumCount = HTTP2Limits.controlFramesMax
        connection.controlFrameRateLimit.windowLength = HTTP2Limits.window
        var stream = NIOHTTP2Handler.StreamConfiguration()
        stream.targetWindowSize = HTTP2Limits.streamWindowBytes
        stream.outboundBufferSizeHighWatermark = 64 * 1024
        stream.outboundBufferSizeLowWatermark = 16 * 1024
        stream.streamResetFrameRateLimit.maximumCount = HTTP2Limits.resetsMax
        stream.streamResetFrameRateLimit.windowLength = HTTP2Limits.window
        stream.streamErrorRateLimit.maximumCount = HTTP2Limits.resetsMax
        stream.streamErrorRateLimit.windowLength = HTTP2Limits.window
        let handler = NIOHTTP2Handler(
            mode: .server, eventLoop: channel.eventLoop, connectionConfiguration: connection,
            streamConfiguration: stream, streamDelegate: session
        ) { stream in
            stream.eventLoop.makeCompletedFuture {
                try stream.pipeline.syncOperations.addHandlers(
                    ServerStreamAdapter(loop: loop),
                    StreamHandler(ClientConnection(loop: loop, transport: .http2, remote: stream.remoteAddress)))
            }
        }
        try channel.pipeline.syncOperations.addHandlers(GatheredFlush(), handler, session)
    }

    // MARK: the end

    /// Takes no more streams, and closes when those that are open are done.
    func finish() {
        deadline = .max
        guard !isFinishing, let context else { return }
        isFinishing = true
        let goodbye = HTTP2Frame(
            streamID: .rootStream, payload: .goAway(lastStreamID: lastStream, errorCode: .noError, opaqueData: nil))
        context.writeAndFlush(wrapOutboundOut(goodbye), promise: nil)
        closeIfDone()
    }

    func closeNow() { context?.close(mode: .all, promise: nil) }

    /// Closes once what was said is on its way.
    private func end() {
        context?.flush()
        closeNow()
    }

    private func closeIfDone() {
        if isFinishing, streamCount == 0 { end() }
    }

    // MARK: streams

    func streamCreated(_ id: HTTP2StreamID, channel: any Channel) {
        streamCount += 1
        lastStream = max(lastStream, id)
        deadline = .max
    }

    func streamClosed(_ id: HTTP2StreamID, channel: any Channel) {
        streamCount -= 1
        guard streamCount == 0 else { return }
        deadline = isFinishing ? .max : loop.coarseNow &+ loop.times.keepAliveTimeout
        closeIfDone()
    }

    // MARK: channel events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        loop.secure.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        loop.secure.remove(self)
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if case .goAway = unwrapInboundIn(data).payload { closeIfDone() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        // A client that sends nothing more can open no stream and move no window.
        if let event = event as? ChannelEvent, event == .inputClosed { context.close(mode: .all, promise: nil) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // What is wrong with one stream is answered on that stream alone.
        if error is NIOHTTP2Errors.StreamError { return }
        end()
    }
}

/// What one HTTP/2 connection may take. What it may cost is limited by counts in a span of time.
enum HTTP2Limits {
    static let streamWindowBytes = 256 * 1024
    static let connectionWindowBytes = 1024 * 1024
    /// Answers to control frames that wait for a client that does not read.
    static let bufferedControlFramesMax = 500
    static let window = TimeAmount.seconds(30)
    /// Streams that a client takes back, or breaks, in that span: many more than a person who clicks away.
    static let resetsMax = 400
    /// PING, SETTINGS and PRIORITY frames in that span. Generous, since gRPC measures its bandwidth with pings.
    static let controlFramesMax = 3_000
}
