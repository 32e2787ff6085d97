import Model
import NIOCore

/// What a route asks before it serves. A question that takes time lets the request wait with its head where it was, as
/// held requests do; when the answer is there, the head is looked at again.
extension ClientConnection {
    /// The request came or comes over TLS, as far as is known.
    var isSecure: Bool { request.claim?.isSecure ?? (transport.scheme == "https") }

    /// - Returns: whether the request may go on; if not, it was answered or waits.
    func passes(_ policy: RoutePolicy) -> Bool {
        self.policy = policy
        if let usage = policy.usage, !enter(usage, policy) { return false }
        if let most = policy.bodyBytesMax {
            if case .length(let count) = request.framing, count > UInt64(most) { return refuse(413) }
            request.bodyBytesLeft = most
        }
        if let redirect = policy.redirect, redirects(redirect) { return false }
        guard let access = policy.access else { return true }
        if access.isDenied || !access.allows(clientAddress) { return refuse(403) }
        let progress = makeProgress(for: policy)
        progress.isSuspended = false
        progress.lines = []
        if let basic = access.basic, !passes(basic, access, progress) { return false }
        if let tokens = access.tokens, !tokens.holds(token()) { return refuse(401, fields: access.challenge) }
        if let forward = access.forward { return passes(forward, progress) }
        return true
    }

    private func makeProgress(for policy: RoutePolicy) -> PolicyProgress {
        if let progress, progress.policy === policy { return progress }
        let fresh = PolicyProgress(policy)
        if let progress, let usage = progress.usage {
            // What was taken under the former table counts on, if the limits are the same.
            if usage === policy.usage { (fresh.usage, fresh.client) = (usage, progress.client) } else { giveBack() }
        }
        progress?.question?.cancel()
        progress = fresh
        return fresh
    }

    private func giveBack() {
        if let progress, let usage = progress.usage, let client = progress.client { usage.leave(client) }
        progress?.usage = nil
    }

    /// The request is over: what it took is given back, and what it asked is not waited for.
    func endPolicy() {
        if progress != nil {
            giveBack()
            progress?.question?.cancel()
            progress = nil
        }
        policy = nil
    }

    // MARK: answers

    private func refuse(
        _ status: UInt16, retryAfterSeconds: Int? = nil, fields: String = "", isUndecided: Bool = false
    ) -> Bool {
        series.add(.refused)
        var page = AnswerPage(status: status, retryAfterSeconds: retryAfterSeconds)
        page.isPolicy = !isUndecided
        page.isUndecided = isUndecided
        answerAndConsume(page, fields: fields)
        return false
    }

    private func enter(_ usage: RouteUsage, _ policy: RoutePolicy) -> Bool {
        if makeProgress(for: policy).usage === usage { return true }
        guard let client = clientAddress else { return true }
        switch usage.enter(client, now: request.startedAt) {
        case .admitted:
            progress?.usage = usage
            progress?.client = client
            return true
        case .tooOften(let seconds): return refuse(429, retryAfterSeconds: seconds)
        case .tooManyAtOnce: return refuse(429, retryAfterSeconds: 1)
        case .full: return refuse(503, retryAfterSeconds: 1)
        }
    }

