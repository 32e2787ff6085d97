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

    private enum RequestState {
        case head
        case body(BodyFraming)
        /// All of it was passed on.
        case done
        /// The stream was reset from here; what still comes is nobody's.
        case refused
    }

    private let loop: EdgeLoop
    private var request = RequestState.head
    private var response: ResponseBytes
    /// Done when the last frame of the response is out.
    private var ended: EventLoopFuture<Void>?

    init(loop: EdgeLoop) {
        self.loop = loop
        response = ResponseBytes(secure: loop.secure)
    }

    private var isRequestDone: Bool { if case .done = request { true } else { false } }

    // MARK: the request

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .headers(let block):
            switch request {
            case .head: readHead(context, block.headers, isEnd: block.endStream)
            case .body: readEnd(context, block.headers)
            case .done, .refused: break
            }
        case .data(let part):
            guard case .byteBuffer(let bytes) = part.data else { return }
            readBody(context, bytes, isEnd: part.endStream)
        default: break
        }
    }

    private func readHead(_ context: ChannelHandlerContext, _ headers: HPACKHeaders, isEnd: Bool) {
        guard let head = HTTP2RequestHead.read(headers, hasBody: !isEnd) else {
            return reset(context, .protocolError)
        }
        request = isEnd ? .done : .body(head.framing)
        response.isHeadRequest = head.isHead
        context.fireChannelRead(wrapInboundOut(head.bytes))
    }

    private func readBody(_ context: ChannelHandlerContext, _ bytes: ByteBuffer, isEnd: Bool) {
        guard case .body(let framing) = request else { return }
        switch framing {
        case .length(let remaining):
            let count = UInt64(bytes.readableBytes)
            // Bytes beyond the length would be read as another request.
            guard count <= remaining, !isEnd || count == remaining else { return reset(context, .protocolError) }
            request = isEnd ? .done : .body(.length(remaining - count))
            if count > 0 { context.fireChannelRead(wrapInboundOut(bytes)) }
        case .chunked, .none, .untilClose:
            if bytes.readableBytes > 0 {
                context.fireChannelRead(wrapInboundOut(HTTP2Fields.chunk(bytes)))
            }
            if isEnd { readEnd(context, nil) }
        }
    }

    /// The end of the body, with or without trailers.
    private func readEnd(_ context: ChannelHandlerContext, _ trailers: HPACKHeaders?) {
        guard case .body(let framing) = request else { return }
        if case .length(let remaining) = framing {
            guard remaining == 0 else { return reset(context, .protocolError) }
            request = .done
            return
        }
        guard let last = HTTP2Fields.lastChunk(trailers) else { return reset(context, .protocolError) }
        request = .done
        context.fireChannelRead(wrapInboundOut(last))
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
        if case .refused = request { return }
        request = .refused
        context.writeAndFlush(wrapOutboundOut(.rstStream(code)), promise: nil)
    }
}
