/// A strict reader of HTTP/1.1 request heads (RFC 9112 sections 2 to 6). Whatever two programs could read differently
/// is refused: that is what request smuggling lives on.
enum RequestHeadParser {
    /// Reads a head from the first `count` bytes. On `complete` all of `head` is set.
    static func parse(_ bytes: UnsafePointer<UInt8>, count: Int, into head: inout RequestHead) -> HeadOutcome {
        head.fieldCount = 0
        head.upgradeField = -1
        head.wantsUpgrade = false
        head.hasConnectionField = false
        head.maxForwards = -1
        head.framing = .none
        var at = 0
        // RFC 9112 section 2.2: empty lines before a request are ignored.
        while at < count, bytes[at] == ByteClass.cr, at < 2 * HeadLimits.emptyLinesMax {
            guard at + 1 < count else { return .incomplete }
            guard bytes[at + 1] == ByteClass.lf else { return .refused(400) }
            at += 2
        }
        head.start = at
        let line = requestLine(bytes, count, &at, &head)
        guard line == .complete else { return limited(line, count - head.start) }
        let fields = fieldLines(bytes, count, &at, &head)
        guard fields == .complete else { return limited(fields, count - head.start) }
        head.end = at
        guard at - head.start <= HeadLimits.headBytesMax else { return .refused(431) }
        return RequestSemantics.check(bytes, &head)
    }

    private static func limited(_ outcome: HeadOutcome, _ count: Int) -> HeadOutcome {
        outcome == .incomplete && count > HeadLimits.headBytesMax ? .refused(431) : outcome
    }

    private static func requestLine(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout RequestHead
    ) -> HeadOutcome {
        let methodStart = at
        while at < count, ByteClass.isToken(bytes[at]) { at += 1 }
        guard at - methodStart <= HeadLimits.methodBytesMax else { return .refused(400) }
        guard at < count else { return .incomplete }
        guard at > methodStart, bytes[at] == ByteClass.space else { return .refused(400) }
        head.methodRange = ByteRange(start: methodStart, end: at)
        at += 1
        let targetStart = at
        while at < count, bytes[at] &- 0x21 < 0x5E, bytes[at] != UInt8(ascii: "#") { at += 1 }
        guard at - targetStart <= HeadLimits.targetBytesMax else { return .refused(414) }
        guard at < count else { return .incomplete }
        guard at > targetStart, bytes[at] == ByteClass.space else { return .refused(400) }
        let target = ByteRange(start: targetStart, end: at)
        at += 1
        let version = version(bytes, count, &at, &head)
        guard version == .complete else { return version }
        return RequestTarget.read(bytes, target, &head)
    }

    /// `HTTP/1.x CRLF`.
    private static func version(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout RequestHead
    ) -> HeadOutcome {
        let expected: StaticString = "HTTP/"
        for index in 0..<5 {
            guard at + index < count else { return .incomplete }
            guard bytes[at + index] == expected.utf8Start[index] else { return .refused(400) }
        }
        guard at + 10 <= count else { return .incomplete }
        guard ByteClass.isDigit(bytes[at + 5]), bytes[at + 6] == UInt8(ascii: "."), ByteClass.isDigit(bytes[at + 7]),
            bytes[at + 8] == ByteClass.cr, bytes[at + 9] == ByteClass.lf
        else { return .refused(400) }
        guard bytes[at + 5] == UInt8(ascii: "1") else { return .refused(505) }
        head.isHTTP10 = bytes[at + 7] == UInt8(ascii: "0")
        at += 10
        return .complete
    }

    private static func fieldLines(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout RequestHead
    ) -> HeadOutcome {
        while true {
            guard at < count else { return .incomplete }
            if bytes[at] == ByteClass.cr {
                guard at + 1 < count else { return .incomplete }
                guard bytes[at + 1] == ByteClass.lf else { return .refused(400) }
                at += 2
                return .complete
            }
            guard head.fieldCount < RequestHead.fieldsMax else { return .refused(431) }
            var name = ByteRange()
            var value = ByteRange()
            let outcome = FieldLine.read(bytes, count, &at, name: &name, value: &value)
            guard outcome == .complete else { return outcome }
            (head.fields + head.fieldCount).initialize(
                to: HeaderField(
                    name: name, value: value, lineEnd: Int32(truncatingIfNeeded: at),
                    id: HeaderName.of(bytes + name.start, count: name.count), isHopByHop: false))
            head.fieldCount += 1
        }
    }
}

/// One `field-line CRLF` (RFC 9112 section 5), the same for requests and responses.
enum FieldLine {
    /// Reads a line from `at` on and moves `at` behind it.
    static func read(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, name: inout ByteRange, value: inout ByteRange
    ) -> HeadOutcome {
        let nameStart = at
        var index = at
        while index < count, ByteClass.isToken(bytes[index]) { index += 1 }
        guard index < count else { return .incomplete }
        // Nothing may stand between name and colon, and a line that begins with white space is an obsolete fold.
        guard index > nameStart, bytes[index] == ByteClass.colon else { return .refused(400) }
        name = ByteRange(start: nameStart, end: index)
        index += 1
        while index < count, bytes[index] == ByteClass.space || bytes[index] == ByteClass.tab { index += 1 }
        let valueStart = index
        index = endOfValue(bytes, index, count)
        guard index < count else { return .incomplete }
        guard bytes[index] == ByteClass.cr else { return .refused(400) }
        guard index + 1 < count else { return .incomplete }
        guard bytes[index + 1] == ByteClass.lf else { return .refused(400) }
        var valueEnd = index
        while valueEnd > valueStart, bytes[valueEnd - 1] == ByteClass.space || bytes[valueEnd - 1] == ByteClass.tab {
            valueEnd -= 1
        }
        value = ByteRange(start: valueStart, end: valueEnd)
        at = index + 2
        return .complete
    }

    /// The first byte from `start` that a field value may not hold. Eight bytes at a time: values are most of a head.
    @inline(__always)
    private static func endOfValue(_ bytes: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> Int {
        var index = start
        let raw = UnsafeRawPointer(bytes)
        while index &+ 8 <= count {
            let word = raw.loadUnaligned(fromByteOffset: index, as: UInt64.self)
            // A byte below 0x20, or equal to 0x7F, sets its high bit (never misses one; a tab is sorted out below).
            let below = (word &- 0x2020_2020_2020_2020) & ~word
            let delete = word ^ 0x7F7F_7F7F_7F7F_7F7F
            let isDelete = (delete &- 0x0101_0101_0101_0101) & ~delete
            if (below | isDelete) & 0x8080_8080_8080_8080 != 0 { break }
            index &+= 8
        }
        while index < count, ByteClass.isFieldValue(bytes[index]) { index &+= 1 }
        return index
    }
}
