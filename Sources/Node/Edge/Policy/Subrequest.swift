import NIOCore
import NIOPosix

/// A small question of the edge's own to an endpoint: one request without body, and a bounded answer.
///
/// `@unchecked Sendable`: confined to one event loop.
final class Subrequest: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    struct Answer {
        var status: UInt16
        /// Names and values as they came, but for those that belong to the connection.
        var fields: [(name: [UInt8], value: [UInt8])]
        var body: [UInt8]
    }

    typealias Completion = (Answer?) -> Void

    private let eventLoop: any EventLoop
    private let request: ByteBuffer
    private let bodyBytesMax: Int
    private var completion: Completion?
    private var channel: (any Channel)?
    private var inbound = ByteBuffer()
    private var answer: Answer?
    private var framing = BodyFraming.none
    private var scanner = ChunkScanner()
    private var timeout: Scheduled<Void>?
    private var head = ResponseHead()

    private init(
        _ request: ByteBuffer, on eventLoop: any EventLoop, bodyBytesMax: Int, completion: @escaping Completion
    ) {
        self.request = request
        self.eventLoop = eventLoop
        self.bodyBytesMax = bodyBytesMax
        self.completion = completion
    }

    /// Asks; `completion` is called once, on the event loop, with nil for no whole answer in time.
    static func ask(
        _ endpoint: EndpointState, _ request: ByteBuffer, on eventLoop: any EventLoop, timeout: UInt64,
        bodyBytesMax: Int, completion: @escaping Completion
    ) -> Subrequest {
        let question = Subrequest(request, on: eventLoop, bodyBytesMax: bodyBytesMax, completion: completion)
        let limit = TimeAmount.nanoseconds(Int64(timeout))
        question.timeout = eventLoop.assumeIsolated().scheduleTask(in: limit) { question.finish(nil) }
        question.connect(endpoint, attempt: 0, limit)
        return question
    }

    private func connect(_ endpoint: EndpointState, attempt: Int, _ limit: TimeAmount) {
        guard completion != nil, let address = endpoint.address(attempt: attempt) else { return finish(nil) }
        ClientBootstrap(group: eventLoop)
            .connectTimeout(limit)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(self) }
            }
            .connect(to: address)
            .assumeIsolated()
            .whenComplete { result in
                switch result {
                case .success: endpoint.connected(to: address)
                case .failure: self.connect(endpoint, attempt: attempt + 1, limit)
                }
            }
    }

    /// Nobody wants the answer any more.
    func cancel() {
        completion = nil
        finish(nil)
    }

    private func finish(_ answer: Answer?) {
        timeout?.cancel()
        timeout = nil
        // Before the channel is closed, which tells of its end at once.
        let completion = completion
        self.completion = nil
        channel?.close(mode: .all, promise: nil)
        channel = nil
        completion?(answer)
    }

    func channelActive(context: ChannelHandlerContext) {
        guard completion != nil else { return context.close(promise: nil) }
        channel = context.channel
        context.writeAndFlush(wrapOutboundOut(request), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {
        guard completion != nil else { return }
        finish(framing == .untilClose ? answer : nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        finish(nil)
        context.close(promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard completion != nil else { return }
        var buffer = unwrapInboundIn(data)
        inbound.writeBuffer(&buffer)
        while answer == nil {
            let outcome = inbound.withUnsafeReadableBytes { raw in
                raw.baseAddress.map {
                    ResponseHeadParser.parse($0.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &head)
                } ?? .incomplete
            }
            switch outcome {
            case .incomplete: return
            case .refused: return finish(nil)
            case .complete: readHead()
            }
        }
        readBody()
    }

    private func readHead() {
        defer { inbound.moveReaderIndex(forwardBy: head.end) }
        guard head.status >= 200 else { return }
        var answer = Answer(status: head.status, fields: [], body: [])
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            for index in 0..<head.fieldCount {
                let field = head.fields[index]
                guard field.id == .other, !field.isHopByHop else { continue }
                func copy(_ range: ByteRange) -> [UInt8] {
                    Array(UnsafeBufferPointer(start: bytes + range.start, count: range.count))
                }
                answer.fields.append((copy(field.name), copy(field.value)))
            }
        }
        framing = head.status == 204 || head.status == 304 ? .none : head.framing
        self.answer = answer
    }

    private func readBody() {
        guard var answer else { return }
        var isDone = false
        inbound.withUnsafeReadableBytes { raw in
            switch framing {
            case .none: isDone = true
            case .length(let length):
                let take = Int(min(length, UInt64(raw.count)))
                answer.body += raw[..<take]
                framing = .length(length - UInt64(take))
                isDone = length == UInt64(take)
            case .chunked:
                guard let base = raw.baseAddress, raw.count > 0 else { return }
                let outcome = scanner.scan(base.assumingMemoryBound(to: UInt8.self), count: raw.count) {
                    offset, length in
                    answer.body += raw[offset..<offset + length]
                }
                isDone = outcome != .more
                if outcome == .bad { answer.status = 0 }
            case .untilClose: answer.body += raw
            }
        }
        inbound.clear()
        self.answer = answer
        if answer.status == 0 || answer.body.count > bodyBytesMax { return finish(nil) }
        if isDone { finish(answer) }
    }
}
