import NIOCore

/// Puts a ``ByteStream`` at the end of a channel's pipeline.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class StreamHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private let stream: ByteStream

    init(_ stream: ByteStream) { self.stream = stream }

    func handlerAdded(context: ChannelHandlerContext) { stream.join(context) }

    func handlerRemoved(context: ChannelHandlerContext) { stream.leave() }

    func read(context: ChannelHandlerContext) { stream.readWasAsked() }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { stream.received(unwrapInboundIn(data)) }

    func channelReadComplete(context: ChannelHandlerContext) { stream.receivedAll() }

    func channelWritabilityChanged(context: ChannelHandlerContext) { stream.takeWritability() }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? ChannelEvent, event == .inputClosed { stream.inputEnded() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        stream.failed(error)
        context.close(mode: .all, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { stream.closed() }
}
