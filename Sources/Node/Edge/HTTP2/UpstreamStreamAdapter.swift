import NIOCore
import NIOHPACK
import NIOHTTP2

/// The upstream did nothing with a request: it may be sent again, whatever it asks for (RFC 9113 section 8.7).
struct RefusedRequest: Error {}

/// The connection is gone that requests share, and it had answered before: as one that was kept and closed meanwhile.
struct LostConnection: Error {}

/// One stream to an upstream that speaks HTTP/2 in clear text, as the HTTP/1.1 connection that ``UpstreamConnection``
/// knows; it serves one request and is done.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class UpstreamStreamAdapter: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let session: UpstreamSession
    private var request: RequestBytes
    /// Nil until its head is there.
    private var response: BodyBytes?

    init(_ session: UpstreamSession, loop: EdgeLoop) {
        self.session = session
        request = RequestBytes(secure: loop.secure)
    }

    private var isResponseDone: Bool { response?.isDone ?? false }

    // MARK: the request

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(let bytes) = unwrapOutboundIn(data) else {
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        let outcome = request.add(bytes) { context.write(wrapOutboundOut($0), promise: nil) }
        if outcome == .bad {
            promise?.fail(ChannelError.inputClosed)
            context.close(mode: .all, promise: nil)
        } else {
            promise?.succeed()
        }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        // Both ends are done, and the stream ends by itself: a reset would come after it.
        if isResponseDone, request.isDone {
            promise?.succeed()
        } else {
            context.close(mode: .all, promise: promise)
        }
    }

    // MARK: the end of a stream

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        let isRefused = (error as? NIOHTTP2Errors.StreamClosed)?.errorCode == .refusedStream
        context.fireErrorCaught(isRefused || wasRefused(context) ? RefusedRequest() : error)
    }

    func channelInactive(context: ChannelHandlerContext) {
        if wasRefused(context) {
            context.fireErrorCaught(RefusedRequest())
        } else if session.isLost {
            context.fireErrorCaught(LostConnection())
        }
        context.fireChannelInactive()
    }

    private func wasRefused(_ context: ChannelHandlerContext) -> Bool {
        // A stream has no number, and says so by an error, until its head is sent.
        session.hasRefused(try? context.channel.syncOptions?.getOption(HTTP2StreamChannelOptions.streamID))
    }

    // MARK: the response

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isResponseDone else { return }
        switch unwrapInboundIn(data) {
        case .headers(let block):
            if response == nil {
                readHead(context, block.headers, isEnd: block.endStream)
            } else {
                pass(context, response?.end(block.headers))
            }
        case .data(let part):
            guard response != nil, case .byteBuffer(let bytes) = part.data else { return }
            pass(context, response?.add(bytes, isEnd: part.endStream))
        default: break
        }
    }

    private func readHead(_ context: ChannelHandlerContext, _ headers: HPACKHeaders, isEnd: Bool) {
        var length: UInt64?
        var bytes = ByteBuffer()
        let status = headers.first(name: ":status") ?? ""
        guard status.utf8.count == 3, status.utf8.allSatisfy(ByteClass.isDigit) else { return broken(context) }
        bytes.writeString("HTTP/1.1 \(status) \r\n")
        for (name, value, _) in headers where name != ":status" {
            guard HTTP2Fields.isName(name), HTTP2Fields.isValue(value) else { return broken(context) }
            if name == "content-length" {
                guard length == nil, let number = HTTP2Fields.length(value) else { return broken(context) }
                length = number
            }
            HTTP2Fields.write(name, value, &bytes)
        }
        if status.hasPrefix("1") {
            bytes.writeStaticString("\r\n")
            return context.fireChannelRead(wrapInboundOut(bytes))
        }
        let hasNoBody = request.isHeadRequest || status == "204" || status == "304"
        if isEnd, length == nil, !hasNoBody {
            bytes.writeStaticString("content-length: 0\r\n")
        } else if !isEnd, length == nil {
            bytes.writeStaticString("transfer-encoding: chunked\r\n")
        }
        bytes.writeStaticString("connection: close\r\n\r\n")
        guard !isEnd || hasNoBody || length ?? 0 == 0 else { return broken(context) }
        session.hasAnswered = true
        response = BodyBytes(length.map { .length($0) } ?? .chunked, isDone: isEnd)
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    /// - Parameter bytes: of the body; nil when it is not what the head has promised.
    private func pass(_ context: ChannelHandlerContext, _ bytes: ByteBuffer?) {
        guard let bytes else { return broken(context) }
        if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
    }

    /// The upstream broke the protocol; the end of the stream tells who waits for it.
    private func broken(_ context: ChannelHandlerContext) { context.close(mode: .all, promise: nil) }
}
