import NIOCore
import NIOHTTP1

/// Tells where one request of a connection ends and the next may begin: after as many bytes as the server read of the
/// one before, and after its answer. A connection that is not so plain (several requests at once, bodies in chunks) has
/// no such place any more.
///
/// It also ends connections: the decoder stops reading after a request that is the last of its connection, and would
/// keep all that a client sends behind it.
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
    /// No request follows the one that was read last.
    private var isLast = false

    var isBetweenRequests: Bool {
        guard bytes > 0 else { return true }
        return !isUnderWay && unanswered == 0 && !isLast && headEndBytes == Self.headEnd.count
            && bytes == headBytes + bodyBytes
    }

    /// What still comes is nobody's.
    var isOver: Bool { isLast && !isUnderWay }

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
        case .head(var head):
            isUnderWay = true
            unanswered += 1
            guard Self.isLast(head) else { break }
            isLast = true
            // This and nothing else makes the server close the connection after its answer.
            head.headers.replaceOrAdd(name: "connection", value: "close")
            return context.fireChannelRead(wrapInboundOut(.head(head)))
        case .body(let buffer): bodyBytes += buffer.readableBytes
        case .end: isUnderWay = false
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        switch unwrapOutboundIn(data) {
        case .head(var head) where isLast && unanswered == 1:
            head.headers.replaceOrAdd(name: "connection", value: "close")
            return context.write(wrapOutboundOut(.head(head)), promise: promise)
        case .end: unanswered -= 1
        default: break
        }
        context.write(data, promise: promise)
    }

    /// Whether the decoder takes no request after this one: the client says so, or would go on in a protocol that is
    /// not spoken here.
    private static func isLast(_ head: HTTPRequestHead) -> Bool {
        guard head.isKeepAlive, head.method != .CONNECT else { return true }
        return head.headers.contains(name: "upgrade")
            && head.headers["connection"].contains { $0.lowercased().contains("upgrade") }
    }
}
