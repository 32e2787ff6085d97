/// How a response goes on to the client.
struct ResponseShape {
    /// How the body is framed towards the client.
    var framing: BodyFraming
    /// The framing fields of the upstream hold for the client too.
    var keepsFraming: Bool
    /// The client's connection is closed after this response.
    var closes: Bool
    /// An HTTP/1.0 client must be told that its connection stays.
    var isHTTP10: Bool
    /// A protocol was switched: its two fields pass.
    var isUpgrade: Bool
}

/// Writes the head that goes to the client.
enum ResponseRewriter {
    static func bytesMax(_ head: borrowing ResponseHead) -> Int { head.end + 128 }

    /// - Parameter date: the line that an answer without one gets (RFC 9110 section 6.6.1).
    /// - Returns: the number of bytes written.
    static func write(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing ResponseHead, _ shape: ResponseShape, date: [UInt8],
        to out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var writer = ByteWriter(out)
        writer.append("HTTP/1.1 ")
        writer.append(bytes + head.statusText.start, head.statusText.count)
        var runStart = 0
        var runEnd = 0
        // RFC 9110 section 15.5.22: 426 says what to change to, and HTTP/1.0 knows no change.
        let tellsUpgrade = shape.isUpgrade || head.status == 426 && !shape.isHTTP10
        var hasUpgrade = false
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            let isFraming = field.id == .contentLength || field.id == .transferEncoding
            let passes =
                !field.isHopByHop && (!isFraming || shape.keepsFraming)
                || tellsUpgrade && field.id == .upgrade
            guard passes else { continue }
            if field.id == .upgrade { hasUpgrade = true }
            if field.name.start != runEnd {
                writer.append(bytes + runStart, runEnd - runStart)
                runStart = field.name.start
            }
            runEnd = Int(field.lineEnd)
        }
        writer.append(bytes + runStart, runEnd - runStart)
        if !shape.keepsFraming, shape.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
        if !head.hasDate, head.status >= 200 { writer.append(date) }
        if shape.isUpgrade || hasUpgrade, !shape.closes {
            writer.append("Connection: Upgrade\r\n")
        } else if shape.closes {
            writer.append(hasUpgrade ? "Connection: close, Upgrade\r\n" : "Connection: close\r\n")
        } else if shape.isHTTP10 {
            writer.append("Connection: keep-alive\r\n")
        }
        writer.append("\r\n")
        return writer.count
    }
}
