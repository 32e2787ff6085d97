import Model
import NIOCore

/// What upstreams with a plan ask of each attempt. Those without one never come here.
extension ClientConnection {
    /// - Returns: nil when the request was answered, or when every endpoint was tried.
    func choose(by plan: BalancePlan, _ upstream: RoutingTable.Upstream) -> RoutingTable.Endpoint? {
        guard tried.count <= plan.retries else { return nil }
        let choice = plan.choose(tried: tried, wanted: request.stickyWanted, now: loop.coarseNow) { member in
            let endpoint = upstream.endpoints[member.index]
            return loop.isAvoided(endpoint)
        }
        guard let choice else { return nil }
        if choice.isTrial { trialHealth = upstream.endpoints[choice.index].state.health }
        request.stickyChosen = choice.index
        return upstream.endpoints[choice.index]
    }

    /// - Returns: whether the circuit breaker lets the request pass; if not, it was answered.
    func passesBreaker(_ plan: BalancePlan, _ upstream: RoutingTable.Upstream) -> Bool {
        guard let breaker = plan.breaker, !request.isBreakerAsked else { return true }
        request.isBreakerAsked = true
        switch breaker.verdict(now: loop.coarseNow) {
        case .pass: return true
        case .tryIt:
            trialBreaker = breaker
            return true
        case .refuse(let seconds):
            answerUpstreamFailure(503, upstream, retryAfterSeconds: seconds, isResting: true)
            return false
        }
    }

    /// An attempt got no usable answer.
    func attemptFailed(_ endpoint: EndpointState?, _ upstream: RoutingTable.Upstream) {
        series.add(.upstreamFailures)
        guard let plan = upstream.plan else { return }
        let now = loop.takeTime()
        if let health = plan.health, let endpoint {
            endpoint.health.failed(
                now: now, failuresMax: health.failuresMax, outNanoseconds: UInt64(health.outMs) * 1_000_000)
            if trialHealth === endpoint.health { trialHealth = nil }
        }
        concludeBreaker(plan, isFailure: true, now)
    }

    /// An endpoint answered.
    func attemptAnswered(_ plan: BalancePlan, status: UInt16) {
        if let endpoint, plan.health != nil {
            endpoint.state.health.succeeded()
            if trialHealth === endpoint.state.health { trialHealth = nil }
        }
        concludeBreaker(plan, isFailure: (502...504).contains(status), loop.coarseNow)
    }

    private func concludeBreaker(_ plan: BalancePlan, isFailure: Bool, _ now: UInt64) {
        guard let breaker = plan.breaker else { return }
        let isTrial = trialBreaker != nil
        trialBreaker = nil
        if isFailure {
            breaker.failed(now: now, isTrial: isTrial)
        } else {
            breaker.succeeded(isTrial: isTrial)
        }
    }

    /// The request is over; a trial that came to nothing is left to the next.
    func endTrials() {
        trialHealth?.abandonTrial()
        trialHealth = nil
        trialBreaker?.abandonTrial()
        trialBreaker = nil
    }

    /// Whether a request that got no byte of an answer may be asked of another endpoint.
    func mayRetryElsewhere(_ upstream: RoutingTable.Upstream, _ failed: UpstreamConnection) -> Bool {
        guard let plan = upstream.plan, tried.count + 1 < upstream.endpoints.count else { return false }
        return !failed.hasAnswered && request.method.isIdempotent && request.framing == .none && request.isSent
            && tried.count < plan.retries
    }

    // MARK: sticky

    /// The endpoint that the request's cookie names.
    func readStickyCookie(_ plan: BalancePlan) {
        guard let name = plan.cookie else { return }
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            for index in 0..<loop.requestHead.fieldCount {
                let field = loop.requestHead.fields[index]
                guard (bytes + field.name.start).equalsIgnoringCase("cookie", count: field.name.count) else { continue }
                let value = UnsafeBufferPointer(start: bytes + field.value.start, count: field.value.count)
                for pair in value.split(separator: UInt8(ascii: ";")) {
                    let trimmed = pair.drop { $0 == ByteClass.space }
                    guard trimmed.count > name.count, trimmed.starts(with: name),
                        trimmed[trimmed.startIndex + name.count] == UInt8(ascii: "=")
                    else { continue }
                    request.stickyWanted = plan.member(id: Array(trimmed.dropFirst(name.count + 1)))
                }
            }
        }
    }

    /// Binds the browser to the endpoint that answers, if it is not yet.
    func stickyEdited(_ message: ByteBuffer, headBytes: Int, _ plan: BalancePlan) -> ByteBuffer {
        guard let name = plan.cookie, let chosen = request.stickyChosen, chosen != request.stickyWanted else {
            return message
        }
        let secure = isSecure ? "; Secure" : ""
        var edits = HeaderEdits()
        edits.added += "Set-Cookie: ".utf8
        edits.added += name
        edits.added += "=".utf8
        edits.added += plan.id(of: chosen)
        edits.added += "; Path=/; HttpOnly; SameSite=Lax\(secure)\r\n".utf8
        return edits.apply(to: message, headBytes: headBytes)
    }
}
