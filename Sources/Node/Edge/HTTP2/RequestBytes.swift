import NIOCore
import NIOHPACK
import NIOHTTP2

/// Reads one HTTP/1.1 request, as the edge writes it for an upstream, into the payloads of frames.
struct RequestBytes {
    enum Outcome {
        case more
        /// The last payload ends the request.
        case done
        case bad
    }

    private enum State {
        case head
        case body(BodyFraming)
        case done
    }

    private let secure: SecureConnections
    private var state = State.head
    private var head = ByteBuffer()
    private var scanner = ChunkScanner()
    private(set) var isHeadRequest = false

    init(secure: SecureConnections) { self.secure = secure }

    var isDone: Bool { if case .done = state { true } else { false } }

    /// - Parameter emit: is given each payload, in order.
    mutating func add(_ bytes: ByteBuffer, emit: (HTTP2Frame.FramePayload) -> Void) -> Outcome {
        var bytes = bytes
        if case .head = state {
            if head.readableBytes == 0 { head = bytes } else { head.writeBuffer(&bytes) }
            guard let outcome = readHead(emit) else { return addBody(head, emit) }
            return outcome
        }
        return addBody(bytes, emit)
    }

    /// - Returns: nil to go on with what is left in `head`.
    private mutating func readHead(_ emit: (HTTP2Frame.FramePayload) -> Void) -> Outcome? {
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
        guard framing != .none else {
            state = .done
            return .done
        }
        if framing == .chunked { scanner.keepsTrailers = true }
        state = .body(framing)
        return nil
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

    private mutating func addBody(_ bytes: ByteBuffer, _ emit: (HTTP2Frame.FramePayload) -> Void) -> Outcome {
        guard case .body(let framing) = state else { return bytes.readableBytes == 0 ? .done : .bad }
        guard bytes.readableBytes > 0 else { return .more }
        guard case .length(let remaining) = framing else {
            let outcome = HTTP2Fields.frames(of: bytes, &scanner, emit)
            if outcome == .done { state = .done }
            return outcome == .more ? .more : outcome == .done ? .done : .bad
        }
        let count = UInt64(bytes.readableBytes)
        guard count <= remaining else { return .bad }
        emit(.data(.init(data: .byteBuffer(bytes), endStream: count == remaining)))
        state = count == remaining ? .done : .body(.length(remaining - count))
        return count == remaining ? .done : .more
    }
}
