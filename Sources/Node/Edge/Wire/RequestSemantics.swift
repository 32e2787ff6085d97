/// What the fields of a request mean together: host, framing, persistence, upgrade.
enum RequestSemantics {
    static func check(_ bytes: UnsafePointer<UInt8>, _ head: inout RequestHead) -> HeadOutcome {
        var hostField: ByteRange?
        var lengthField: ByteRange?
        var isChunked = false
        var closes = false
        var keepsAlive = false
        var upgrades = false
        for index in 0..<head.fieldCount {
            let value = head.fields[index].value
            let start = bytes + value.start
            switch head.fields[index].id {
            case .host:
                guard hostField == nil else { return .refused(400) }
                hostField = value
            case .contentLength:
                guard lengthField == nil else { return .refused(400) }
                lengthField = value
            case .transferEncoding:
                guard !isChunked, start.equalsIgnoringCase("chunked", count: value.count) else { return .refused(400) }
                isChunked = true
            case .connection:
                head.hasConnectionField = true
                closes = closes || start.listHolds("close", count: value.count)
                keepsAlive = keepsAlive || start.listHolds("keep-alive", count: value.count)
                upgrades = upgrades || start.listHolds("upgrade", count: value.count)
            case .upgrade:
                guard head.upgradeField < 0 else { return .refused(400) }
                head.upgradeField = Int32(index)
            default: break
            }
        }
        let framed = framing(bytes, lengthField, isChunked, &head)
        guard framed == .complete else { return framed }
        let hosted = host(bytes, hostField, &head)
        guard hosted == .complete else { return hosted }
        head.keepAlive = !closes && (!head.isHTTP10 || keepsAlive)
        head.wantsUpgrade = upgrades && isUpgradeAllowed(bytes, head)
        if head.hasConnectionField { markHopByHop(bytes, &head) }
        if head.method == .options { readMaxForwards(bytes, &head) }
        return .complete
    }

    /// RFC 9110 section 7.6.2. The field as it came ends here; what goes on is written anew. One that is no number is
    /// left as it is.
    private static func readMaxForwards(_ bytes: UnsafePointer<UInt8>, _ head: inout RequestHead) {
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            guard (bytes + field.name.start).equalsIgnoringCase("max-forwards", count: field.name.count),
                let number = number(bytes, field.value)
            else { continue }
            head.maxForwards = Int(number)
            head.fields[index].isHopByHop = true
        }
    }

    private static func framing(
        _ bytes: UnsafePointer<UInt8>, _ lengthField: ByteRange?, _ isChunked: Bool, _ head: inout RequestHead
    ) -> HeadOutcome {
        if isChunked {
            // RFC 9112 section 6.1: both lengths at once, or chunks from HTTP/1.0, are an attack or a defect.
            guard lengthField == nil, !head.isHTTP10 else { return .refused(400) }
            head.framing = .chunked
        } else if let lengthField {
            guard let length = number(bytes, lengthField) else { return .refused(400) }
            head.framing = length == 0 ? .none : .length(length)
        }
        return .complete
    }

    /// Digits and nothing else, at most 18 of them: no sign, no list, no overflow.
    static func number(_ bytes: UnsafePointer<UInt8>, _ range: ByteRange) -> UInt64? {
        guard range.count > 0, range.count <= 18 else { return nil }
        var number: UInt64 = 0
        for index in range.start..<range.end {
            guard ByteClass.isDigit(bytes[index]) else { return nil }
            number = number * 10 + UInt64(bytes[index] &- 0x30)
        }
        return number
    }

    private static func host(
        _ bytes: UnsafePointer<UInt8>, _ field: ByteRange?, _ head: inout RequestHead
    ) -> HeadOutcome {
        if let field {
            guard RequestTarget.hostName(bytes, field) != nil else { return .refused(400) }
            // RFC 9112 section 3.2.2: the authority of an absolute form wins over the field.
            if head.target != .absolute { head.host = field }
        } else if !head.isHTTP10 {
            return .refused(400)
        }
        guard let name = RequestTarget.hostName(bytes, head.host) else { return .refused(400) }
        head.hostName = name
        return .complete
    }

    /// Any protocol may be switched to but HTTP/2 in clear text, by which requests could pass unseen, and TLS.
    private static func isUpgradeAllowed(_ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead) -> Bool {
        guard head.upgradeField >= 0, !head.isHTTP10, head.framing == .none, head.method == .get else { return false }
        let value = head.fields[Int(head.upgradeField)].value
        let start = bytes + value.start
        var isAllowed = value.count > 0
        start.forEachListElement(count: value.count) { offset, length in
            let token = start + offset
            if length >= 3, token.equalsIgnoringCase("h2c", count: 3) || token.equalsIgnoringCase("tls", count: 3) {
                isAllowed = false
            }
            if length >= 4, token.equalsIgnoringCase("http", count: 4) { isAllowed = false }
        }
        return isAllowed
    }

    /// RFC 9110 section 7.6.1: what `Connection` names ends here. Not what the message itself hangs on, which a
    /// stranger could otherwise make us forget.
    private static func markHopByHop(_ bytes: UnsafePointer<UInt8>, _ head: inout RequestHead) {
        let fields = head.fields
        let fieldCount = head.fieldCount
        for index in 0..<fieldCount where fields[index].id == .connection {
            let value = fields[index].value
            let start = bytes + value.start
            start.forEachListElement(count: value.count) { offset, length in
                for other in 0..<fieldCount where fields[other].name.count == length {
                    let name = bytes + fields[other].name.start
                    var isSame = true
                    for position in 0..<length
                    where ByteClass.lower(name[position]) != ByteClass.lower(start[offset + position]) {
                        isSame = false
                    }
                    if isSame { fields[other].isHopByHop = true }
                }
            }
        }
    }
}
