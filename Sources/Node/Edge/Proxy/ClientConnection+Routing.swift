import Model
import NIOCore
import Synchronization

extension ClientConnection {
    /// The head in `inbound` is complete: finds out who answers.
    func startRequest() {
        let isResumed = heldSince != 0 || progress?.isSuspended == true
        readRequest(isResumed: isResumed)
        var path: [UInt8]?
        var match: RouteIndex.Match?
        var isPathBroken = false
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            if loop.requestHead.pathNeedsNormalising(bytes) {
                path = PathNormaliser.normalised(
                    bytes + loop.requestHead.pathOnly.start, count: loop.requestHead.pathOnly.count)
                isPathBroken = path == nil
            }
            if let proxies = loop.table.trustedProxies, !isInternal {
                request.claim = proxies.claim(
                    peer: ClientAddress(remote), isSecure: transport.scheme == "https", bytes, loop.requestHead)
            }
            if !isPathBroken { match = routeMerged(bytes, &path) }
            writeLogLine(bytes, match)
        }
        if !isResumed {
            series = match.map { loop.metrics.series(Int($0.route), loop.table) } ?? loop.metrics.unrouted
            series.begin(at: loop.wallMilliseconds(request.startedAt))
        }
        if isPathBroken {
            request.keepAlive = false
            return answerAndConsume(AnswerPage(status: 400))
        }
        if answersChallenge(isRouted: match != nil) { return }
        if loop.requestHead.maxForwards == 0 { return answerForLastHop() }
        guard let match else { return answerAndConsume(AnswerPage(status: 404)) }
        let upstream = loop.table.upstreams[Int(match.upstream)]
        self.upstream = upstream
        if !isResumed { upstream.state.total.add(1, ordering: .relaxed) }
        if let policy = loop.table.policies[Int(match.route)], !passes(policy) { return }
        serve(upstream, match, path)
    }

    private func serve(_ upstream: RoutingTable.Upstream, _ match: RouteIndex.Match, _ path: [UInt8]?) {
        switch upstream.mode {
        case .down:
            answerAndConsume(AnswerPage(status: 503, upstream: upstream, retryAfterSeconds: 5))
        case .hold: hold(upstream, atMost: loop.times.holdTimeout)
        case .wake: wake(upstream)
        case .metrics:
            leaveHold()
            serveMetrics()
        case .serve:
            leaveHold()
            if let folder = upstream.staticFolder {
                serveFile(folder, upstream.staticPlan, path: path, stripCount: Int(match.stripCount))
            } else {
                rewriteHead(path: path, stripCount: Int(match.stripCount), name: upstream.name)
                if let policy { editRequestHead(policy) }
                if let plan = upstream.plan { readStickyCookie(plan) }
                consumeHead()
                dispatch()
            }
        }
    }

    private func readRequest(isResumed: Bool) {
        let startedAt = request.startedAt != 0 && isResumed ? request.startedAt : loop.takeTime()
        let id = isResumed ? request.id : (loop.nextRandom(), loop.nextRandom())
        request = ClientRequest()
        if !isResumed, let spare = loop.spares.take() { memory = spare }
        request.hasBegun = true
        request.startedAt = startedAt
        request.id = id
        request.method = loop.requestHead.method
        request.isHTTP10 = loop.requestHead.isHTTP10
        request.keepAlive = loop.requestHead.keepAlive && !loop.isDraining
        request.wantsUpgrade = loop.requestHead.wantsUpgrade
        request.framing = loop.requestHead.framing
        request.isSent = loop.requestHead.framing == .none
        request.bytesIn = UInt64(loop.requestHead.end)
        if request.framing == .chunked { scanner = ChunkScanner() }
    }

    /// A route's rules must not be got around by doubling a slash of its prefix, which many upstreams take for one:
    /// such a path counts and goes on as it was meant. Others keep their slashes.
    private func routeMerged(_ bytes: UnsafePointer<UInt8>, _ path: inout [UInt8]?) -> RouteIndex.Match? {
        let match = route(bytes, path)
        let sent = loop.requestHead.pathOnly
        let merged =
            path.map {
                $0.withUnsafeBufferPointer { PathNormaliser.withMergedSlashes($0.baseAddress!, count: $0.count) }
            }
            ?? PathNormaliser.withMergedSlashes(bytes + sent.start, count: sent.count)
        guard let merged, let meant = route(bytes, merged), meant.route != match?.route else { return match }
        path = merged
        return meant
    }

    private func route(_ bytes: UnsafePointer<UInt8>, _ path: [UInt8]?) -> RouteIndex.Match? {
        let routes = isInternal ? loop.table.internalRoutes : loop.table.publicRoutes
        let host = bytes + loop.requestHead.hostName.start
        let hostCount = loop.requestHead.hostName.count
        if let path {
            return path.withUnsafeBufferPointer {
                routes.find(host: host, hostCount: hostCount, path: $0.baseAddress!, pathCount: $0.count)
            }
        }
        let isRoot = loop.requestHead.target == .asterisk || loop.requestHead.pathOnly.isEmpty
        return routes.find(
            host: host, hostCount: hostCount, path: bytes + loop.requestHead.pathOnly.start,
            pathCount: isRoot ? 0 : loop.requestHead.pathOnly.count)
    }

    private func rewriteHead(path: [UInt8]?, stripCount: Int, name: String) {
        let needsHost = loop.requestHead.host.isEmpty
        let additions = RequestAdditions(
            forwardedLines: request.claim?.lines ?? forwardedLines, requestId: request.id, stripCount: stripCount,
            path: path,
            fallbackHost: needsHost ? Array("\(name).\(loop.table.source.internalSuffix)".utf8) : [],
            isHTTP2: transport == .http2)
        let bytesMax = RequestRewriter.bytesMax(loop.requestHead, additions)
        memory.upstreamHead.clear(minimumCapacity: bytesMax)
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            memory.upstreamHead.writeWithUnsafeMutableBytes(minimumWritableBytes: bytesMax) { space in
                RequestRewriter.write(
                    bytes, loop.requestHead, additions, to: space.baseAddress!.assumingMemoryBound(to: UInt8.self))
            }
        }
    }

    func consumeHead() {
        inbound.moveReaderIndex(forwardBy: loop.requestHead.end)
        if inbound.readableBytes == 0 { loop.giveBack(&inbound) }
    }

    // MARK: answers of our own

    static let allow = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"

    /// OPTIONS that may go no further (RFC 9110 section 7.6.2) asks what this hop can do.
    private func answerForLastHop() {
        consumeHead()
        if !request.isSent { request.keepAlive = false }
        request.status = 200
        var text = "HTTP/1.1 200 OK\r\n\(Self.allow)\(loop.date.line)Content-Length: 0\r\n"
        text += connectionLine
        write(ByteBuffer(string: text + "\r\n"))
        ownAnswerWasWritten()
    }

    /// What an answer of our own says of its connection.
    var connectionLine: String {
        if !request.keepAlive || loop.isDraining { return "Connection: close\r\n" }
        return request.isHTTP10 ? "Connection: keep-alive\r\n" : ""
    }

    /// Answers the request whose head is at the front of `inbound`.
    func answerAndConsume(_ page: AnswerPage, fields: String = "") {
        var page = page
        page.wantsJSON = inbound.withUnsafeReadableBytes { raw in
            AnswerPage.prefersJSON(raw.baseAddress!.assumingMemoryBound(to: UInt8.self), loop.requestHead.end)
        }
        consumeHead()
        answer(page, fields: fields)
    }

    /// Answers in place of an upstream. A body that was not read ends the connection.
    func answer(_ page: AnswerPage, fields: String = "") {
        if !request.isSent { request.keepAlive = false }
        leaveHold()
        var page = page
        page.requestId = request.id
        request.status = page.status
        let buffer = page.response(
            isHead: request.method == .head, fields: fields + loop.date.line + connectionLine)
        write(policy == nil ? buffer : edited(buffer, headBytes: Self.headBytes(buffer)))
        settle()
        flush()
        guard phase != .closed else { return }
        // The loop that called goes on with what is buffered; only a phase that waited must be woken.
        if phase == .head, request.keepAlive, !loop.isDraining {
            request.hasBegun = false
            deadline = loop.coarseNow &+ loop.times.keepAliveTimeout
        } else {
            finishRequest()
        }
    }

    // MARK: holding

    /// Asks for the service to be started, and waits for the table that says where it is.
    private func wake(_ upstream: RoutingTable.Upstream) {
        let showsPage = inbound.withUnsafeReadableBytes { raw in
            AnswerPage.acceptsHTML(raw.baseAddress!.assumingMemoryBound(to: UInt8.self), loop.requestHead.end)
        }
        let limit = showsPage ? min(upstream.wake.pageAfterMs, upstream.wake.holdMs) : upstream.wake.holdMs
        hold(upstream, atMost: UInt64(limit) * 1_000_000)
        loop.table.wakes?.request(upstream.state.id)
    }

    private func hold(_ upstream: RoutingTable.Upstream, atMost limit: UInt64) {
        if heldSince == 0 {
            let count = upstream.state.held.add(1, ordering: .acquiringAndReleasing).newValue
            heldBy = upstream.state
            heldSince = request.startedAt
            if count > loop.limits.heldMax {
                return answerAndConsume(AnswerPage(status: 503, upstream: upstream, retryAfterSeconds: 2))
            }
            series.add(.held)
            deadline = heldSince &+ limit
        }
        phase = .waiting
        loop.hold(self)
    }

    /// A new table is in force: the head, which was left where it was, is looked at again.
    func resumeHeld() {
        guard phase == .waiting, heldSince != 0 else { return }
        phase = .head
        processInbound()
        resumeRead()
    }

    func leaveHold() {
        guard heldSince != 0 else { return }
        heldSince = 0
        heldBy?.held.subtract(1, ordering: .acquiringAndReleasing)
        heldBy = nil
        loop.unhold(self)
    }

    func holdTimedOut() {
        guard let upstream else { return closeNow() }
        // The head is still there and is parsed again, since other connections have used the loop's since.
        let outcome = inbound.withUnsafeReadableBytes { raw in
            RequestHeadParser.parse(
                raw.baseAddress!.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &loop.requestHead)
        }
        guard outcome == .complete else { return closeNow() }
        var page = AnswerPage(status: 503, upstream: upstream, retryAfterSeconds: 2)
        page.isWaiting = upstream.mode == .wake
        answerAndConsume(page)
    }
}
