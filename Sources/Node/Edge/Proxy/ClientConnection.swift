import NIOCore
import Synchronization

/// One connection of a client: reads request heads, finds who answers them, and passes bytes both ways. Requests are
/// served one at a time, in order.
///
/// `@unchecked Sendable`: confined to its loop.
final class ClientConnection: ByteStream, @unchecked Sendable {
    enum Phase {
        /// Between requests, or in the middle of a head.
        case head
        /// The upstream is held, or a connection to it is being opened.
        case waiting
        case exchange
        /// A file is being sent.
        case sending
        case tunnel
        /// The last response is out; what still comes in is thrown away so that the client can read it.
        case lingering
        case closed
    }

    static let pipelinedBytesMax = 64 * 1024
    /// What is read before a head in front of it is served; it would be copied to what comes.
    static let queuedBytesMax = 16 * 1024
    static let replayBytesMax = 64 * 1024
    static let lingerBytesMax = 4 * 1024 * 1024

    let loop: EdgeLoop
    let isInternal: Bool
    let transport: ClientTransport
    let remote: SocketAddress?
    /// See ``ForwardedLines``; the same for all requests of the connection.
    let forwardedLines: [UInt8]
    var registryIndex = -1
    @exclusivity(unchecked) var phase = Phase.head
    @exclusivity(unchecked) var inbound: ByteBuffer
    @exclusivity(unchecked) var deadline: UInt64 = 0
    private var linger = 0
    /// All output was written and the end of it told.
    private(set) var isOutputClosed = false
    private var isInputClosed = false
    private(set) var requestsServed = 0
    /// See ``isOutputMoving()``.
    var unsent = UnsentOutput()
    /// When the last answer was complete; 0 before.
    @exclusivity(unchecked) private(set) var servedAt: UInt64 = 0
    /// It is in the loop's ``TurnQueue``.
    @exclusivity(unchecked) private(set) var isQueued = false

    // The request under way.
    @exclusivity(unchecked) var request = ClientRequest()
    @exclusivity(unchecked) var memory: RequestMemory
    var scanner = ChunkScanner()
    @exclusivity(unchecked) var upstream: RoutingTable.Upstream?
    @exclusivity(unchecked) var endpoint: RoutingTable.Endpoint?
    /// The endpoint that the request went to last, for the log.
    @exclusivity(unchecked) var lastUpstream: EndpointState?
    @exclusivity(unchecked) var connection: UpstreamConnection?
    var tried: [EndpointState] = []
    @exclusivity(unchecked) var heldSince: UInt64 = 0
    var heldBy: UpstreamState?
    /// ``EdgeLoop/tableNumber`` when it was begun.
    @exclusivity(unchecked) var logTableNumber = 0
    var upstreamWritesPending = false
    /// What the request's route asks, and how far the request has come in it; nil for most.
    @exclusivity(unchecked) var policy: RoutePolicy?
    @exclusivity(unchecked) var progress: PolicyProgress?
    /// Counters that the request belongs to.
    @exclusivity(unchecked) var series: Series
    /// What a folder's plan adds to the answer that is being written, and nothing otherwise.
    var staticFields = ""
    var staticStatus: UInt16 = 200
    var staticType: String?
    /// What this request was let through to try.
    @exclusivity(unchecked) var trialHealth: EndpointHealth?
    @exclusivity(unchecked) var trialBreaker: CircuitBreaker?

    init(loop: EdgeLoop, isInternal: Bool = false, transport: ClientTransport = .plain, remote: SocketAddress?) {
        self.loop = loop
        self.isInternal = isInternal
        self.transport = transport
        self.remote = remote
        series = loop.metrics.unrouted
        inbound = loop.nothing
        memory = RequestMemory(upstreamHead: loop.nothing)
        let address = remote?.ipAddress ?? "127.0.0.1"
        forwardedLines = ForwardedLines.make(chain: Array(address.utf8), hops: [address], transport.scheme)
        super.init(loop.eventLoop)
    }

    var wantsUpgrade: Bool { request.wantsUpgrade }
    var isHTTP10: Bool { request.isHTTP10 }
    var isHeadRequest: Bool { request.method == .head }
    var isRequestSent: Bool { request.isSent }

