import NIOCore

/// A request's body on its way to the upstream.
extension ClientConnection {
    /// Passes on what of the request's body is in `buffer`.
    /// - Returns: what follows the body.
    func forwardBody(_ buffer: ByteBuffer) -> ByteBuffer {
        var buffer = buffer
        let before = buffer.readableBytes
        defer { request.bytesIn &+= UInt64(before &- buffer.readableBytes) }
        switch request.framing {
        case .length(let remaining):
            let take = Int(min(remaining, UInt64(buffer.readableBytes)))
            request.framing = .length(remaining - UInt64(take))
            if remaining == UInt64(take) { request.isSent = true }
            passUp(buffer.readSlice(length: take)!)
        case .chunked:
            let outcome = scanChunks(buffer)
            guard outcome != .bad, request.bodyBytesLeft >= 0 else {
                giveUpBody(outcome == .bad ? 400 : 413)
                return ByteBuffer()
            }
            if outcome == .done { request.isSent = true }
            passUp(buffer.readSlice(length: scanner.consumed)!)
        case .none, .untilClose: request.isSent = true
        }
        return buffer
    }

    private func passUp(_ body: ByteBuffer) {
        guard body.readableBytes > 0 else { return }
        if request.replay != nil {
            if request.replay!.readableBytes + body.readableBytes <= Self.replayBytesMax {
                request.replay!.writeImmutableBuffer(body)
            } else {
                request.replay = nil
            }
        }
        touchUpload()
        connection?.writeOut(body)
        upstreamWritesPending = true
        if request.status == 0, isTooSlow(body.readableBytes) { giveUpBody(408) }
    }

    /// A client that sends a byte now and then would hold its upstream for ever. Time in which the upstream itself took
    /// nothing does not count, and neither does a body behind an answer that has begun: that may be a conversation.
    private func isTooSlow(_ count: Int) -> Bool {
        request.bodyBytes &+= count
        let elapsed = loop.coarseNow &- request.bodyPeriodStart
        guard elapsed > loop.times.bodyIdleTimeout else { return false }
        let isFirst = request.bodyPeriodStart == 0
        let isSlow = !isFirst && request.bodyBytes < loop.limits.bodyBytesMin && !request.isSent
        request.bodyPeriodStart = loop.coarseNow
        request.bodyBytes = 0
        return isSlow
    }

    /// Follows the chunks, and counts their content where the route limits it.
    private func scanChunks(_ buffer: ByteBuffer) -> ChunkScanner.Outcome {
        buffer.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            guard request.bodyBytesLeft != .max else { return scanner.scan(bytes, count: raw.count) }
            var taken = 0
            let outcome = scanner.scan(bytes, count: raw.count) { _, count in taken += count }
            request.bodyBytesLeft -= taken
            return outcome
        }
    }

    /// A body that cannot be read, is too slow or too large. The upstream must not see a whole request in what it got
    /// so far.
    private func giveUpBody(_ status: UInt16) {
        let id = request.id
        // An answer that is read in the same turn goes first, and may be all of it.
        loop.eventLoop.assumeIsolated().execute {
            guard self.phase == .exchange, self.request.id == id else { return }
            self.connection?.serveQueued()
            guard self.phase == .exchange, status != 408 || self.request.status == 0 else { return }
            self.refuseBody(status)
        }
    }

    private func refuseBody(_ status: UInt16) {
        if let connection {
            self.connection = nil
            connection.abandon()
        }
        guard request.status == 0 else { return closeNow() }
        request.keepAlive = false
        request.isSent = false
        phase = .waiting
        var page = AnswerPage(status: status)
        page.wantsJSON = upstreamHeadPrefersJSON
        answer(page)
    }

    func upstreamBecameWritable() {
        request.bodyPeriodStart = loop.coarseNow
        request.bodyBytes = 0
        if phase == .exchange, !request.isSent { touchUpload() }
        resumeRead()
    }

    private func touchUpload() {
        if request.status == 0 {
            deadline = loop.coarseNow &+ loop.times.responseHeadTimeout
        } else {
            touch()
        }
    }
}
