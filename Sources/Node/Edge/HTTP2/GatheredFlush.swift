import NIOCore

/// Stands below the streams of a connection and flushes once for all that wrote in one turn of the event loop: one TLS
/// record and one system call instead of one of each for every answer.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class GatheredFlush: ChannelOutboundHandler, @unchecked Sendable {
    typealias OutboundIn = ByteBuffer

    private var context: ChannelHandlerContext?
    private var isPlanned = false

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func flush(context: ChannelHandlerContext) {
        guard !isPlanned else { return }
        isPlanned = true
        context.eventLoop.assumeIsolated().execute { self.flushNow() }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        flushNow()
        context.close(mode: mode, promise: promise)
    }

    private func flushNow() {
        guard isPlanned else { return }
        isPlanned = false
        context?.flush()
    }
}
