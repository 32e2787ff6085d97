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
