import NIOCore

/// A small question of the edge's own to an endpoint: one request without body, and a bounded answer.
///
/// `@unchecked Sendable`: confined to its loop.
final class Subrequest: ByteStream, @unchecked Sendable {
    struct Answer {
        var status: UInt16
        /// Names and values as they came, but for those that belong to the connection.
        var fields: [(name: [UInt8], value: [UInt8])]
        var body: [UInt8]
    }

    typealias Completion = (Answer?) -> Void

    private let request: ByteBuffer
    private let bodyBytesMax: Int
    private var completion: Completion?
    private var inbound = ByteBuffer()
    private var answer: Answer?
    private var framing = BodyFraming.none
    private var scanner = ChunkScanner()
    private var timeout: Scheduled<Void>?
    private var head = ResponseHead()

    private init(
        _ request: ByteBuffer, on eventLoop: SocketLoop, bodyBytesMax: Int, completion: @escaping Completion
    ) {
        self.request = request
        self.bodyBytesMax = bodyBytesMax
        self.completion = completion
        super.init(eventLoop)
    }

    /// Asks; `completion` is called once, later on the loop, with nil for no whole answer in time.
    static func ask(
        _ endpoint: EndpointState, _ request: ByteBuffer, on eventLoop: SocketLoop, timeout: UInt64,
        bodyBytesMax: Int, completion: @escaping Completion
    ) -> Subrequest {
        let question = Subrequest(request, on: eventLoop, bodyBytesMax: bodyBytesMax, completion: completion)
        let limit = TimeAmount.nanoseconds(Int64(timeout))
        question.timeout = eventLoop.assumeIsolated().scheduleTask(in: limit) { question.finish(nil) }
        eventLoop.assumeIsolated().execute { question.connect(endpoint, attempt: 0, timeout) }
        return question
    }

    private func connect(_ endpoint: EndpointState, attempt: Int, _ timeout: UInt64) {
        guard completion != nil, let address = endpoint.address(attempt: attempt) else { return finish(nil) }
        Connecting.connect(to: address, on: socketLoop, timeout: timeout) { result in
            do {
                try self.open(result.get())
            } catch {
                return self.connect(endpoint, attempt: attempt + 1, timeout)
            }
            endpoint.connected(to: address)
            guard self.completion != nil else { return self.closeStream() }
            self.writeOut(self.request)
            self.flush()
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
        // Before it is closed, which tells of its end at once.
        let completion = completion
        self.completion = nil
        closeStream()
        completion?(answer)
    }

    override func inputEnded() { closeStream() }

    override func closed() {
        guard completion != nil else { return }
        finish(framing == .untilClose ? answer : nil)
    }

    override func failed(_ error: any Error) { finish(nil) }

    override func received(_ buffer: ByteBuffer) {
        guard completion != nil else { return }
        var buffer = buffer
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
