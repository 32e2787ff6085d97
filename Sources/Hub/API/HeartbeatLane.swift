import AgentProtocol
import HTTPTypes
import Host
import HubCore
import Model
import NIOCore
import NIOHTTP1
import ResourceKit

/// Answers the heartbeats that say nothing new from the bytes that came, in front of all that makes a request of them.
/// Everything else goes on as it came, also what is refused: there is one place for that.
final class HeartbeatLane: ChannelInboundHandler, ChannelOutboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = IOData
    typealias OutboundOut = IOData

    private enum Phase {
        /// Bytes go on as they come, but for a heartbeat that begins where a request may begin.
        case open
        /// What is held is the beginning of a heartbeat.
        case gathering
        /// What is held came after the heartbeat that waits for its answer.
        case answering
    }

    private let api: HubAPI
    private let passed: PassedRequests
    private let timeouts: RequestTimeouts
    private var phase = Phase.open
    private var held = ByteBuffer()
    private var isReadWaiting = false
    /// What waits for the answer that is owed: that the client or the server goes, and the end of the connection, which
    /// a server that stops asks for as soon as no request has come to it.
    private var heldEvents: [Any] = []
    private var heldCloses: [(mode: CloseMode, promise: EventLoopPromise<Void>?)] = []
    private var isRemoved = false

    /// - Parameters:
    ///   - passed: sees what the server makes of the bytes that went on.
    ///   - timeouts: hears of each answer.
    init(_ api: HubAPI, _ passed: PassedRequests, _ timeouts: RequestTimeouts) {
        self.api = api
        self.passed = passed
        self.timeouts = timeouts
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        isRemoved = true
        for close in heldCloses { close.promise?.succeed() }
        heldCloses = []
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        switch phase {
        case .open: take(bytes, context)
        case .gathering:
            phase = .open
            let whole = held.append(&bytes)
            take(whole, context)
        case .answering: held = held.append(&bytes)
        }
    }

    func read(context: ChannelHandlerContext) {
        // One read goes on, so that the socket need not be taken out of epoll and put in again for each heartbeat; what
        // it brings is all that waits.
        if phase == .answering, held.readableBytes > 0 { isReadWaiting = true } else { context.read() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if event as? ChannelEvent == .inputClosed || event is ChannelShouldQuiesceEvent {
            if phase == .answering { return heldEvents.append(event) }
            passHeld(context)
        }
        context.fireUserInboundEventTriggered(event)
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if phase == .answering { return heldCloses.append((mode, promise)) }
        context.close(mode: mode, promise: promise)
    }

    /// Looks at bytes that nobody has seen.
    private func take(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard passed.isBetweenRequests else { return pass(bytes, context) }
        switch bytes.withUnsafeReadableBytes(HeartbeatHead.read) {
        case .other: pass(bytes, context)
        case .incomplete: gather(bytes)
        case .complete(let head):
            let isWhole = bytes.readableBytes >= head.byteCount + head.bodyBytes
            if isWhole { return offer(head, bytes, context) }
            // A stranger gets no memory.
            if api.hub.hearsHeartbeats(of: head.signature.nodeId) { gather(bytes) } else { pass(bytes, context) }
        }
    }

    private func gather(_ bytes: ByteBuffer) {
        phase = .gathering
        held = bytes
    }

    private func pass(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        guard !passed.isOver else { return }
        passed.begin(bytes)
        context.fireChannelRead(wrapInboundOut(bytes))
    }

    private func passHeld(_ context: ChannelHandlerContext) {
        let bytes = held
        held = ByteBuffer()
        phase = .open
        if bytes.readableBytes > 0 { pass(bytes, context) }
    }

    private func offer(_ head: HeartbeatHead, _ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
        let started = ContinuousClock.now
        var rest = bytes
        let request = rest.readSlice(length: head.byteCount + head.bodyBytes)!
        let body = Array(request.readableBytesView.dropFirst(head.byteCount))
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let place = HearingPlace(eventLoop) { eventLoop.execute($0) }
        let isTaken = api.hub.takeKnownHeartbeat(
            head.signature, method: "POST", path: HeartbeatHead.path, body: body, at: place
        ) { outcome in
            let (lane, context) = bound.value
            lane.finish(outcome, request, started, context)
        }
        guard isTaken else { return pass(bytes, context) }
        phase = .answering
        held = rest
    }

    private func finish(
        _ outcome: Hub.KnownHeartbeat, _ request: ByteBuffer, _ started: ContinuousClock.Instant,
        _ context: ChannelHandlerContext
    ) {
        guard !isRemoved else { return }
        switch outcome {
        case .passed: pass(request, context)
        case .taken: answer(.noContent, [:], nil, started, context)
        case .failed(let problem):
            let (status, fields, body) = Answers.parts(of: problem)
            answer(.init(statusCode: status.code), fields, body, started, context)
        }
        goOn(context)
    }

    private func answer(
        _ status: HTTPResponseStatus, _ fields: HTTPFields, _ body: [UInt8]?, _ started: ContinuousClock.Instant,
        _ context: ChannelHandlerContext
    ) {
        var text = "HTTP/1.1 \(status.code) \(status.reasonPhrase)\r\n"
        for field in fields { text += "\(field.name.canonicalName): \(field.value)\r\n" }
        text += "\(HubAPI.requestIdField.canonicalName): \(api.hub.world.random.hex(8))\r\n"
        text += "x-content-type-options: nosniff\r\ndate: \(api.dates.text(at: api.hub.world.clock.now()))\r\n"
        if let body { text += "content-length: \(body.count)\r\n" }
        text += "\r\n"
        var bytes = context.channel.allocator.buffer(capacity: text.utf8.count + (body?.count ?? 0))
        bytes.writeString(text)
        if let body { bytes.writeBytes(body) }
        context.writeAndFlush(wrapOutboundOut(.byteBuffer(bytes)), promise: nil)
        timeouts.expectRequest()
        api.metrics.note(status: Int(status.code), duration: ContinuousClock.now - started)
        if status == .noContent { api.metrics.noteKnownHeartbeat() }
    }

    /// What waited for the answer has its turn.
    private func goOn(_ context: ChannelHandlerContext) {
        phase = .open
        let (events, closes) = (heldEvents, heldCloses)
        (heldEvents, heldCloses) = ([], [])
        let bytes = held
        held = ByteBuffer()
        if bytes.readableBytes > 0 {
            // No further answer may be owed at the end.
            if events.isEmpty, closes.isEmpty { take(bytes, context) } else { pass(bytes, context) }
        }
        // The next handler looks at what it got when it hears that this was all.
        context.fireChannelReadComplete()
        // What is answered again, waits on.
        if phase == .answering { return }
        if isReadWaiting {
            isReadWaiting = false
            context.read()
        }
        for event in events { context.fireUserInboundEventTriggered(event) }
        for close in closes { context.close(mode: close.mode, promise: close.promise) }
    }
}

extension ByteBuffer {
    /// These bytes and those after them; nothing is copied when these are none.
    fileprivate func append(_ more: inout ByteBuffer) -> ByteBuffer {
        guard readableBytes > 0 else { return more }
        var all = self
        all.writeBuffer(&more)
        return all
    }
}
