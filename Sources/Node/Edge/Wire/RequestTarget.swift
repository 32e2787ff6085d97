/// The four forms of a request target (RFC 9112 section 3.2), and authorities.
enum RequestTarget {
    static func read(_ bytes: UnsafePointer<UInt8>, _ target: ByteRange, _ head: inout RequestHead) -> HeadOutcome {
        head.method = method(bytes + head.methodRange.start, head.methodRange.count)
        // CONNECT would make an open relay of us, TRACE echoes what a browser hides from scripts.
        if head.method == .other {
            let name = bytes + head.methodRange.start
            if isName(name, head.methodRange.count, "CONNECT") || isName(name, head.methodRange.count, "TRACE") {
                return .refused(405)
            }
        }
        head.host = ByteRange()
        let first = bytes[target.start]
        if first == ByteClass.slash {
            head.target = .origin
            head.path = target
        } else if first == UInt8(ascii: "*") {
            guard target.count == 1, head.method == .options else { return .refused(400) }
            head.target = .asterisk
            head.path = target
        } else {
            guard absolute(bytes, target, &head) else { return .refused(400) }
        }
        var end = head.path.start
        while end < head.path.end, bytes[end] != UInt8(ascii: "?") { end += 1 }
        head.pathOnly = ByteRange(start: head.path.start, end: end)
        return .complete
    }

    private static func absolute(
        _ bytes: UnsafePointer<UInt8>, _ target: ByteRange, _ head: inout RequestHead
    ) -> Bool {
        let start = bytes + target.start
        var at: Int
        if target.count > 7, start.equalsIgnoringCase("http://", count: 7) {
            at = target.start + 7
        } else if target.count > 8, start.equalsIgnoringCase("https://", count: 8) {
            at = target.start + 8
        } else {
            return false
        }
        let authority = at
        while at < target.end, bytes[at] != ByteClass.slash, bytes[at] != UInt8(ascii: "?") { at += 1 }
        guard at > authority else { return false }
        head.target = .absolute
        head.host = ByteRange(start: authority, end: at)
        head.path = ByteRange(start: at, end: target.end)
        return true
    }

    private static func isName(_ name: UnsafePointer<UInt8>, _ count: Int, _ text: StaticString) -> Bool {
        guard text.utf8CodeUnitCount == count else { return false }
        for index in 0..<count where name[index] != text.utf8Start[index] { return false }
        return true
    }

    private static func method(_ name: UnsafePointer<UInt8>, _ count: Int) -> RequestHead.Method {
        switch count {
        case 3: isName(name, count, "GET") ? .get : isName(name, count, "PUT") ? .put : .other
        case 4: isName(name, count, "POST") ? .post : isName(name, count, "HEAD") ? .head : .other
        case 5: isName(name, count, "PATCH") ? .patch : .other
        case 6: isName(name, count, "DELETE") ? .delete : .other
        case 7: isName(name, count, "OPTIONS") ? .options : .other
        default: .other
        }
    }

    /// `host [":" port]` without user information (RFC 9110 section 4.2.4); finds where the name ends.
    /// - Returns: the name without port and trailing dot, or nil when it is not an authority.
    static func hostName(_ bytes: UnsafePointer<UInt8>, _ authority: ByteRange) -> ByteRange? {
        var at = authority.start
        guard authority.count <= 261 else { return nil }
        if at < authority.end, bytes[at] == UInt8(ascii: "[") {
            at += 1
            let first = at
            while at < authority.end,
                ByteClass.hexValue(bytes[at]) != nil || bytes[at] == ByteClass.colon
                    || bytes[at] == UInt8(ascii: ".")
            { at += 1 }
            guard at > first, at < authority.end, bytes[at] == UInt8(ascii: "]") else { return nil }
            at += 1
        } else {
            while at < authority.end, isHostByte(bytes[at]) { at += 1 }
        }
        var end = at
        if at < authority.end {
            guard bytes[at] == ByteClass.colon, at > authority.start else { return nil }
            at += 1
            guard authority.end - at <= 5 else { return nil }
            while at < authority.end, ByteClass.isDigit(bytes[at]) { at += 1 }
            guard at == authority.end else { return nil }
        }
        if end > authority.start, bytes[end - 1] == UInt8(ascii: ".") { end -= 1 }
        return ByteRange(start: authority.start, end: end)
    }

    private static func isHostByte(_ byte: UInt8) -> Bool {
        ByteClass.isDigit(byte) || (byte | 0x20) &- 0x61 < 26 || byte == UInt8(ascii: "-")
            || byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")
    }
}
