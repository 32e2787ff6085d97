/// Reads HTTP/1.x response heads. As strict as for requests: an upstream whose answer has two readings gets a 502.
enum ResponseHeadParser {
    static func parse(_ bytes: UnsafePointer<UInt8>, count: Int, into head: inout ResponseHead) -> HeadOutcome {
        head.fieldCount = 0
        head.hasDate = false
        head.keepAliveTimeoutSeconds = nil
        var at = 0
        let line = statusLine(bytes, count, &at, &head)
        guard line == .complete else { return limited(line, count) }
        while true {
            guard at < count else { return limited(.incomplete, count) }
            if bytes[at] == ByteClass.cr {
                guard at + 1 < count else { return limited(.incomplete, count) }
                guard bytes[at + 1] == ByteClass.lf else { return .refused(502) }
                at += 2
                break
            }
            guard head.fieldCount < ResponseHead.fieldsMax else { return .refused(502) }
            let outcome = field(bytes, count, &at, &head)
            guard outcome == .complete else { return limited(outcome, count) }
        }
        head.end = at
        return semantics(bytes, &head)
    }

    private static func limited(_ outcome: HeadOutcome, _ count: Int) -> HeadOutcome {
        switch outcome {
        case .incomplete: count > HeadLimits.headBytesMax ? .refused(502) : .incomplete
        case .refused: .refused(502)
        case .complete: .complete
        }
    }

    /// `HTTP/1.x SP 3DIGIT SP reason CRLF`; the space before an empty reason may be missing, as it often is.
    private static func statusLine(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout ResponseHead
    ) -> HeadOutcome {
        let expected: StaticString = "HTTP/1."
        for index in 0..<7 {
            guard index < count else { return .incomplete }
            guard bytes[index] == expected.utf8Start[index] else { return .refused(502) }
        }
        guard count >= 14 else { return .incomplete }
        guard ByteClass.isDigit(bytes[7]), bytes[8] == ByteClass.space, ByteClass.isDigit(bytes[9]),
            ByteClass.isDigit(bytes[10]), ByteClass.isDigit(bytes[11]),
            bytes[12] == ByteClass.space || bytes[12] == ByteClass.cr
        else { return .refused(502) }
        head.keepAlive = bytes[7] != UInt8(ascii: "0")
        head.status = UInt16(bytes[9] &- 0x30) * 100 + UInt16(bytes[10] &- 0x30) * 10 + UInt16(bytes[11] &- 0x30)
        guard head.status >= 100, head.status <= 599 else { return .refused(502) }
        var index = 12
        while index < count, ByteClass.isFieldValue(bytes[index]) { index += 1 }
        guard index + 1 < count else { return .incomplete }
        guard bytes[index] == ByteClass.cr, bytes[index + 1] == ByteClass.lf else { return .refused(502) }
        at = index + 2
        head.statusText = ByteRange(start: 9, end: at)
        return .complete
    }

    private static func field(
        _ bytes: UnsafePointer<UInt8>, _ count: Int, _ at: inout Int, _ head: inout ResponseHead
    ) -> HeadOutcome {
        var name = ByteRange()
        var value = ByteRange()
        let outcome = FieldLine.read(bytes, count, &at, name: &name, value: &value)
        guard outcome == .complete else { return outcome }
        let id = identify(bytes + name.start, name.count)
        (head.fields + head.fieldCount).initialize(
            to: ResponseHead.Field(
                name: name, value: value, lineEnd: Int32(truncatingIfNeeded: at), id: id,
                isHopByHop: id != .other && id != .contentLength && id != .transferEncoding && id != .date))
        head.fieldCount += 1
        return .complete
    }

    private static func identify(_ name: UnsafePointer<UInt8>, _ count: Int) -> ResponseHeaderName {
        func matches(_ text: StaticString) -> Bool { name.equalsIgnoringCase(text, count: count) }
        switch count {
        case 4: return matches("date") ? .date : .other
        case 7: return matches("upgrade") ? .upgrade : .other
        case 10: return matches("connection") ? .connection : matches("keep-alive") ? .keepAlive : .other
        case 14: return matches("content-length") ? .contentLength : .other
        case 16: return matches("proxy-connection") ? .proxyConnection : .other
        case 17: return matches("transfer-encoding") ? .transferEncoding : .other
        default: return .other
        }
    }

    private static func semantics(_ bytes: UnsafePointer<UInt8>, _ head: inout ResponseHead) -> HeadOutcome {
        var length: UInt64?
        var isChunked = false
        for index in 0..<head.fieldCount {
            let value = head.fields[index].value
            let start = bytes + value.start
            switch head.fields[index].id {
            case .contentLength:
                guard let number = RequestSemantics.number(bytes, value), length == nil || length == number else {
                    return .refused(502)
                }
                // A repeated equal length is told once.
                if length != nil { head.fields[index].isHopByHop = true }
                length = number
            case .transferEncoding:
                guard !isChunked, start.equalsIgnoringCase("chunked", count: value.count) else { return .refused(502) }
                isChunked = true
            case .connection:
                if start.listHolds("close", count: value.count) {
                    head.keepAlive = false
                } else if start.listHolds("keep-alive", count: value.count) {
                    head.keepAlive = true
                }
                markHopByHop(bytes, value, &head)
            case .date: head.hasDate = true
            case .keepAlive: head.keepAliveTimeoutSeconds = timeout(start, value.count)
            default: break
            }
        }
        guard !isChunked || length == nil else { return .refused(502) }
        head.framing = isChunked ? .chunked : length.map { $0 == 0 ? .none : .length($0) } ?? .untilClose
        return .complete
    }

    /// `timeout=N` among the parameters of `Keep-Alive`.
    private static func timeout(_ start: UnsafePointer<UInt8>, _ count: Int) -> Int? {
        var seconds: Int?
        start.forEachListElement(count: count) { offset, length in
            let element = start + offset
            guard length > 8, element.equalsIgnoringCase("timeout=", count: 8) else { return }
            guard let number = RequestSemantics.number(element, ByteRange(start: 8, end: length)) else { return }
            seconds = Int(min(number, 3600))
        }
        return seconds
    }

    private static func markHopByHop(_ bytes: UnsafePointer<UInt8>, _ value: ByteRange, _ head: inout ResponseHead) {
        let fields = head.fields
        let fieldCount = head.fieldCount
        let start = bytes + value.start
        start.forEachListElement(count: value.count) { offset, length in
            for other in 0..<fieldCount where fields[other].id == .other && fields[other].name.count == length {
                let name = bytes + fields[other].name.start
                var isSame = true
                for position in 0..<length
                where ByteClass.lower(name[position]) != ByteClass.lower(start[offset + position]) { isSame = false }
                if isSame { fields[other].isHopByHop = true }
            }
        }
    }
}