    // MARK: what the client does

    override func attached() {
        loop.add(self)
        deadline = loop.coarseNow &+ loop.times.requestHeadTimeout
    }

    override var wantsBytes: Bool {
        switch phase {
        case .head: isWritable && !(isQueued && inbound.readableBytes >= Self.queuedBytesMax)
        case .waiting: request.isSent && inbound.readableBytes < Self.pipelinedBytesMax
        case .exchange:
            request.isSent
                ? inbound.readableBytes < Self.pipelinedBytesMax : connection?.isWritable ?? false
        case .sending: inbound.readableBytes < Self.pipelinedBytesMax
        case .tunnel: connection?.isWritable ?? false
        case .lingering: true
        case .closed: false
        }
    }

    override func received(_ buffer: ByteBuffer) {
        switch phase {
        case .head:
            let isContinued = inbound.readableBytes > 0
            keep(buffer)
            // Part of a head without a line end cannot complete it.
            if isContinued, !holdsLineEnd(buffer), inbound.readableBytes <= HeadLimits.headBytesMax { return }
            queue()
        case .exchange where !request.isSent:
            keepRest(forwardBody(buffer))
        case .tunnel:
            deadline = loop.coarseNow &+ loop.times.tunnelIdleTimeout
            request.bytesIn &+= UInt64(buffer.readableBytes)
            connection?.writeOut(buffer)
            upstreamWritesPending = true
        case .waiting, .exchange, .sending: keep(buffer)
        case .lingering:
            linger += buffer.readableBytes
            if linger > Self.lingerBytesMax { closeNow() }
        case .closed: break
        }
    }

    private func queue() {
        guard !isQueued else { return }
        isQueued = true
        loop.turn.add(self)
    }

    /// Serves what was read in this turn of the loop, if that was not done yet.
    func serveQueued() {
        guard isQueued else { return }
        isQueued = false
        processInbound()
        flushUpstream()
        resumeRead()
    }

    private func holdsLineEnd(_ buffer: ByteBuffer) -> Bool { buffer.readableBytesView.contains(ByteClass.lf) }

    func keep(_ buffer: ByteBuffer) {
        var buffer = buffer
        if inbound.readableBytes == 0 { inbound = buffer } else { inbound.writeBuffer(&buffer) }
    }

    private func keepRest(_ buffer: ByteBuffer) {
        if buffer.readableBytes > 0 { keep(buffer) }
    }

    override func receivedAll() { flushUpstream() }

    private func flushUpstream() {
        guard upstreamWritesPending else { return }
        upstreamWritesPending = false
        connection?.flush()
    }

    override func writabilityChanged() {
        guard isWritable else { return }
        if phase == .exchange { touch() }
        connection?.resumeRead()
        if phase == .head, inbound.readableBytes > 0 { processInbound() }
        resumeRead()
    }

    override func inputEnded() {
        serveQueued()
        guard phase == .exchange else { return endInput() }
        // An answer that is there is not lost for the end having been read in the same turn, before or after it.
        loop.eventLoop.assumeIsolated().execute {
            self.connection?.serveQueued()
            self.endInput()
        }
    }

    private func endInput() {
        switch phase {
        case .tunnel:
            deadline = loop.coarseNow &+ loop.times.bodyIdleTimeout
            connection?.endOutput()
        case .sending:
            isInputClosed = true
            request.keepAlive = false
        case .lingering where !isOutputClosed: isInputClosed = true
        default: closeNow()
        }
    }

    override func failed(_ error: any Error) { closeNow() }

    override func closed() {
        if phase == .tunnel, let connection {
            self.connection = nil
            connection.finishSending()
        }
        closeNow()
        loop.remove(self)
    }

    // MARK: heads

    /// Serves what is buffered, one request after the other.
    func processInbound() {
        while phase == .head, inbound.readableBytes > 0, isWritable {
            let outcome = inbound.withUnsafeReadableBytes { raw in
                RequestHeadParser.parse(
                    raw.baseAddress!.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &loop.requestHead)
            }
            switch outcome {
            case .incomplete:
                if !request.hasBegun {
                    request.hasBegun = true
                    deadline = loop.coarseNow &+ loop.times.requestHeadTimeout
                }
                return
            case .refused(let status): return refuse(status)
            case .complete: startRequest()
            }
        }
        if phase == .head, inbound.readableBytes == 0 { loop.giveBack(&inbound) }
    }

