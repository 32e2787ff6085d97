/// A head that is taken has one reading only, and what is written from it says the same.
@Sendable
func fuzzRequestHead(_ input: UnsafeBufferPointer<UInt8>) {
    var head = RequestHead()
    let bytes = input.baseAddress!
    guard RequestHeadParser.parse(bytes, count: input.count, into: &head) == .complete else { return }
    hold(head.end <= input.count && head.start <= head.end, "the head ends within the input")
    checkLines(bytes, head.start, head.end)
    checkPrefixes(input, head.end) { start, count in
        var part = RequestHead()
        return RequestHeadParser.parse(start, count: count, into: &part)
    }
    RequestHeadParser.parse(bytes, count: input.count, into: &head).mustBe(.complete)
    guard let written = rewritten(bytes, head) else { return }
    withExactCopy(written) { start, count in
        var again = RequestHead()
        let outcome = RequestHeadParser.parse(start, count: count, into: &again)
        if outcome == .refused(431) || outcome == .refused(414) { return }
        hold(outcome == .complete, "what was written can be read")
        hold(again.end == count, "all of what was written is the head")
        hold(again.framing == head.framing, "the framing stays")
        hold(again.method == head.method, "the method stays")
        hold(again.wantsUpgrade == head.wantsUpgrade, "the upgrade stays")
        checkLines(start, 0, count)
    }
}

private func rewritten(_ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead) -> [UInt8]? {
    var path: [UInt8]?
    if head.pathNeedsNormalising(bytes) {
        path = PathNormaliser.normalised(bytes + head.pathOnly.start, count: head.pathOnly.count)
        guard let path else { return nil }
        hold(path.first == ByteClass.slash, "a normal path begins with a slash")
        let segments = path.split(separator: ByteClass.slash, omittingEmptySubsequences: false)
        hold(!segments.contains { $0.elementsEqual("..".utf8) }, "a normal path has no dot segments")
        let isStable = path.withUnsafeBufferPointer { !PathNormaliser.isNeeded($0.baseAddress!, count: $0.count) }
        hold(isStable, "a normal path stays as it is")
    }
    let additions = RequestAdditions(
        forwardedLines: Array("X-Forwarded-For: 1.2.3.4\r\n".utf8), requestId: (1, 2),
        stripCount: head.pathOnly.count / 2, path: path, fallbackHost: Array("web".utf8))
    let bytesMax = RequestRewriter.bytesMax(head, additions)
    let out = UnsafeMutablePointer<UInt8>.allocate(capacity: bytesMax)
    defer { out.deallocate() }
    let count = RequestRewriter.write(bytes, head, additions, to: out)
    hold(count <= bytesMax, "the rewriter writes no more than it said")
    return Array(UnsafeBufferPointer(start: out, count: count))
}

/// The same for answers of upstreams.
@Sendable
func fuzzResponseHead(_ input: UnsafeBufferPointer<UInt8>) {
    var head = ResponseHead()
    let bytes = input.baseAddress!
    guard ResponseHeadParser.parse(bytes, count: input.count, into: &head) == .complete else { return }
    hold(head.end <= input.count, "the head ends within the input")
    hold(head.status >= 100 && head.status <= 599, "a status has three digits")
    checkLines(bytes, 0, head.end)
    checkPrefixes(input, head.end) { start, count in
        var part = ResponseHead()
        return ResponseHeadParser.parse(start, count: count, into: &part)
    }
    for isUpgrade in [false, true] {
        let shape = ResponseShape(
            framing: head.framing, keepsFraming: true, closes: false, isHTTP10: false, isUpgrade: isUpgrade)
        let bytesMax = ResponseRewriter.bytesMax(head)
        let out = UnsafeMutablePointer<UInt8>.allocate(capacity: bytesMax)
        defer { out.deallocate() }
        let date = Array("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n".utf8)
        let count = ResponseRewriter.write(bytes, head, shape, date: date, to: out)
        hold(count <= bytesMax, "the rewriter writes no more than it said")
        withExactCopy(UnsafeBufferPointer(start: out, count: count)) { start, count in
            var again = ResponseHead()
            let outcome = ResponseHeadParser.parse(start, count: count, into: &again)
            // It may have two fields more, of our own: Date and Connection.
            let isLarge = count > HeadLimits.headBytesMax || head.fieldCount + 2 > ResponseHead.fieldsMax
            hold(outcome == .complete || isLarge, "what was written can be read")
            guard outcome == .complete else { return }
            hold(again.framing == head.framing && again.status == head.status, "status and framing stay")
            checkLines(start, 0, count)
        }
    }
}

/// Lines end in CR LF, neither stands alone, and there is no NUL: what two programs could read differently.
private func checkLines(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ end: Int) {
    for at in start..<end {
        hold(bytes[at] != 0, "no NUL")
        if bytes[at] == ByteClass.lf { hold(at > start && bytes[at - 1] == ByteClass.cr, "no LF without CR") }
        if bytes[at] == ByteClass.cr { hold(at + 1 < end && bytes[at + 1] == ByteClass.lf, "no CR without LF") }
    }
}

/// However it arrives, a head that is taken in the end is not refused before, and not taken early.
private func checkPrefixes(
    _ input: UnsafeBufferPointer<UInt8>, _ end: Int, _ parse: (UnsafePointer<UInt8>, Int) -> HeadOutcome
) {
    for count in Set([1, end / 3, end / 2, end - 3, end - 2, end - 1]) where count > 0 && count < end {
        hold(withExactCopy(input.prefix(count), parse) == .incomplete, "a part of a head is incomplete")
    }
    hold(withExactCopy(input.prefix(end), parse) == .complete, "a head needs nothing behind it")
}

extension HeadOutcome {
    fileprivate func mustBe(_ other: HeadOutcome) { hold(self == other, "reading twice comes to the same") }
}
