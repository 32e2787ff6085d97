import NIOCore

/// What was written and had not left when it was last looked at.
struct UnsentOutput {
    var bytes = 0
    /// After which request that was.
    var request = -1
}

/// What becomes of a connection that nothing happens on.
extension ClientConnection {
    /// Between requests, and all of the answers is out. A stream that is done is ended by its session, which knows
    /// whether its last frame is out.
    var isIdle: Bool { isBetweenRequests && transport != .http2 && waitingBytes == 0 }

    private var isBetweenRequests: Bool { phase == .head && inbound.readableBytes == 0 }

    /// What still has to be sent. The kernel sends on what it has, whatever becomes of the connection.
    private var waitingBytes: Int { transport == .http2 ? 0 : unsentBytes }

    /// When it began to send the head that is not there yet, or the connection on which none has begun; nil when that
    /// is not what it does.
    var headBegan: UInt64? {
        guard phase == .head, !isQueued, transport != .http2, inbound.readableBytes > 0 || requestsServed == 0 else {
            return nil
        }
        return deadline &- loop.times.requestHeadTimeout
    }

    /// Ends it unless a request is under way; the last answer goes out.
    func closeIfIdle() {
        guard isBetweenRequests, transport != .http2 else { return }
        if waitingBytes == 0 { closeNow() } else { lingerAndClose() }
    }

    func expireIfIdle(at time: UInt64) {
        if isBetweenRequests, transport != .http2 { deadline = min(deadline, time) }
    }

    func timedOut(now: UInt64) {
        switch phase {
        case .head where isQueued: break
        case .exchange where connection?.isQueued ?? false: break
        case .head where isOutputMoving(), .lingering where !isOutputClosed && isOutputMoving(): break
        case .head where inbound.readableBytes > 0: refuse(408)
        case .waiting where heldSince != 0: holdTimedOut()
        case .waiting where progress?.isSuspended == true: policyTimedOut()
        case .exchange where request.status == 0: upstreamTimedOut()
        default: closeNow()
        }
    }

    /// A slow client is still reading the last answer. It has the time of a body as long as it makes progress, and is
    /// idle from when the last byte was sent.
    private func isOutputMoving() -> Bool {
        let former = unsent
        unsent = UnsentOutput(bytes: waitingBytes, request: requestsServed)
        let isFirst = former.request != unsent.request
        guard unsent.bytes > 0 else {
            guard !isFirst, former.bytes > 0, phase == .head else { return false }
            deadline = loop.coarseNow &+ loop.times.keepAliveTimeout
            return true
        }
        deadline = loop.coarseNow &+ loop.times.bodyIdleTimeout
        return isFirst || unsent.bytes < former.bytes
    }
}
