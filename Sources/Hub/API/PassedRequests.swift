import NIOCore
import NIOHTTP1

/// Tells where one request of a connection ends and the next may begin: after as many bytes as the server read of the
/// one before, and after its answer. A connection that is not so plain (several requests at once, bodies in chunks) has
/// no such place any more.
final class PassedRequests: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private static let headEnd = Array("\r\n\r\n".utf8)

    /// All that went on since the last such place, and what of it was a head.
    private var bytes = 0
    private var headBytes = 0
    /// How much of the end of the head the last bytes were.
    private var headEndBytes = 0
    private var bodyBytes = 0
    private var isUnderWay = false
    private var unanswered = 0

    var isBetweenRequests: Bool {
        bytes == 0 || !isUnderWay && unanswered == 0 && headEndBytes == Self.headEnd.count
            && bytes == headBytes + bodyBytes
    }

    /// Notes bytes that go on to the server.
    func begin(_ buffer: ByteBuffer) {
        if isBetweenRequests { (bytes, headBytes, headEndBytes, bodyBytes) = (0, 0, 0, 0) }
        bytes += buffer.readableBytes
        guard headEndBytes < Self.headEnd.count else { return }
        for byte in buffer.readableBytesView {
            headBytes += 1
            if byte == Self.headEnd[headEndBytes] {
                headEndBytes += 1
                if headEndBytes == Self.headEnd.count { return }
            } else {
                headEndBytes = byte == Self.headEnd[0] ? 1 : 0
            }
        }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head:
            isUnderWay = true
            unanswered += 1
        case .body(let buffer): bodyBytes += buffer.readableBytes
        case .end: isUnderWay = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { unanswered -= 1 }
        context.write(data, promise: promise)
    }
}
