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

    /// - Returns: the number of bytes written.
    static func write(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing ResponseHead, _ shape: ResponseShape,
        to out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var writer = ByteWriter(out)
        writer.append("HTTP/1.1 ")
        writer.append(bytes + head.statusText.start, head.statusText.count)
        var runStart = 0
        var runEnd = 0
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            let isFraming = field.id == .contentLength || field.id == .transferEncoding
            let passes =
                !field.isHopByHop && (!isFraming || shape.keepsFraming)
                || shape.isUpgrade && field.id == .upgrade
            guard passes else { continue }
            if field.name.start != runEnd {
                writer.append(bytes + runStart, runEnd - runStart)
                runStart = field.name.start
            }
            runEnd = Int(field.lineEnd)
        }
        writer.append(bytes + runStart, runEnd - runStart)
        if !shape.keepsFraming, shape.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
        if shape.isUpgrade {
            writer.append("Connection: Upgrade\r\n")
        } else if shape.closes {
            writer.append("Connection: close\r\n")
        } else if shape.isHTTP10 {
            writer.append("Connection: keep-alive\r\n")
        }
        writer.append("\r\n")
        return writer.count
    }
}
