import NIOCore
import NIOHPACK
import NIOHTTP2

/// Reads one HTTP/1.1 request, as the edge writes it for an upstream, into the payloads of frames.
struct RequestBytes {
    private let secure: SecureConnections
    private var head = ByteBuffer()
    /// Nil until its head is complete.
    private var body: BodyPayloads?
    private(set) var isHeadRequest = false

    init(secure: SecureConnections) { self.secure = secure }

    var isDone: Bool { body?.isDone ?? false }

    /// - Parameter emit: is given each payload, in order.
    mutating func add(_ bytes: ByteBuffer, emit: (HTTP2Frame.FramePayload) -> Void) -> PayloadOutcome {
        var bytes = bytes
        if body == nil {
            if head.readableBytes == 0 { head = bytes } else { head.writeBuffer(&bytes) }
            if let outcome = readHead(emit) { return outcome }
            bytes = head
            head = ByteBuffer()
        }
        return body?.add(bytes, emit) ?? .bad
    }

    /// - Returns: nil to go on with what is left in `head`.
    private mutating func readHead(_ emit: (HTTP2Frame.FramePayload) -> Void) -> PayloadOutcome? {
        let outcome = head.withUnsafeReadableBytes { raw in
            raw.baseAddress.map {
                RequestHeadParser.parse(
                    $0.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &secure.requestHead)
            } ?? .incomplete
        }
        guard outcome == .complete else { return outcome == .incomplete ? .more : .bad }
        let headers = head.withUnsafeReadableBytes {
            Self.headers($0.baseAddress!.assumingMemoryBound(to: UInt8.self), secure.requestHead)
        }
        let framing = secure.requestHead.framing
        isHeadRequest = secure.requestHead.method == .head
        head.moveReaderIndex(forwardBy: secure.requestHead.end)
        emit(.headers(.init(headers: headers, endStream: framing == .none)))
        body = BodyPayloads(framing)
        return framing == .none ? .done : nil
    }

    private static func headers(_ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead) -> HPACKHeaders {
        var headers = HPACKHeaders()
        headers.reserveCapacity(head.fieldCount + 5)
        headers.add(name: ":method", value: bytes.string(head.methodRange))
        headers.add(name: ":scheme", value: "http")
        headers.add(name: ":authority", value: bytes.string(head.host))
        headers.add(name: ":path", value: bytes.string(head.path))
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            let name = bytes.string(field.name).lowercased()
            switch name {
            case "host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te",
                "http2-settings":
                continue
            default: headers.add(name: name, value: bytes.string(field.value))
            }
        }
        // Trailers pass on every way back, and gRPC asks for this promise of it.
        headers.add(name: "te", value: "trailers")
        return headers
    }
}
