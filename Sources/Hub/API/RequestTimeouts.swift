import HTTPTypes
import NIOCore
import NIOHTTPTypes

/// Ends connections that take their time: to send a head, to send a body, or to read an answer. Without it a few slow
/// clients could hold every connection that the hub allows.
final class RequestTimeouts: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

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

    private let limits: Limits
    private var request: Scheduled<Void>?
    private var reading: Scheduled<Void>?
    private var isAnswering = false
    private var isUpload = false

    init(_ limits: Limits) { self.limits = limits }

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { expect(limits.head, context) { $0.close(promise: nil) } }
    }

    func channelActive(context: ChannelHandlerContext) {
        expect(limits.head, context) { $0.close(promise: nil) }
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
            isUpload = head.method == .put && head.path?.hasSuffix("/upload") == true
            expect(isUpload ? limits.uploadPause : limits.body, context) { [self] in refuseSlowBody($0) }
        case .body: if isUpload { expect(limits.uploadPause, context) { [self] in refuseSlowBody($0) } }
        case .end:
            request?.cancel()
            request = nil
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head: isAnswering = true
        case .body: break
        case .end:
            isAnswering = false
            if request == nil { expect(limits.head, context) { $0.close(promise: nil) } }
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
            let head = HTTPResponse(
                status: .requestTimeout, headerFields: [.connection: "close", .contentLength: "0"])
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
        context.close(promise: nil)
    }

    private func expect(
        _ time: TimeAmount, _ context: ChannelHandlerContext, _ late: @escaping (ChannelHandlerContext) -> Void
    ) {
        request?.cancel()
        let bound = NIOLoopBound((context, late), eventLoop: context.eventLoop)
        request = context.eventLoop.scheduleTask(in: time) { bound.value.1(bound.value.0) }
    }

    private func cancel() {
        request?.cancel()
        reading?.cancel()
        request = nil
        reading = nil
    }
}
