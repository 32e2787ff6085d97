import AgentProtocol
import HTTPTypes
import Host
import HubCore
import Model
import NIOCore
import NIOHTTP1
import ResourceKit

/// Answers the heartbeats that say nothing new, before the server makes a task of the request. Everything else goes on
/// as it came, also what is refused: there is one place for that.
final class HeartbeatLane: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    /// Larger ones take the ordinary way.
    private static let bodyBytesMax = 65_536

    private enum Phase {
        /// Parts go on as they come.
        case open
        case gathering(HTTPRequestHead, RequestSignature, [UInt8])
        /// Parts wait for the answer.
        case answering
    }

    private let api: HubAPI
    private var phase = Phase.open
    /// Requests that went on and have no answer yet.
    private var unanswered = 0
    /// Between the head and the end of a request that goes on.
    private var isPassing = false
    private var waiting: [HTTPServerRequestPart] = []
    private var isReadWaiting = false
    private var hasInputEnded = false
    private var isRemoved = false

    init(_ api: HubAPI) { self.api = api }

    func handlerRemoved(context: ChannelHandlerContext) { isRemoved = true }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { take(unwrapInboundIn(data), context) }

    func read(context: ChannelHandlerContext) {
        // One read goes on, so that the socket need not be taken out of epoll and put in again for each heartbeat; what
        // it brings is all that waits.
        if case .answering = phase, !waiting.isEmpty { isReadWaiting = true } else { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .answering = phase, event as? ChannelEvent == .inputClosed {
            hasInputEnded = true
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .end = unwrapOutboundIn(data) { unanswered -= 1 }
        context.write(data, promise: promise)
    }

    private func take(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch (phase, part) {
        case (.answering, _): waiting.append(part)
        case (.open, .head(let head)):
            // Answers leave in the order of their requests.
            if unanswered == 0, !isPassing, let signature = Self.heartbeatSignature(head) {
                phase = .gathering(head, signature, [])
            } else {
                pass(part, context)
            }
        case (.open, _): pass(part, context)
        case (.gathering(let head, let signature, var body), .body(let bytes)):
            phase = .open
            body.append(contentsOf: bytes.readableBytesView)
            if body.count <= Self.bodyBytesMax {
                phase = .gathering(head, signature, body)
            } else {
                pass(.head(head), context)
                pass(.body(ByteBuffer(bytes: body)), context)
            }
        case (.gathering(let head, let signature, let body), .end(let trailers)):
            offer(head, signature, body, trailers, context)
        case (.gathering(let head, _, let body), .head):
            // The decoder never does this; the ordinary way has an answer to it.
            phase = .open
            pass(.head(head), context)
            pass(.body(ByteBuffer(bytes: body)), context)
            pass(part, context)
        }
    }

    private func pass(_ part: HTTPServerRequestPart, _ context: ChannelHandlerContext) {
        switch part {
        case .head:
            unanswered += 1
            isPassing = true
        case .body: break
        case .end: isPassing = false
        }
        context.fireChannelRead(wrapInboundOut(part))
    }

    /// What proves a heartbeat; nil for every other request, and for heads that need a second look. The fields are gone
    /// through once: to ask for one by its name goes through all of them.
    private static func heartbeatSignature(_ head: HTTPRequestHead) -> RequestSignature? {
        guard head.method == .POST, head.uri == path, head.version == .http1_1 else { return nil }
        var length: Int?
        var node: String?
        var nonce: String?
        var timeMs: Int64?
        var proof: RequestSignature.Proof?
        for (name, value) in head.headers {
            let isRepeated: Bool
            switch name {
            case Named(RequestSignature.nodeHeader): (isRepeated, node) = (node != nil, value)
            case Named(RequestSignature.nonceHeader): (isRepeated, nonce) = (nonce != nil, value)
            case Named(RequestSignature.timeHeader): (isRepeated, timeMs) = (timeMs != nil, Int64(value))
            case Named(RequestSignature.macHeader): (isRepeated, proof) = (proof != nil, .sessionMAC(value))
            case Named(RequestSignature.signatureHeader): (isRepeated, proof) = (proof != nil, .signature(value))
            case Named("content-length"): (isRepeated, length) = (length != nil, Int(value))
            case Named("connection"), Named("expect"): return nil
            default: isRepeated = false
            }
            if isRepeated { return nil }
        }
        guard let length, length <= bodyBytesMax, let node, let nonce, let timeMs, let proof else { return nil }
        return RequestSignature(nodeId: node, timeMs: timeMs, nonce: nonce, proof: proof)
    }

    /// A field's name, in whatever case it was sent. All that is looked for consists of letters and hyphens.
    private struct Named {
        let name: String
        init(_ name: String) { self.name = name }

        static func ~= (pattern: Named, sent: String) -> Bool {
            let (name, sent) = (pattern.name.utf8, sent.utf8)
            return name.count == sent.count && zip(name, sent).allSatisfy { $0 | 0x20 == $1 | 0x20 }
        }
    }

    private static let path = "\(HubAPI.base)/agent/heartbeat"

    private func offer(
        _ head: HTTPRequestHead, _ signature: RequestSignature, _ body: [UInt8], _ trailers: HTTPHeaders?,
        _ context: ChannelHandlerContext
    ) {
        let started = ContinuousClock.now
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        phase = .open
        let place = HearingPlace(eventLoop) { eventLoop.execute($0) }
        let isTaken = api.hub.takeKnownHeartbeat(
            signature, method: "POST", path: Self.path, body: body, at: place
        ) { outcome in
            let (lane, context) = bound.value
            lane.finish(outcome, (head, body, trailers), started, context)
        }
        if isTaken { phase = .answering } else { passOn(head, body, trailers, context) }
    }

    private func finish(
        _ outcome: Hub.KnownHeartbeat, _ request: (head: HTTPRequestHead, body: [UInt8], trailers: HTTPHeaders?),
        _ started: ContinuousClock.Instant, _ context: ChannelHandlerContext
    ) {
        guard !isRemoved else { return }
        switch outcome {
        case .passed: passOn(request.head, request.body, request.trailers, context)
        case .taken: answer(.noContent, [:], nil, started, context)
        case .failed(let problem):
            let (status, fields, body) = Answers.parts(of: problem)
            let headers = HTTPHeaders(fields.map { ($0.name.canonicalName, $0.value) })
            answer(.init(statusCode: status.code), headers, body, started, context)
        }
        goOn(context)
    }

    private func answer(
        _ status: HTTPResponseStatus, _ headers: HTTPHeaders, _ body: [UInt8]?, _ started: ContinuousClock.Instant,
        _ context: ChannelHandlerContext
    ) {
        var headers = headers
        // None of them is there before: to put one in its place would go through all fields.
        headers.add(name: HubAPI.requestIdField.canonicalName, value: api.hub.world.random.hex(8))
        headers.add(name: "x-content-type-options", value: "nosniff")
        headers.add(name: "date", value: api.dates.text(at: api.hub.world.clock.now()))
        if let body { headers.add(name: "content-length", value: String(body.count)) }
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, status: status, headers: headers))), promise: nil)
        if let body { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        api.metrics.note(status: Int(status.code), duration: ContinuousClock.now - started)
    }

    private func passOn(
        _ head: HTTPRequestHead, _ body: [UInt8], _ trailers: HTTPHeaders?, _ context: ChannelHandlerContext
    ) {
        pass(.head(head), context)
        if !body.isEmpty { pass(.body(ByteBuffer(bytes: body)), context) }
        pass(.end(trailers), context)
    }

    /// What waited for the answer has its turn.
    private func goOn(_ context: ChannelHandlerContext) {
        phase = .open
        let parts = waiting
        waiting = []
        for part in parts { take(part, context) }
        // The next handler looks at what it got when it hears that this was all.
        context.fireChannelReadComplete()
        // What is gathered here waits for its rest, which is still to be read. What is answered again, waits on.
        if case .answering = phase { return }
        if isReadWaiting {
            isReadWaiting = false
            context.read()
        }
        if hasInputEnded {
            hasInputEnded = false
            context.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        }
    }
}

extension RequestSignature {
    static let nodeField = HTTPField.Name(nodeHeader)!
    static let nonceField = HTTPField.Name(nonceHeader)!
    static let timeField = HTTPField.Name(timeHeader)!
    static let signatureField = HTTPField.Name(signatureHeader)!
    static let macField = HTTPField.Name(macHeader)!

    /// Nil when nothing proves who sent the request.
    init?(_ headers: HTTPFields) {
        self.init { name in
            switch name {
            case Self.nodeHeader: headers[Self.nodeField]
            case Self.nonceHeader: headers[Self.nonceField]
            case Self.timeHeader: headers[Self.timeField]
            case Self.signatureHeader: headers[Self.signatureField]
            case Self.macHeader: headers[Self.macField]
            default: nil
            }
        }
    }
}
