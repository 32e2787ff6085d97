import NIOCore
import NIOHPACK
import NIOHTTP2

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

    /// The content of chunks as DATA frames; the last of them, or the trailers behind it, ends the stream.
    static func frames(
        of bytes: ByteBuffer, _ scanner: inout ChunkScanner, _ emit: (HTTP2Frame.FramePayload) -> Void
    ) -> ChunkScanner.Outcome {
        var parts: [ByteBuffer] = []
        let outcome = bytes.withUnsafeReadableBytes { raw in
            scanner.scan(raw.baseAddress!.assumingMemoryBound(to: UInt8.self), count: raw.count) { offset, length in
                parts.append(bytes.getSlice(at: bytes.readerIndex + offset, length: length)!)
            }
        }
        // Nothing may follow the last chunk.
        guard outcome != .bad, outcome != .done || scanner.consumed == bytes.readableBytes else { return .bad }
        let trailers = outcome == .done ? trailers(scanner.trailers) : [:]
        let last = outcome == .done && trailers.isEmpty ? parts.popLast() ?? ByteBuffer() : nil
        for part in parts { emit(.data(.init(data: .byteBuffer(part)))) }
        if let last { emit(.data(.init(data: .byteBuffer(last), endStream: true))) }
        if !trailers.isEmpty { emit(.headers(.init(headers: trailers, endStream: true))) }
        return outcome
    }
}
