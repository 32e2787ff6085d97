import NIOCore
import Synchronization

extension ClientConnection {
    // MARK: finding a connection

    /// Sends the request to the best endpoint that was not tried yet.
    func dispatch() {
        guard let upstream else { return closeNow() }
        let found: RoutingTable.Endpoint?
        if let plan = upstream.plan {
            guard passesBreaker(plan, upstream) else { return }
            found = choose(by: plan, upstream)
        } else {
            found = loop.choose(upstream, tried: tried, now: request.startedAt)
        }
        guard let endpoint = found else { return noEndpoint(upstream) }
        endpoint.state.inFlight.add(1, ordering: .acquiring)
        self.endpoint = endpoint
        lastUpstream = endpoint.state
        let isRepeatable = request.method.isIdempotent
        if let idle = loop.pool(endpoint).take(now: loop.coarseNow, isRepeatable: isRepeatable) {
            attach(idle, isReused: true)
        } else {
            connect(endpoint)
        }
    }

    /// - Parameter attempt: how many addresses of the endpoint were tried before.
    private func connect(_ endpoint: RoutingTable.Endpoint, attempt: Int = 0) {
        guard let address = endpoint.state.address(attempt: attempt) else { return connectFailed(endpoint) }
        phase = .waiting
        deadline = .max
        let loop = loop
        let pool = loop.pool(endpoint)
        let speaksHTTP2 = upstream?.speaksHTTP2 ?? false
        let fresh = UpstreamConnection(loop: loop, pool: pool)
        let startedAt = loop.takeTime()
        let decide = { (result: Result<Void, any Error>) in
            switch result {
            case .success where self.phase == .waiting && self.endpoint?.state === endpoint.state:
                if !speaksHTTP2 { endpoint.state.connected(to: address) }
                self.request.connectMicroseconds &+= max(1, (loop.takeTime() &- startedAt) / 1000)
                self.attach(fresh, isReused: false)
            case .success: fresh.close()
            case .failure(let error):
                guard self.phase == .waiting, self.endpoint?.state === endpoint.state else { return }
                // Our own lack is not held against the endpoint.
                if DescriptorQueue.isReason(of: error) {
                    loop.descriptorQueue.add(self, loop)
                } else if speaksHTTP2 {
                    self.connectFailed(endpoint)
                } else {
                    self.connect(endpoint, attempt: attempt + 1)
                }
            }
        }
        if speaksHTTP2 {
            pool.sessions.open(fresh, endpoint.state, loop: loop).assumeIsolated().whenComplete(decide)
        } else {
            Connecting.connect(to: address, on: loop.eventLoop, timeout: loop.times.connectTimeout) { result in
                decide(Result { try fresh.open(result.get()) })
            }
        }
    }

    /// A request that waits in vain is answered.
    /// - Returns: whether it still waits.
    func waitsForDescriptor(now: UInt64) -> Bool {
        guard phase == .waiting, endpoint != nil, let upstream else { return false }
        guard now &- request.startedAt >= loop.times.descriptorTimeout else { return true }
        releaseEndpoint()
        answerUpstreamFailure(503, upstream)
        return false
    }

    func connectAgain() {
        if phase == .waiting, let endpoint { connect(endpoint) }
    }

    private func connectFailed(_ endpoint: RoutingTable.Endpoint) {
        loop.pool(endpoint).avoidedUntil = loop.coarseNow &+ 1_000_000_000
        releaseEndpoint()
        if let upstream { attemptFailed(endpoint.state, upstream) }
        tried.append(endpoint.state)
        dispatch()
    }

    private func releaseEndpoint() {
        endpoint?.state.inFlight.subtract(1, ordering: .releasing)
        endpoint = nil
    }

    private func noEndpoint(_ upstream: RoutingTable.Upstream) {
        if !upstream.endpoints.isEmpty { noteFailure(upstream) }
        let status: UInt16 = upstream.endpoints.isEmpty ? 503 : 502
        answerUpstreamFailure(status, upstream)
    }

    private func noteFailure(_ upstream: RoutingTable.Upstream) {
        _ = upstream.state.failingSince.compareExchange(
            expected: 0, desired: AccessLogBuffer.wallMilliseconds(), ordering: .relaxed)
    }

    func answerUpstreamFailure(
        _ status: UInt16, _ upstream: RoutingTable.Upstream, retryAfterSeconds: Int? = nil, isResting: Bool = false
    ) {
        let retry = retryAfterSeconds ?? (status == 503 ? 5 : nil)
        var page = AnswerPage(status: status, upstream: upstream, retryAfterSeconds: retry)
        page.isResting = isResting
        page.wantsJSON = upstreamHeadPrefersJSON
        answer(page)
    }

    /// The same of the head that was written for the upstream, when the client's own is gone.
    var upstreamHeadPrefersJSON: Bool {
        memory.upstreamHead.withUnsafeReadableBytes { raw in
            raw.baseAddress.map { AnswerPage.prefersJSON($0.assumingMemoryBound(to: UInt8.self), raw.count) } ?? false
        }
    }

    // MARK: sending the request

    private func attach(_ connection: UpstreamConnection, isReused: Bool) {
        self.connection = connection
        phase = .exchange
        connection.attach(self, isReused: isReused)
        deadline = loop.coarseNow &+ loop.times.responseHeadTimeout
        connection.writeOut(memory.upstreamHead)
        if let replay = request.replay, replay.readableBytes > 0 { connection.writeOut(replay) }
        if !request.isSent {
            // Streams of any request may be refused, and nothing is sent a third time.
            let mayFail = upstream?.speaksHTTP2 ?? false || isReused && request.method.isIdempotent
            request.replay = mayFail && !request.isRetried ? request.replay ?? ByteBuffer() : nil
            let body = inbound
            inbound = ByteBuffer()
            if body.readableBytes > 0 {
                let rest = forwardBody(body)
                if rest.readableBytes > 0 { keep(rest) }
            }
        }
        upstreamWritesPending = false
        self.connection?.flush()
        resumeRead()
    }

