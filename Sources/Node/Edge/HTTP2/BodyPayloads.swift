import NIOCore
import NIOHPACK
import NIOHTTP2

/// What became of HTTP/1.1 bytes that were to be the payloads of frames.
enum PayloadOutcome {
    case more
    /// The last payload ends the stream.
    case done
    case bad
}

/// The body of one message, from the bytes of HTTP/1.1 to the payloads of frames.
struct BodyPayloads {
    private var framing: BodyFraming
    private var scanner = ChunkScanner()
    private(set) var isDone: Bool

    init(_ framing: BodyFraming) {
        self.framing = framing
        isDone = framing == .none
        scanner.keepsTrailers = framing == .chunked
    }

    /// - Parameter emit: is given each payload, in order.
    mutating func add(_ bytes: ByteBuffer, _ emit: (HTTP2Frame.FramePayload) -> Void) -> PayloadOutcome {
        guard bytes.readableBytes > 0 else { return .more }
        guard !isDone else { return .bad }
        switch framing {
        case .length(let remaining):
            let count = UInt64(bytes.readableBytes)
            guard count <= remaining else { return .bad }
            isDone = count == remaining
            framing = .length(remaining - count)
            emit(.data(.init(data: .byteBuffer(bytes), endStream: isDone)))
        case .chunked:
            let outcome = HTTP2Fields.frames(of: bytes, &scanner, emit)
            guard outcome != .bad else { return .bad }
            isDone = outcome == .done
        case .none, .untilClose: return .bad
        }
        return isDone ? .done : .more
    }
}

/// The body of one message, from frames to the bytes of HTTP/1.1.
struct BodyBytes {
    private var framing: BodyFraming
    private(set) var isDone: Bool

    /// - Parameter isDone: there is no body.
    init(_ framing: BodyFraming, isDone: Bool) {
        self.framing = framing
        self.isDone = isDone
    }

    /// The content of a DATA frame; nil when it is not what the head has promised.
    mutating func add(_ data: ByteBuffer, isEnd: Bool) -> ByteBuffer? {
        guard case .length(let remaining) = framing else {
            var bytes = data.readableBytes > 0 ? HTTP2Fields.chunk(data) : ByteBuffer()
            if isEnd {
                guard let last = end(nil) else { return nil }
                bytes.writeImmutableBuffer(last)
            }
            return bytes
        }
        let count = UInt64(data.readableBytes)
        // Bytes beyond the length would be read as another message.
        guard count <= remaining, !isEnd || count == remaining else { return nil }
        framing = .length(remaining - count)
        isDone = isEnd
        return data
    }

    /// The end of the body, with or without trailers; nil when it must not end here, or not with these.
    mutating func end(_ trailers: HPACKHeaders?) -> ByteBuffer? {
        let last: ByteBuffer?
        if case .length(let remaining) = framing {
            last = remaining == 0 ? ByteBuffer() : nil
        } else {
            last = HTTP2Fields.lastChunk(trailers)
        }
        isDone = last != nil
        return last
    }
}
