import NIOCore
import NIOHPACK
import NIOHTTP2

/// Reads HTTP/1.1 responses, as the edge writes them, into the payloads of frames.
struct ResponseBytes {
    private let secure: SecureConnections
    private var head = ByteBuffer()
    /// Nil until its head is complete.
    private var body: BodyPayloads?
    var isHeadRequest = false

    init(secure: SecureConnections) { self.secure = secure }

    /// - Parameter emit: is given each payload, in order.
    mutating func add(_ bytes: ByteBuffer, emit: (HTTP2Frame.FramePayload) -> Void) -> PayloadOutcome {
        var bytes = bytes
        while body == nil {
            if head.readableBytes == 0 { head = bytes } else { head.writeBuffer(&bytes) }
            switch readHead(emit) {
            case .more?: return .more
            case .bad?: return .bad
            case .done?: return .done
            case nil:
                bytes = head
                head = ByteBuffer()
            }
        }
        return body?.add(bytes, emit) ?? .bad
    }

    /// - Returns: nil to go on with what is left in `head`.
    private mutating func readHead(_ emit: (HTTP2Frame.FramePayload) -> Void) -> PayloadOutcome? {
        let outcome = head.withUnsafeReadableBytes { raw in
            raw.baseAddress.map {
                ResponseHeadParser.parse(
                    $0.assumingMemoryBound(to: UInt8.self), count: raw.count, into: &secure.responseHead)
            } ?? .incomplete
        }
        guard outcome == .complete else { return outcome == .incomplete ? .more : .bad }
        let status = secure.responseHead.status
        // HTTP/2 knows no change of protocol.
        guard status != 101 else { return .bad }
        let headers = head.withUnsafeReadableBytes {
            Self.headers($0.baseAddress!.assumingMemoryBound(to: UInt8.self), secure.responseHead)
        }
        head.moveReaderIndex(forwardBy: secure.responseHead.end)
        if status < 200 {
            emit(.headers(.init(headers: headers, endStream: false)))
            return head.readableBytes == 0 ? .more : nil
        }
        let framing = secure.responseHead.framing
        let hasNoBody = isHeadRequest || status == 204 || status == 304 || framing == .none
        emit(.headers(.init(headers: headers, endStream: hasNoBody)))
        body = BodyPayloads(hasNoBody ? .none : framing)
        return hasNoBody ? .done : nil
    }

    private static func headers(_ bytes: UnsafePointer<UInt8>, _ head: borrowing ResponseHead) -> HPACKHeaders {
        var headers = HPACKHeaders()
        headers.reserveCapacity(head.fieldCount + 1)
        headers.add(name: ":status", value: String(head.status))
        for index in 0..<head.fieldCount {
            let field = head.fields[index]
            guard !field.isHopByHop, field.id != .transferEncoding else { continue }
            headers.add(name: bytes.string(field.name).lowercased(), value: bytes.string(field.value))
        }
        return headers
    }
}