    // MARK: the response

    /// How a response with this framing goes on to the client.
    func shape(of framing: BodyFraming, hasNoBody: Bool, status: UInt16) -> ResponseShape {
        var shape = ResponseShape(
            framing: framing, keepsFraming: true, closes: false, isHTTP10: request.isHTTP10, isUpgrade: false)
        if hasNoBody {
            shape.framing = .none
            // What HTTP/1.0 does not know must not be told of the body that GET would have (RFC 9112 section 6.1).
            shape.keepsFraming = status != 204 && !(request.isHTTP10 && loop.responseHead.framing == .chunked)
        } else if request.isHTTP10, framing == .chunked || framing == .untilClose {
            request.decodesChunks = framing == .chunked
            request.keepAlive = false
            shape.framing = .untilClose
            shape.keepsFraming = false
        } else if framing == .untilClose {
            request.encodesChunks = true
            shape.framing = .chunked
            shape.keepsFraming = false
        }
        if loop.isDraining || !request.isSent && request.framing != .none && request.hasEarlyAnswer(status) {
            request.keepAlive = false
        }
        shape.closes = !request.keepAlive
        return shape
    }

    var decodesChunks: Bool { request.decodesChunks }

    func beginResponse(_ head: ByteBuffer, status: UInt16, bodyBytes: Int) {
        request.status = status
        request.replay = nil
        request.firstByteMicroseconds = max(1, (loop.takeTime() &- request.startedAt) / 1000)
        if let upstream, upstream.state.failingSince.load(ordering: .relaxed) != 0 {
            upstream.state.failingSince.store(0, ordering: .relaxed)
        }
        touch()
        var head = head
        if let plan = upstream?.plan {
            attemptAnswered(plan, status: status)
            if plan.cookie != nil {
                head = stickyEdited(head, headBytes: head.readableBytes - bodyBytes, plan)
                if policy == nil { return write(head) }
                return write(edited(head, headBytes: Self.headBytes(head)))
            }
        }
        write(policy == nil ? head : edited(head, headBytes: head.readableBytes - bodyBytes))
    }

    func passBody(_ buffer: ByteBuffer) {
        guard buffer.readableBytes > 0 else { return }
        touch()
        guard request.encodesChunks else { return write(buffer) }
        var size = ByteBuffer()
        size.writeString(String(buffer.readableBytes, radix: 16) + "\r\n")
        write(size)
        write(buffer)
        write(ByteBuffer(staticString: "\r\n"))
    }

    /// Bytes that are no part of a response's body.
    func passOn(_ buffer: ByteBuffer) {
        if phase == .tunnel { deadline = loop.coarseNow &+ loop.times.tunnelIdleTimeout }
        write(buffer)
    }

    // MARK: failures

    /// The connection broke before the response was complete. It is closed already.
    func upstreamFailed(_ failed: UpstreamConnection) {
        connection = nil
        guard phase == .exchange, let upstream else { return closeNow() }
        guard request.status == 0 else {
            attemptFailed(endpoint?.state, upstream)
            // What came before the break goes out; the end does not, so that the client sees that it is missing.
            flush()
            return closeNow()
        }
        let canRepeat = request.isSent && request.framing != .chunked && isWhole || request.replay != nil
        let mayRepeat = failed.isRefused || failed.isReused && request.method.isIdempotent
        if mayRepeat, canRepeat, !failed.hasAnswered, !request.isRetried, let endpoint {
            request.isRetried = true
            series.add(.retries)
            return connect(endpoint)
        }
        let failedEndpoint = endpoint?.state
        attemptFailed(failedEndpoint, upstream)
        if let failedEndpoint, mayRetryElsewhere(upstream, failed) {
            releaseEndpoint()
            tried.append(failedEndpoint)
            series.add(.retries)
            phase = .waiting
            return dispatch()
        }
        noteFailure(upstream)
        phase = .waiting
        answerUpstreamFailure(502, upstream)
    }

    /// The request had no body at all.
    private var isWhole: Bool { request.framing == .none }

    func upstreamTimedOut() {
        guard let upstream else { return closeNow() }
        if let connection {
            self.connection = nil
            connection.abandon()
        }
        attemptFailed(endpoint?.state, upstream)
        noteFailure(upstream)
        phase = .waiting
        answerUpstreamFailure(504, upstream)
    }

    // MARK: tunnels

    func beginTunnel(_ head: ByteBuffer) {
        phase = .tunnel
        request.status = 101
        request.firstByteMicroseconds = max(1, (loop.takeTime() &- request.startedAt) / 1000)
        if let plan = upstream?.plan { attemptAnswered(plan, status: 101) }
        request.keepAlive = false
        deadline = loop.coarseNow &+ loop.times.tunnelIdleTimeout
        write(head)
        let early = inbound
        inbound = ByteBuffer()
        if early.readableBytes > 0 {
            connection?.writeOut(early)
            connection?.flush()
        }
        resumeRead()
    }

    /// The upstream sends nothing more; what it sent goes out first.
    func upstreamClosedOutput() {
        deadline = loop.coarseNow &+ loop.times.bodyIdleTimeout
        endOutput()
    }

    func upstreamTunnelClosed() {
        connection = nil
        flush()
        settle()
        lingerAndClose()
    }
}

extension ClientRequest {
    /// The upstream answered before it had the whole body. A refusal is the last word on this connection; a success
    /// may go on both ways.
    func hasEarlyAnswer(_ status: UInt16) -> Bool { status >= 300 }
}
