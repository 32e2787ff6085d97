/// However a body is cut into buffers, the scanner comes to the same end at the same byte; and what it takes, a plain
/// reader of another make takes too, with the same content. The first byte says how it is cut.
@Sendable
func fuzzChunks(_ input: UnsafeBufferPointer<UInt8>) {
    let bytes = Array(input.dropFirst())
    let whole = scan(bytes, piece: max(1, bytes.count))
    let cut = scan(bytes, piece: Int(input[0] % 16) + 1)
    hold(whole.outcome == cut.outcome, "the cut does not change the outcome")
    guard whole.outcome == .done else { return }
    hold(whole.end == cut.end && whole.payload == cut.payload, "the cut does not change content and end")
    let plain = plainReading(bytes)
    hold(plain != nil, "what the scanner takes, others can read")
    hold(plain! == (whole.end, whole.payload), "others read the same content and end")
}

private func scan(_ bytes: [UInt8], piece: Int) -> (outcome: ChunkScanner.Outcome, end: Int, payload: [UInt8]) {
    var scanner = ChunkScanner()
    var at = 0
    var payload: [UInt8] = []
    while at < bytes.count {
        let part = Array(bytes[at..<min(bytes.count, at + piece)])
        let outcome = withExactCopy(part) { start, count in
            scanner.scan(start, count: count) { offset, length in payload += part[offset..<offset + length] }
        }
        if outcome == .done { return (.done, at + scanner.consumed, payload) }
        if outcome == .bad { return (.bad, 0, []) }
        hold(scanner.consumed == part.count, "a body that goes on took all")
        at += part.count
    }
    return (.more, at, payload)
}

/// Line by line, as a simple server would read it.
private func plainReading(_ bytes: [UInt8]) -> (Int, [UInt8])? {
    var at = 0
    var payload: [UInt8] = []
    func line() -> ArraySlice<UInt8>? {
        var end = at
        while end + 1 < bytes.count, !(bytes[end] == ByteClass.cr && bytes[end + 1] == ByteClass.lf) { end += 1 }
        guard end + 1 < bytes.count else { return nil }
        defer { at = end + 2 }
        return bytes[at..<end]
    }
    while let sizeLine = line() {
        let digits = sizeLine.prefix { ByteClass.hexValue($0) != nil }
        guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else { return nil }
        guard size > 0 else {
            while let trailer = line() {
                if trailer.isEmpty { return (at, payload) }
                guard trailer.contains(ByteClass.colon) else { return nil }
            }
            return nil
        }
        guard at + size + 2 <= bytes.count else { return nil }
        payload += bytes[at..<at + size]
        guard bytes[at + size] == ByteClass.cr, bytes[at + size + 1] == ByteClass.lf else { return nil }
        at += size + 2
    }
    return nil
}

private let zone: NameZone = {
    let zone = NameZone(address: [127, 0, 0, 1], responderAddress: [127, 0, 0, 2])
    zone.replace(suffix: "svc.internal", names: ["web", "api"])
    return zone
}()

/// An answer carries the question's number, says that it is one, and has the size that the client takes.
@Sendable
func fuzzNames(_ input: UnsafeBufferPointer<UInt8>) {
    let packet = Array(input)
    let datagram = zone.answer(packet, isStream: false)
    let stream = zone.answer(packet, isStream: true)
    hold((datagram == nil) == (stream == nil), "both ways answer or neither")
    for answer in [datagram, stream].compactMap(\.self) {
        hold(answer.count >= 12, "an answer has a header")
        hold(answer.prefix(2).elementsEqual(packet.prefix(2)), "an answer has the number of its question")
        hold(answer[2] & 0x80 != 0, "an answer says that it is one")
        hold(!isAnswerable(answer), "an answer is never answered")
    }
    if let datagram { hold(datagram.count <= NameZone.payloadBytesMax, "a datagram is not too large") }
    guard case .query(let query) = NameQuery.parse(packet), let datagram else { return }
    if query.edns == nil { hold(datagram.count <= 512, "without EDNS, 512 bytes at most") }
    hold(datagram.dropFirst(12).starts(with: query.question), "the question is echoed")
}

private func isAnswerable(_ packet: [UInt8]) -> Bool { zone.answer(packet, isStream: true) != nil }
