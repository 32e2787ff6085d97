/// Follows a chunked body (RFC 9112 section 7.1) across buffers of any size, byte for byte, without keeping any of it.
///
/// Stricter than the grammar needs: extensions are bounded and free of control characters, sizes have at most 15
/// digits, and a trailer field that would change what the message means is refused.
struct ChunkScanner {
    enum Outcome: Equatable {
        /// All bytes belong to the body, which goes on.
        case more
        /// The body ended; how many of the bytes belonged to it is the scanner's `consumed`.
        case done
        case bad
    }

    private enum State: UInt8 {
        case sizeFirst, size, beforeExtension, extensionText, sizeLF, data, dataCR, dataLF, trailerFirst, trailerName
        case trailerValue, trailerLF, lastLF, done, bad
    }

    static let extensionBytesMax = 256
    static let trailerBytesMax = 8 * 1024

    private var state = State.sizeFirst
    private var digits: UInt8 = 0
    private var remaining: UInt64 = 0
    private var side = 0
    private var trailerName: [UInt8] = []
    /// Whether the lines after the last chunk, with the empty one at their end, are kept in `trailers`.
    var keepsTrailers = false
    private(set) var trailers: [UInt8] = []
    /// Bytes of the last buffer that belong to the body.
    private(set) var consumed = 0

    init() {}

    /// - Parameter payload: is given each stretch of content: offset and length in `bytes`.
    mutating func scan(
        _ bytes: UnsafePointer<UInt8>, count: Int, payload: ((Int, Int) -> Void)? = nil
    ) -> Outcome {
        var at = 0
        while at < count {
            if state == .data {
                let take = Int(min(remaining, UInt64(count - at)))
                payload?(at, take)
                at += take
                remaining -= UInt64(take)
                if remaining == 0 { state = .dataCR }
                continue
            }
            state = next(bytes[at])
            at += 1
            if state == .done {
                consumed = at
                return .done
            }
            if state == .bad { return .bad }
        }
        consumed = at
        return .more
    }

    private mutating func next(_ byte: UInt8) -> State {
        switch state {
        case .sizeFirst, .size, .beforeExtension, .extensionText, .sizeLF: nextInSize(byte)
        case .data: .bad
        case .dataCR: byte == ByteClass.cr ? .dataLF : .bad
        case .dataLF: byte == ByteClass.lf ? .sizeFirst : .bad
        case .trailerFirst, .trailerName, .trailerValue, .trailerLF, .lastLF: nextInTrailer(byte)
        case .done, .bad: .bad
        }
    }

    private mutating func nextInSize(_ byte: UInt8) -> State {
        switch state {
        case .sizeFirst:
            guard let value = ByteClass.hexValue(byte) else { return .bad }
            remaining = UInt64(value)
            digits = 1
            side = 0
            return .size
        case .size:
            if let value = ByteClass.hexValue(byte) {
                digits += 1
                guard digits <= 15 else { return .bad }
                remaining = remaining << 4 | UInt64(value)
                return .size
            }
            return byte == ByteClass.cr ? .sizeLF : extensionStart(byte)
        case .beforeExtension: return extensionStart(byte)
        case .extensionText:
            if byte == ByteClass.cr { return .sizeLF }
            side += 1
            return side <= Self.extensionBytesMax && ByteClass.isFieldValue(byte) ? .extensionText : .bad
        default:
            guard byte == ByteClass.lf else { return .bad }
            side = 0
            return remaining == 0 ? .trailerFirst : .data
        }
    }

    private mutating func extensionStart(_ byte: UInt8) -> State {
        if byte == UInt8(ascii: ";") { return .extensionText }
        side += 1
        guard side <= Self.extensionBytesMax, byte == ByteClass.space || byte == ByteClass.tab else { return .bad }
        return .beforeExtension
    }

    private mutating func nextInTrailer(_ byte: UInt8) -> State {
        side += 1
        guard side <= Self.trailerBytesMax else { return .bad }
        if keepsTrailers { trailers.append(byte) }
        switch state {
        case .trailerFirst:
            if byte == ByteClass.cr { return .lastLF }
            guard ByteClass.isToken(byte) else { return .bad }
            trailerName = [ByteClass.lower(byte)]
            return .trailerName
        case .trailerName:
            if byte == ByteClass.colon { return Self.isForbidden(trailerName) ? .bad : .trailerValue }
            guard ByteClass.isToken(byte) else { return .bad }
            trailerName.append(ByteClass.lower(byte))
            return .trailerName
        case .trailerValue:
            if byte == ByteClass.cr { return .trailerLF }
            return ByteClass.isFieldValue(byte) ? .trailerValue : .bad
        case .trailerLF: return byte == ByteClass.lf ? .trailerFirst : .bad
        default: return byte == ByteClass.lf ? .done : .bad
        }
    }

    /// RFC 9110 section 6.5.1: fields that frame, route, or authenticate a message may not come after it; nor may
    /// those that only the proxy may set.
    private static func isForbidden(_ name: [UInt8]) -> Bool {
        let text = String(decoding: name, as: UTF8.self)
        if name.starts(with: "x-forwarded-".utf8) { return true }
        return [
            "transfer-encoding", "content-length", "host", "connection", "keep-alive", "te", "trailer", "upgrade",
            "expect", "authorization", "proxy-authorization", "cookie", "set-cookie", "content-type",
            "content-encoding", "content-range", "range", "forwarded", "x-real-ip", "x-request-id",
        ].contains(text)
    }
}
