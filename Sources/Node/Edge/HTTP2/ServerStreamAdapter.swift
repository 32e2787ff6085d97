import NIOCore
import NIOHPACK
import NIOHTTP2

/// One stream of an HTTP/2 client as the HTTP/1.1 connection that ``ClientConnection`` serves: the same rules for both
/// protocols, since there is only one place that has them.
///
/// Towards the edge, a body without a length is chunked; towards the client, framing becomes frames again. Reads and
/// writability pass through, so that flow control (RFC 9113 section 5.2) reaches from end to end.
///
/// `@unchecked Sendable`: confined to the event loop of its channel.
final class ServerStreamAdapter: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = HTTP2Frame.FramePayload
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = HTTP2Frame.FramePayload

    private let loop: EdgeLoop
    /// Nil until its head is there.
    private var request: BodyBytes?
    /// The stream was reset from here; what still comes is nobody's.
    private var isRefused = false
    private var response: ResponseBytes
    /// Done when the last frame of the response is out.
    private var ended: EventLoopFuture<Void>?

    init(loop: EdgeLoop) {
        self.loop = loop
        response = ResponseBytes(secure: loop.secure)
    }

    private var isRequestDone: Bool { request?.isDone ?? false }

    // MARK: the request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused, !isRequestDone else { return }
        switch unwrapInboundIn(data) {
        case .headers(let block):
            if request == nil {
                readHead(context, block.headers, isEnd: block.endStream)
            } else {
                pass(context, request?.end(block.headers))
            }
        case .data(let part):
            guard request != nil, case .byteBuffer(let bytes) = part.data else { return }
            pass(context, request?.add(bytes, isEnd: part.endStream))
        default: break
        }
    }

    private func readHead(_ context: ChannelHandlerContext, _ headers: HPACKHeaders, isEnd: Bool) {
        guard let head = HTTP2RequestHead.read(headers, hasBody: !isEnd) else {
            return reset(context, .protocolError)
        }
        request = BodyBytes(head.framing, isDone: isEnd)
        response.isHeadRequest = head.isHead
        context.fireChannelRead(wrapInboundOut(head.bytes))
    }

    /// - Parameter bytes: of the body; nil when it is not what the head has promised.
    private func pass(_ context: ChannelHandlerContext, _ bytes: ByteBuffer?) {
        guard let bytes else { return reset(context, .protocolError) }
        if bytes.readableBytes > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
    }

    // MARK: the response

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard case .byteBuffer(let bytes) = unwrapOutboundIn(data) else {
            // Files come as bytes over TLS.
            promise?.fail(ChannelError.operationUnsupported)
            return
        }
        var pending: HTTP2Frame.FramePayload?
        let outcome = response.add(bytes) { payload in
            if let former = pending { context.write(wrapOutboundOut(former), promise: nil) }
            pending = payload
        }
        switch outcome {
        case .more:
            guard let pending else {
                promise?.succeed()
                return
            }
            context.write(wrapOutboundOut(pending), promise: promise)
        case .done:
            guard let pending else { return reset(context, .internalError) }
            writeLast(context, pending, promise)
        case .bad:
            promise?.fail(ChannelError.inputClosed)
            reset(context, .internalError)
        }
    }

    /// A response that is complete before its request ends the stream: RFC 9113 section 8.1.
    private func writeLast(
        _ context: ChannelHandlerContext, _ payload: HTTP2Frame.FramePayload, _ promise: EventLoopPromise<Void>?
    ) {
        let sent = promise ?? context.eventLoop.makePromise(of: Void.self)
        ended = sent.futureResult
        if !isRequestDone {
            sent.futureResult.assumeIsolated().whenSuccess {
                if !self.isRequestDone { self.reset(context, .noError) }
            }
        }
        context.write(wrapOutboundOut(payload), promise: sent)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        switch mode {
        case .output:
            if let ended {
                if let promise { ended.cascade(to: promise) }
                return
            }
            reset(context, .internalError)
            promise?.succeed()
        case .all, .input:
            if ended == nil { reset(context, .internalError) }
            context.close(mode: .all, promise: promise)
        }
    }

    private func reset(_ context: ChannelHandlerContext, _ code: HTTP2ErrorCode) {
        if isRefused { return }
        isRefused = true
        context.writeAndFlush(wrapOutboundOut(.rstStream(code)), promise: nil)
    }
}
