import NIOCore
import NIOHTTP1

/// Ends connections that take their time: to send a head, to send a body, or to read an answer. Without it a few slow
/// clients could hold every connection that the hub allows.
final class RequestTimeouts: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    struct Limits: Sendable {
        /// From the connection, or the answer before, until the whole head of a request.
        var head: TimeAmount = .seconds(75)
        /// From the head until the end of the body.
        var body: TimeAmount = .seconds(30)
        /// Longest pause between two pieces of an upload, which may take as long as it needs.
        var uploadPause: TimeAmount = .seconds(30)
        /// How long a client may leave sent data unread.
        var reading: TimeAmount = .seconds(60)
    }

    /// What happens at the deadline.
    private enum Lateness { case closes, refusesBody }

    private let limits: Limits
    /// When the client must have done the next thing; nil while it is the hub's turn.
    private var deadline: (time: NIODeadline, lateness: Lateness)?
    /// One look at the deadline is always planned, and never later than any deadline to come. To plan and cancel one
    /// for each request costs NIO a search through those of all connections.
    private var look: Scheduled<Void>?
    private var reading: Scheduled<Void>?
    private var isAnswering = false
    private var isUpload = false

    init(_ limits: Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        cancel()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { cancel() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            isUpload = head.method == .PUT && head.uri.hasSuffix("/upload")
            expect(isUpload ? limits.uploadPause : limits.body, .refusesBody)
        case .body: if isUpload { expect(limits.uploadPause, .refusesBody) }
        case .end: deadline = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head: isAnswering = true
        case .body: break
        case .end:
            isAnswering = false
            if deadline == nil { expectRequest() }
        }
        context.write(data, promise: promise)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        reading?.cancel()
        reading = nil
        if !context.channel.isWritable {
            let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
            reading = context.eventLoop.scheduleTask(in: limits.reading) { bound.value.close(promise: nil) }
        }
        context.fireChannelWritabilityChanged()
    }

    private func refuseSlowBody(_ context: ChannelHandlerContext) {
        if !isAnswering {
            let head = HTTPResponseHead(
                version: .http1_1, status: .requestTimeout, headers: ["connection": "close", "content-length": "0"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.close(promise: nil)
    }

    private func begin(_ context: ChannelHandlerContext) {
        expectRequest()
        if look == nil { planLook(context) }
    }

    /// Gives the client its time for the next request.
    func expectRequest() { expect(limits.head, .closes) }

    private func expect(_ time: TimeAmount, _ lateness: Lateness) { deadline = (.now() + time, lateness) }

    private func planLook(_ context: ChannelHandlerContext) {
        let soonest = NIODeadline.now() + min(limits.head, limits.body, limits.uploadPause)
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        look = context.eventLoop.scheduleTask(deadline: min(deadline?.time ?? soonest, soonest)) {
            bound.value.0.lookAtDeadline(bound.value.1)
        }
    }

    private func lookAtDeadline(_ context: ChannelHandlerContext) {
        guard let (time, lateness) = deadline, time <= .now() else { return planLook(context) }
        look = nil
        switch lateness {
        case .closes: context.close(promise: nil)
        case .refusesBody: refuseSlowBody(context)
        }
    }

    private func cancel() {
        look?.cancel()
        reading?.cancel()
        look = nil
        reading = nil
    }
}
