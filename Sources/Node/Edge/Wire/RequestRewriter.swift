/// What the proxy adds to a request head.
struct RequestAdditions {
    /// See ``ForwardedLines``.
    var forwardedLines: [UInt8]
    var requestId: (UInt64, UInt64)
    /// Leading bytes of the path that the route strips.
    var stripCount: Int
    /// Replaces the path (not the query) when it had to be normalised.
    var path: [UInt8]?
    /// Sent as `Host` when an HTTP/1.0 client named none.
    var fallbackHost: [UInt8]
    /// The request came over HTTP/2.
    var isHTTP2 = false
}

/// Writes the head that goes upstream: HTTP/1.1, hop-by-hop fields gone, claims of strangers replaced by what we know.
enum RequestRewriter {
    /// Bytes that ``write(_:_:_:to:)`` needs at most.
    static func bytesMax(_ head: borrowing RequestHead, _ additions: RequestAdditions) -> Int {
        head.end - head.start + head.host.count * 2 + additions.forwardedLines.count + additions.fallbackHost.count
            + (additions.path?.count ?? 0) + 256
    }

    /// - Returns: the number of bytes written.
    static func write(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead, _ additions: RequestAdditions,
        to out: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var writer = ByteWriter(out)
        writeRequestLine(bytes, head, additions, &writer)
        writeHost(bytes, head, additions, &writer)
        writeFields(bytes, head, &writer)
        writer.append(additions.forwardedLines)
        if !head.host.isEmpty {
            writer.append("X-Forwarded-Host: ")
            writer.append(bytes + head.host.start, head.host.count)
            writer.append("\r\n")
        }
        writeVia(head, additions, &writer)
        writer.append("X-Request-Id: ")
        writer.appendHex(additions.requestId.0)
        writer.appendHex(additions.requestId.1)
        if head.wantsUpgrade {
            let value = head.fields[Int(head.upgradeField)].value
            writer.append("\r\nConnection: Upgrade\r\nUpgrade: ")
            writer.append(bytes + value.start, value.count)
        }
        writer.append("\r\n\r\n")
        return writer.count
    }

    private static func writeRequestLine(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead, _ additions: RequestAdditions,
        _ writer: inout ByteWriter
    ) {
        writer.append(bytes + head.methodRange.start, head.methodRange.count)
        writer.append(ByteClass.space)
        // RFC 9112 section 3.2.4: without path and query, OPTIONS of an absolute form is of the server as a whole.
        if head.target == .asterisk || head.method == .options && head.path.isEmpty {
            writer.append(UInt8(ascii: "*"))
        } else if let path = additions.path {
            path.withUnsafeBufferPointer { writePath($0.baseAddress!, $0.count, additions.stripCount, &writer) }
            writer.append(bytes + head.pathOnly.end, head.path.end - head.pathOnly.end)
        } else {
            writePath(bytes + head.pathOnly.start, head.pathOnly.count, additions.stripCount, &writer)
            writer.append(bytes + head.pathOnly.end, head.path.end - head.pathOnly.end)
        }
        writer.append(" HTTP/1.1\r\n")
    }

    private static func writePath(
        _ path: UnsafePointer<UInt8>, _ count: Int, _ stripCount: Int, _ writer: inout ByteWriter
    ) {
        let strip = min(stripCount, count)
        if strip == count || path[strip] != ByteClass.slash { writer.append(ByteClass.slash) }
        writer.append(path + strip, count - strip)
    }

    private static func writeHost(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead, _ additions: RequestAdditions,
        _ writer: inout ByteWriter
    ) {
        writer.append("Host: ")
        if head.host.isEmpty {
            writer.append(additions.fallbackHost)
        } else {
            writer.append(bytes + head.host.start, head.host.count)
        }
        writer.append("\r\n")
    }

    /// RFC 9110 section 7.6.3: behind whatever `Via` came, which passed with the other fields.
    private static func writeVia(
        _ head: borrowing RequestHead, _ additions: RequestAdditions, _ writer: inout ByteWriter
    ) {
        writer.append(
            additions.isHTTP2 ? "Via: 2 roost\r\n" : head.isHTTP10 ? "Via: 1.0 roost\r\n" : "Via: 1.1 roost\r\n")
        guard head.maxForwards > 0 else { return }
        writer.append("Max-Forwards: ")
        writer.append(Array(String(head.maxForwards - 1).utf8))
        writer.append("\r\n")
    }

    /// Fields that pass are copied in runs of neighbouring lines.
    private static func writeFields(
        _ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead, _ writer: inout ByteWriter
    ) {
        var runStart = 0
        var runEnd = 0
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            let passes =
                field.id == .contentLength
                || (!field.id.isReplaced && !field.isHopByHop && !(field.id == .expect && head.isHTTP10))
            guard passes else { continue }
            if field.name.start != runEnd {
                writer.append(bytes + runStart, runEnd - runStart)
                runStart = field.name.start
            }
            runEnd = Int(field.lineEnd)
        }
        writer.append(bytes + runStart, runEnd - runStart)
        // In these letters, whatever came: not every program knows that case does not count.
        if head.framing == .chunked { writer.append("Transfer-Encoding: chunked\r\n") }
    }
}
