import Glibc
import NIOCore

/// How many files this process may have open.
struct DescriptorLimit {
    let count: Int

    /// Raises the limit as far as this process may, and tells it.
    static func raised() -> DescriptorLimit {
        var limit = rlimit()
        let resource = __rlimit_resource_t(UInt32(RLIMIT_NOFILE.rawValue))
        guard getrlimit(resource, &limit) == 0 else { return DescriptorLimit(count: 1024) }
        let soft = limit.rlim_cur
        limit.rlim_cur = limit.rlim_max
        let isRaised = setrlimit(resource, &limit) == 0
        return DescriptorLimit(count: Int(min(isRaised ? limit.rlim_max : soft, 1 << 24)))
    }

    /// Clients that are let in: some descriptors are left for upstreams, files and the control socket.
    var connectionsMax: Int { max(count / 4, count - count / 16 - 64) }
}

/// Stands before the clients of one listening socket and lets in as many as there is room for.
///
/// Out of descriptors, a listener would try again at once and for ever: it waits a moment instead. Before that, when the
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
        context.eventLoop.assumeIsolated().scheduleTask(in: .milliseconds(50)) {
            self.isWaiting = false
            self.hasFailed = false
            self.read(context: context)
        }
    }
}
