import NIOCore
import Synchronization

/// One connection to an endpoint: reads response heads, follows bodies, and tells its client connection.
///
/// `@unchecked Sendable`: confined to its loop.
final class UpstreamConnection: ByteStream, @unchecked Sendable {
    private enum Phase {
        case idle, head, body, tunnel, closed
    }

    private let loop: EdgeLoop
    let pool: UpstreamPool
    /// Of its endpoint, when it was opened.
    let generation: Int
    @exclusivity(unchecked) private var client: ClientConnection?
    @exclusivity(unchecked) private var phase = Phase.idle
    @exclusivity(unchecked) private var inbound: ByteBuffer
    /// It is in the loop's ``TurnQueue``.
    @exclusivity(unchecked) private(set) var isQueued = false
    private var isBroken = false
    /// The upstream said that it sends nothing more, or broke: what it sent before may still be read.
    private var hasEnded = false
    private var keepsAlive = false
    @exclusivity(unchecked) private var framing = BodyFraming.none
    private var scanner = ChunkScanner()
    @exclusivity(unchecked) private var clientWritesPending = false
    /// Responses it has given.
    private(set) var served = 0
    /// It served others before the request under way, and may have been closed since.
    private(set) var isReused = false
    /// The request under way got at least one byte of an answer.
    private(set) var hasAnswered = false
    /// The upstream did nothing with the request under way, and said so.
    private(set) var isRefused = false
    private(set) var idleSince: UInt64 = 0
    private(set) var idleUntil: UInt64 = 0
    private var idleTimeout: UInt64
    var poolIndex = -1

    init(loop: EdgeLoop, pool: UpstreamPool) {
        self.loop = loop
        inbound = loop.nothing
        self.pool = pool
        generation = pool.endpoint.generation.load(ordering: .relaxed)
        idleTimeout = loop.times.upstreamIdleTimeout
        super.init(loop.eventLoop)
    }

    var isOpen: Bool { phase != .closed }

    // MARK: what the client connection asks for

    func attach(_ client: ClientConnection, isReused: Bool) {
        self.client = client
        self.isReused = isReused
        hasAnswered = false
        isRefused = false
        phase = .head
    }

    /// Gives the connection up in the middle of whatever it does.
    func abandon() {
        client = nil
        close()
    }

    /// Both sides of a tunnel have ended: what the upstream has not taken yet goes out, and then it closes.
    func finishSending() {
        client = nil
        guard unsentBytes > 0 else { return close() }
        endOutput()
        guard phase != .closed else { return }
        loop.eventLoop.assumeIsolated().scheduleTask(in: .nanoseconds(Int64(loop.times.bodyIdleTimeout))) {
            self.close()
        }
    }

    func close() {
        guard phase != .closed else { return }
        phase = .closed
        closeStream()
    }

    func beginTunnel() {
        phase = .tunnel
        inbound = ByteBuffer()
    }

    // MARK: what the upstream does

    override var wantsBytes: Bool {
        guard let client else { return true }
        return client.isWritable && !(isQueued && inbound.readableBytes >= ClientConnection.queuedBytesMax)
    }

    override var wantsBytesOfBroken: Bool { client != nil }

    override func writabilityChanged() {
        if isWritable { client?.upstreamBecameWritable() }
    }

    override func received(_ buffer: ByteBuffer) {
        var buffer = buffer
        guard let client else {
            // An upstream that speaks unasked cannot be trusted with the next request.
            pool.remove(self)
            close()
            return
        }
        hasAnswered = true
        switch phase {
        case .head:
            if inbound.readableBytes == 0 { inbound = buffer } else { inbound.writeBuffer(&buffer) }
            queue(client)
        case .body: relay(buffer, client)
        case .tunnel:
            client.passOn(buffer)
            clientWritesPending = true
        case .idle, .closed: break
        }
    }

    private func queue(_ client: ClientConnection) {
        guard !isQueued else { return }
        isQueued = true
        loop.turn.add(self, for: client)
    }

    /// Reads what came in this turn of the loop, if that was not done yet.
    func serveQueued() {
        guard isQueued else { return }
        isQueued = false
        if let client { readHeads(client) }
        flushClient()
        resumeRead()
    }

    override func receivedAll() { flushClient() }

    private func flushClient() {
        guard clientWritesPending else { return }
        clientWritesPending = false
        client?.flush()
    }

    override func inputEnded() {
        hasEnded = true
        serveQueued()
        end()
    }

    override func failed(_ error: any Error) {
        hasEnded = true
        isRefused = isRefused || error is RefusedRequest
        isReused = isReused || error is LostConnection
        serveQueued()
        isBroken = true
    }

    override func closed() {
        hasEnded = true
        serveQueued()
        if phase == .tunnel { client?.upstreamTunnelClosed() }
        isBroken = isBroken || phase == .tunnel
        end()
        phase = .closed
    }

    /// The upstream sends nothing more.
    private func end() {
        let former = phase
        guard former != .closed else { return }
        guard let client else {
            pool.remove(self)
            close()
            return
        }
        switch former {
        case .tunnel where !isBroken:
            client.upstreamClosedOutput()
        case .body where framing == .untilClose && !isBroken:
            keepsAlive = false
            finish(client, isClean: true)
        default:
            self.client = nil
            close()
            if former != .tunnel { client.upstreamFailed(self) }
        }
    }

    // MARK: responses