    /// Answers a request that cannot be read, and closes.
    func refuse(_ status: UInt16) {
        request = ClientRequest()
        request.startedAt = loop.coarseNow
        request.id = (loop.nextRandom(), loop.nextRandom())
        request.keepAlive = false
        request.isRefused = true
        series = loop.metrics.unrouted
        series.begin(at: loop.wallMilliseconds(request.startedAt))
        memory.logLine.removeAll(keepingCapacity: true)
        var page = AnswerPage(status: status)
        // As far as the head is there: what is wrong with it mostly stands in a line of its own.
        page.wantsJSON = inbound.withUnsafeReadableBytes { raw in
            AnswerPage.prefersJSON(
                raw.baseAddress!.assumingMemoryBound(to: UInt8.self), min(raw.count, HeadLimits.headBytesMax))
        }
        answer(page, fields: status == 405 ? Self.allow : "")
    }

    // MARK: the end of a request

    /// Everything of a response was written.
    func responseFinished() {
        connection = nil
        if request.encodesChunks { write(ByteBuffer(staticString: "0\r\n\r\n")) }
        settle()
        flush()
        guard phase != .closed else { return }
        finishRequest()
    }

    /// Counts and logs the request; nothing of it is under way any more.
    func settle() {
        if let endpoint {
            endpoint.state.inFlight.subtract(1, ordering: .releasing)
            self.endpoint = nil
        }
        leaveHold()
        if request.startedAt != 0 {
            let now = loop.takeTime()
            series.finish(
                status: request.status, microseconds: (now &- request.startedAt) / 1000, bytesIn: request.bytesIn,
                bytesOut: request.bytesOut)
            writeLog(now)
            requestsServed &+= 1
            request.startedAt = 0
            servedAt = now
            lastUpstream = nil
            loop.spares.give(memory)
            memory = RequestMemory(upstreamHead: loop.nothing)
        }
        if trialHealth != nil || trialBreaker != nil { endTrials() }
        if policy != nil || progress != nil { endPolicy() }
        upstream = nil
        if !tried.isEmpty { tried = [] }
    }

    /// Goes on to the next request, or closes.
    func finishRequest() {
        guard request.keepAlive, request.isSent, !loop.isDraining else { return lingerAndClose() }
        request.hasBegun = false
        phase = .head
        deadline = loop.coarseNow &+ loop.times.keepAliveTimeout
        if inbound.readableBytes > 0 { processInbound() }
        resumeRead()
    }

    /// Closes so that the client gets the whole response: a plain close with unread input would reset the connection.
    func lingerAndClose() {
        guard phase != .closed, phase != .lingering else { return }
        phase = .lingering
        linger = inbound.readableBytes
        inbound = ByteBuffer()
        deadline = loop.coarseNow &+ loop.times.bodyIdleTimeout
        if isOutputClosed { awaitEnd() } else { endOutput() }
        resumeRead()
    }

    override func outputEnded() {
        isOutputClosed = true
        // The client of a tunnel goes on.
        if phase == .lingering { awaitEnd() }
    }

    /// For the client to have read all, and to say so.
    private func awaitEnd() {
        if isInputClosed { closeNow() } else { deadline = loop.coarseNow &+ 2_000_000_000 }
    }

    /// Ends everything at once.
    func closeNow() {
        guard phase != .closed else { return }
        if phase != .head, phase != .lingering, request.status == 0 { request.status = 499 }
        phase = .closed
        if let connection {
            self.connection = nil
            connection.abandon()
        }
        settle()
        inbound = ByteBuffer()
        deadline = .max
        closeStream()
    }

    /// The body made progress.
    @inline(__always)
    func touch() { deadline = loop.coarseNow &+ loop.times.bodyIdleTimeout }

    @inline(__always)
    func write(_ buffer: ByteBuffer) {
        request.bytesOut &+= UInt64(buffer.readableBytes)
        writeOut(buffer)
    }
}
