import NIOCore
import NIOHPACK

/// A request's header block as an HTTP/1.1 head (RFC 9113 section 8.3.1), to be read by the one parser that decides.
///
/// What could make the head another one than the block is refused here: a line end in a value, a space in a path.
enum HTTP2RequestHead {
    struct Head {
        var bytes: ByteBuffer
        /// How the body goes on after the head.
        var framing: BodyFraming
        var isHead: Bool
    }

    private struct Pseudo {
        var method = ""
        var path = ""
        var authority: String?
        var host: String?
        var cookies: [String] = []
        var lengthBytes: UInt64?
    }

    /// - Parameter hasBody: the stream goes on after the block.
    /// - Returns: nil for a block that is no request.
    static func read(_ headers: HPACKHeaders, hasBody: Bool) -> Head? {
        var pseudo = Pseudo()
        var fields = ByteBuffer()
        fields.reserveCapacity(1024)
        for (name, value, _) in headers {
            guard read(name, value, &pseudo, &fields) else { return nil }
        }
        guard let authority = pseudo.authority ?? pseudo.host, pseudo.host == nil || pseudo.host == authority else {
            return nil
        }
        guard hasBody || pseudo.lengthBytes ?? 0 == 0 else { return nil }
        // Without a path there is only CONNECT, which the parser turns down.
        let path = pseudo.method == "CONNECT" ? "/" : pseudo.path
        guard HTTP2Fields.isToken(pseudo.method), HTTP2Fields.isTarget(path), HTTP2Fields.isTarget(authority),
            path.utf8.first == ByteClass.slash || path == "*"
        else { return nil }
        var head = Head(bytes: ByteBuffer(), framing: .none, isHead: pseudo.method == "HEAD")
        head.bytes.reserveCapacity(fields.readableBytes + path.utf8.count + authority.utf8.count + 128)
        head.bytes.writeString(pseudo.method)
        head.bytes.writeStaticString(" ")
        head.bytes.writeString(path)
        head.bytes.writeStaticString(" HTTP/1.1\r\nHost: ")
        head.bytes.writeString(authority)
        head.bytes.writeStaticString("\r\n")
        head.bytes.writeBuffer(&fields)
        // RFC 9113 section 8.2.3: what was split to compress better is one field again.
        if !pseudo.cookies.isEmpty { HTTP2Fields.write("cookie", pseudo.cookies.joined(separator: "; "), &head.bytes) }
        if let length = pseudo.lengthBytes {
            head.framing = .length(length)
        } else if hasBody {
            head.framing = .chunked
            head.bytes.writeStaticString("transfer-encoding: chunked\r\n")
        }
        head.bytes.writeStaticString("\r\n")
        return head
    }

    /// - Returns: false for a field that may not be there.
    private static func read(
        _ name: String, _ value: String, _ pseudo: inout Pseudo, _ fields: inout ByteBuffer
    ) -> Bool {
        switch name {
        case ":method": pseudo.method = value
        case ":path": pseudo.path = value
        case ":authority": pseudo.authority = value
        case ":scheme": break
        case "host":
            guard pseudo.host == nil else { return false }
            pseudo.host = value
        case "cookie":
            guard HTTP2Fields.isValue(value) else { return false }
            pseudo.cookies.append(value)
        case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade": return false
        case "content-length":
            guard pseudo.lengthBytes == nil, let length = HTTP2Fields.length(value) else { return false }
            pseudo.lengthBytes = length
            HTTP2Fields.write(name, value, &fields)
        default:
            guard HTTP2Fields.isName(name), HTTP2Fields.isValue(value) else { return false }
            HTTP2Fields.write(name, value, &fields)
        }
        return true
    }
}

/// Fields between header blocks and lines.
enum HTTP2Fields {
    static func write(_ name: String, _ value: String, _ buffer: inout ByteBuffer) {
        buffer.writeString(name)
        buffer.writeStaticString(": ")
        buffer.writeString(value)
        buffer.writeStaticString("\r\n")
    }

    static func isToken(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy(ByteClass.isToken) }

    /// A token without capital letters (RFC 9113 section 8.2.1).
    static func isName(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { ByteClass.isToken($0) && ByteClass.lower($0) == $0 }
    }

    static func isValue(_ text: String) -> Bool { text.utf8.allSatisfy(ByteClass.isFieldValue) }

    /// Nothing by which a request line or an authority would end early.
    static func isTarget(_ text: String) -> Bool { text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F } }

    static func length(_ text: String) -> UInt64? {
        guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy(ByteClass.isDigit) else { return nil }
        return UInt64(text)
    }

    /// A trailer block as the end of a chunked body.
    /// - Returns: nil when it holds what no trailer may.
    static func lastChunk(_ trailers: HPACKHeaders?) -> ByteBuffer? {
        var buffer = ByteBuffer(staticString: "0\r\n")
        for (name, value, _) in trailers ?? [:] {
            guard isName(name), isValue(value) else { return nil }
            write(name, value, &buffer)
        }
        buffer.writeStaticString("\r\n")
        return buffer
    }

    /// Content as one chunk.
    static func chunk(_ data: ByteBuffer) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.reserveCapacity(data.readableBytes + 12)
        buffer.writeString(String(data.readableBytes, radix: 16))
        buffer.writeStaticString("\r\n")
        buffer.writeImmutableBuffer(data)
        buffer.writeStaticString("\r\n")
        return buffer
    }

    /// Trailer lines, with the empty one at their end, as a block.
    static func trailers(_ lines: [UInt8]) -> HPACKHeaders {
        var headers = HPACKHeaders()
        lines.withUnsafeBufferPointer { buffer in
            guard let bytes = buffer.baseAddress else { return }
            var (at, name, value) = (0, ByteRange(), ByteRange())
            while at < buffer.count, bytes[at] != ByteClass.cr,
                FieldLine.read(bytes, buffer.count, &at, name: &name, value: &value) == .complete
            {
                headers.add(name: bytes.string(name).lowercased(), value: bytes.string(value))
            }
        }
        return headers
    }
}