    private func readHeads(_ client: ClientConnection) {
        while phase == .head {
            let outcome = inbound.withUnsafeReadableBytes { raw in
                raw.baseAddress.map { base in
                    ResponseHeadParser.parse(
                        base.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &loop.responseHead)
                } ?? .incomplete
            }
            switch outcome {
            case .incomplete: return
            case .refused: return fail(client)
            case .complete: break
            }
            let status = loop.responseHead.status
            if status == 101 {
                guard client.wantsUpgrade else { return fail(client) }
                return switchProtocols(client)
            }
            if status < 200 {
                passInterim(client)
                continue
            }
            passHead(client)
            return
        }
    }

    private func passInterim(_ client: ClientConnection) {
        if !client.isHTTP10 {
            let shape = ResponseShape(
                framing: .none, keepsFraming: false, closes: false, isHTTP10: false, isUpgrade: false)
            client.passOn(rewritten(shape))
            client.flush()
        }
        inbound.moveReaderIndex(forwardBy: loop.responseHead.end)
    }

    private func rewritten(_ shape: ResponseShape) -> ByteBuffer {
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            return loop.buffer(ResponseRewriter.bytesMax(loop.responseHead)) { out in
                ResponseRewriter.write(bytes, loop.responseHead, shape, date: loop.date.bytes, to: out)
            }
        }
    }

    private func passHead(_ client: ClientConnection) {
        let status = loop.responseHead.status
        let hasNoBody = client.isHeadRequest || status == 204 || status == 304
        framing = hasNoBody ? .none : loop.responseHead.framing
        keepsAlive = loop.responseHead.keepAlive && framing != .untilClose
        if let seconds = loop.responseHead.keepAliveTimeoutSeconds {
            // A second earlier than the upstream closes it, or never again.
            let trusted = UInt64(max(0, seconds - 1)) * 1_000_000_000
            idleTimeout = min(loop.times.upstreamIdleTimeout, trusted)
        }
        if framing == .chunked { scanner = ChunkScanner() }
        let shape = client.shape(of: framing, hasNoBody: hasNoBody, status: status)
        var head = rewritten(shape)
        inbound.moveReaderIndex(forwardBy: loop.responseHead.end)
        var rest = inbound
        inbound = loop.nothing
        phase = .body
        // A short body that came along goes out in one piece with the head.
        if case .length(let length) = framing, rest.readableBytes <= 4096, UInt64(rest.readableBytes) == length {
            let count = rest.readableBytes
            head.writeBuffer(&rest)
            loop.giveBack(&rest)
            client.beginResponse(head, status: status, bodyBytes: count)
            return finish(client, isClean: true)
        }
        client.beginResponse(head, status: status, bodyBytes: 0)
        clientWritesPending = true
        if framing == .none { return finish(client, isClean: rest.readableBytes == 0) }
        if rest.readableBytes > 0 { relay(rest, client) }
    }

    private func relay(_ buffer: ByteBuffer, _ client: ClientConnection) {
        var buffer = buffer
        switch framing {
        case .length(let remaining):
            let count = UInt64(buffer.readableBytes)
            guard count < remaining else {
                client.passBody(count == remaining ? buffer : buffer.readSlice(length: Int(remaining))!)
                return finish(client, isClean: count == remaining)
            }
            framing = .length(remaining - count)
            client.passBody(buffer)
        case .chunked:
            return relayChunks(buffer, client)
        case .untilClose: client.passBody(buffer)
        case .none: return fail(client)
        }
        clientWritesPending = true
    }

    private func relayChunks(_ buffer: ByteBuffer, _ client: ClientConnection) {
        let decodes = client.decodesChunks
        let outcome = buffer.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            guard decodes else { return scanner.scan(bytes, count: raw.count) }
            return scanner.scan(bytes, count: raw.count) { offset, length in
                client.passBody(buffer.getSlice(at: buffer.readerIndex + offset, length: length)!)
            }
        }
        guard outcome != .bad else { return fail(client) }
        let consumed = scanner.consumed
        if !decodes {
            client.passBody(
                consumed == buffer.readableBytes ? buffer : buffer.getSlice(at: buffer.readerIndex, length: consumed)!)
        }
        clientWritesPending = true
        if outcome == .done { finish(client, isClean: consumed == buffer.readableBytes) }
    }

    private func switchProtocols(_ client: ClientConnection) {
        let shape = ResponseShape(
            framing: .none, keepsFraming: false, closes: false, isHTTP10: false, isUpgrade: true)
        let head = rewritten(shape)
        inbound.moveReaderIndex(forwardBy: loop.responseHead.end)
        let rest = inbound
        beginTunnel()
        client.beginTunnel(head)
        if rest.readableBytes > 0 { client.passOn(rest) }
        client.flush()
    }

    /// The response is complete: back to the pool, or closed when more came than should.
    private func finish(_ client: ClientConnection, isClean: Bool) {
        self.client = nil
        clientWritesPending = false
        served += 1
        // An upstream that was offered another protocol and did not take it may still have stopped reading requests.
        let isReusable = keepsAlive && isClean && !hasEnded && !mayHaveEnded && !client.wantsUpgrade
        if isReusable, client.isRequestSent, idleTimeout > 0 {
            phase = .idle
            idleSince = loop.coarseNow
            idleUntil = idleSince &+ idleTimeout
            pool.put(self)
        } else {
            close()
        }
        client.responseFinished()
        resumeRead()
    }

    /// The upstream broke the protocol.
    private func fail(_ client: ClientConnection) {
        self.client = nil
        close()
        client.upstreamFailed(self)
    }
}