    private func redirects(_ redirect: RedirectPolicy) -> Bool {
        var location: String?
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            let path = loop.requestHead.pathOnly
            let prefix = RedirectPolicy.challengePrefix.utf8CodeUnitCount
            if path.count >= prefix,
                (bytes + path.start).equalsIgnoringCase(RedirectPolicy.challengePrefix, count: prefix)
            {
                return
            }
            location = redirect.location(
                host: bytes.string(loop.requestHead.hostName), authority: bytes.string(loop.requestHead.host),
                isSecure: isSecure, target: bytes.string(loop.requestHead.path))
        }
        guard let location else { return false }
        answerAndConsume(AnswerPage(status: redirect.status), fields: "Location: \(location)\r\n")
        return true
    }

    // MARK: who it is

    var clientAddress: ClientAddress? { request.claim?.client ?? ClientAddress(remote) }

    /// The value of the first field with this name, which is lower case.
    func fieldValue(_ name: StaticString) -> [UInt8]? {
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            for index in 0..<loop.requestHead.fieldCount {
                let field = loop.requestHead.fields[index]
                if (bytes + field.name.start).equalsIgnoringCase(name, count: field.name.count) {
                    return Array(UnsafeBufferPointer(start: bytes + field.value.start, count: field.value.count))
                }
            }
            return nil
        }
    }

    private func token() -> [UInt8] {
        fieldValue("x-token") ?? fieldValue("authorization").flatMap { TokenSet.bearer($0) } ?? []
    }

    private func passes(_ basic: BasicAccess, _ access: AccessPolicy, _ progress: PolicyProgress) -> Bool {
        guard let value = fieldValue("authorization"), let credentials = BasicAccess.credentials(value) else {
            return refuse(401, fields: access.challenge)
        }
        let (hash, isUser) = basic.hash(of: credentials.name)
        let key = basic.verifier.key(name: credentials.name, phrase: credentials.phrase, hash: hash)
        let verdict = progress.verdict ?? (isUser && basic.verifier.isKnown(key, now: loop.coarseNow) ? .right : nil)
        switch verdict {
        case .right:
            progress.verdict = .right
            let name = credentials.name.filter { $0 >= 0x20 && $0 != 0x7F }
            progress.lines += "X-Forwarded-User: ".utf8
            progress.lines += name
            progress.lines += "\r\n".utf8
            return true
        case .wrong: return refuse(401, fields: access.challenge)
        case .busy: return refuse(503, retryAfterSeconds: 2)
        case nil:
            suspend(progress)
            basic.verifier
                .verify(
                    key: key, phrase: credentials.phrase, hash: hash, isUser: isUser, now: loop.coarseNow,
                    on: loop.eventLoop
                )
                .assumeIsolated()
                .whenSuccess { verdict in
                    progress.verdict = verdict
                    self.resume(progress)
                }
            return false
        }
    }

    private func suspend(_ progress: PolicyProgress) {
        progress.isSuspended = true
        phase = .waiting
        deadline = loop.coarseNow &+ loop.times.responseHeadTimeout
    }

    private func resume(_ progress: PolicyProgress) {
        guard self.progress === progress, progress.isSuspended, phase == .waiting else { return }
        phase = .head
        processInbound()
        resumeRead()
    }

    /// A question was not answered in time.
    func policyTimedOut() {
        guard let progress else { return closeNow() }
        progress.verdict = progress.verdict ?? .busy
        progress.question?.cancel()
        progress.question = nil
        progress.forwarded = progress.forwarded ?? .failed
        resume(progress)
    }

    // MARK: asking a service

    private func passes(_ forward: ForwardAccess, _ progress: PolicyProgress) -> Bool {
        switch progress.forwarded {
        case .passed(let lines):
            progress.lines += lines
            return true
        case .answered(let answer):
            series.add(.refused)
            relay(answer)
            return false
        case .failed: return refuse(503, retryAfterSeconds: 5, isUndecided: true)
        case nil:
            ask(forward, progress)
            return false
        }
    }

    private func ask(_ forward: ForwardAccess, _ progress: PolicyProgress) {
        let upstream = loop.table.upstreams[forward.upstream]
        suspend(progress)
        guard upstream.mode == .serve,
            let endpoint = loop.choose(upstream, tried: [], now: loop.coarseNow), endpoint.state.isResolved
        else {
            progress.forwarded = .failed
            // Not at once: this is called from the loop over what is buffered.
            return loop.eventLoop.assumeIsolated().execute { self.resume(progress) }
        }
        let head = questionHead(forward)
        progress.question = Subrequest.ask(
            endpoint.state, head, on: loop.eventLoop, timeout: forward.timeout, bodyBytesMax: 256 * 1024
        ) { answer in
            progress.question = nil
            if let answer {
                progress.forwarded =
                    (200..<300).contains(answer.status)
                    ? .passed(Self.copiedLines(forward, answer)) : .answered(answer)
            } else {
                progress.forwarded = .failed
            }
            self.resume(progress)
        }
    }

    private static func copiedLines(_ forward: ForwardAccess, _ answer: Subrequest.Answer) -> [UInt8] {
        var lines: [UInt8] = []
        for (name, value) in answer.fields
        where forward.copied.contains(where: { name.map(ByteClass.lower).elementsEqual($0) }) {
            lines += name
            lines += ": ".utf8
            lines += value
            lines += "\r\n".utf8
        }
        return lines
    }

    /// The request's own fields, but for its body, its conditions and its hop, and what the edge knows of it.
    private func questionHead(_ forward: ForwardAccess) -> ByteBuffer {
        inbound.withUnsafeReadableBytes { raw in
            let bytes = raw.baseAddress!.assumingMemoryBound(to: UInt8.self)
            func copy(_ range: ByteRange) -> UnsafeBufferPointer<UInt8> {
                UnsafeBufferPointer(start: bytes + range.start, count: range.count)
            }
            var out = Array("GET ".utf8)
            out += forward.path
            out += " HTTP/1.1\r\nHost: ".utf8
            out += copy(loop.requestHead.host)
            out += "\r\n".utf8
            for index in 0..<loop.requestHead.fieldCount {
                let field = loop.requestHead.fields[index]
                guard field.id == .other || field.id == .accept, !field.isHopByHop else { continue }
                out += copy(field.name)
                out += ": ".utf8
                out += copy(field.value)
                out += "\r\n".utf8
            }
            out += "X-Forwarded-Method: ".utf8
            out += copy(loop.requestHead.methodRange)
            out += "\r\nX-Forwarded-Host: ".utf8
            out += copy(loop.requestHead.host)
            out += "\r\nX-Forwarded-Uri: ".utf8
            out += copy(loop.requestHead.path)
            out += "\r\n".utf8
            out += request.claim?.lines ?? forwardedLines
            out += "X-Request-Id: ".utf8
            out.appendHex(request.id.0)
            out.appendHex(request.id.1)
            out += "\r\nConnection: close\r\n\r\n".utf8
            return ByteBuffer(bytes: out)
        }
    }

    private func relay(_ answer: Subrequest.Answer) {
        consumeHead()
        if !request.isSent { request.keepAlive = false }
        request.status = answer.status
        var out = Array("HTTP/1.1 \(answer.status) \(AnswerPage.reason(answer.status))\r\n".utf8)
        for (name, value) in answer.fields {
            out += name
            out += ": ".utf8
            out += value
            out += "\r\n".utf8
        }
        if answer.status != 204, answer.status != 304 { out += "Content-Length: \(answer.body.count)\r\n".utf8 }
        if !answer.fields.contains(where: { $0.name.map(ByteClass.lower).elementsEqual("date".utf8) }) {
            out += loop.date.bytes
        }
        out += connectionLine.utf8
        out += "\r\n".utf8
        let head = ByteBuffer(bytes: out)
        write(edited(head, headBytes: head.readableBytes))
        if request.method != .head, !answer.body.isEmpty { write(ByteBuffer(bytes: answer.body)) }
        ownAnswerWasWritten()
    }

    // MARK: header fields

    /// The head for the upstream as the policy wants it.
    func editRequestHead(_ policy: RoutePolicy) {
        let lines = progress?.lines ?? []
        let access = policy.access
        let dropsCredentials = access.map { !$0.passesCredentials && ($0.basic != nil || $0.tokens != nil) } ?? false
        guard policy.requestEdits != nil || !lines.isEmpty || dropsCredentials || access?.forward != nil else { return }
        var edits = policy.requestEdits ?? HeaderEdits()
        if dropsCredentials { edits.removed += [Array("authorization".utf8), Array("x-token".utf8)] }
        if let forward = access?.forward { edits.removed += forward.copied }
        edits.added += lines
        memory.upstreamHead = edits.apply(
            to: memory.upstreamHead, headBytes: memory.upstreamHead.readableBytes)
    }

    /// A response as the route's policy wants it; `message` begins with the head.
    func edited(_ message: ByteBuffer, headBytes: Int) -> ByteBuffer {
        guard let policy else { return message }
        var edits = policy.responseEdits ?? HeaderEdits()
        if let line = policy.hstsLine, isSecure {
            edits.remove("Strict-Transport-Security")
            edits.added += line
        }
        return edits.isEmpty ? message : edits.apply(to: message, headBytes: headBytes)
    }
}
