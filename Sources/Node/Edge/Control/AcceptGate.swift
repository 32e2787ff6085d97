import NIOCore

/// Stands before the clients of one listening socket and lets in as many as there is room for.
///
/// Out of descriptors, a listener would try again at once, for ever: it waits a moment instead. Before that, when the
/// loop has as many connections as it may, those that have been idle for longest make room.
final class AcceptGate: ChannelDuplexHandler {
    typealias InboundIn = any Channel
    typealias OutboundIn = Never

    private let loop: EdgeLoop
    private var hasFailed = false
    private var isWaiting = false

    init(loop: EdgeLoop) { self.loop = loop }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        hasFailed = true
        loop.makeRoom()
    }

    func read(context: ChannelHandlerContext) {
        if loop.isFull { loop.makeRoom() }
        guard hasFailed || loop.isFull else { return context.read() }
        guard !isWaiting else { return }
        isWaiting = true
        context.eventLoop.assumeIsolated().scheduleTask(in: DescriptorQueue.pause) {
            self.isWaiting = false
            self.hasFailed = false
            self.read(context: context)
        }
    }
}
