import Glibc
import Model
import NIOCore

/// Lines of one event loop on their way to the writer: one hand-over for many lines.
///
/// `@unchecked Sendable`: confined to one event loop.
final class AccessLogBuffer: @unchecked Sendable {
    static let batchBytesMax = 64 * 1024

    private let writer: AccessLogWriter
    @exclusivity(unchecked) private var lines: [UInt8] = []
    private var lineCount = 0
    private var second: Int64 = -1
    /// `{"time":"2026-03-01T12:00:00.` of the current second.
    private var secondText: [UInt8] = []

    init(writer: AccessLogWriter) { self.writer = writer }

    static func wallMilliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// Begins a line with the time, and gives what else belongs into it to `body`.
    func append(at now: Int64, _ body: (inout [UInt8]) -> Void) {
        if lines.capacity == 0 { lines.reserveCapacity(Self.batchBytesMax + 4096) }
        if now / 1000 != second {
            second = now / 1000
            let text = Timestamp(millisecondsSinceEpoch: second * 1000).rfc3339
            secondText = Array("{\"time\":\"\(text.dropLast(4))".utf8)
        }
        lines.append(contentsOf: secondText)
        let fraction = UInt64(now % 1000)
        lines.append(UInt8(ascii: "0") + UInt8(fraction / 100))
        lines.append(UInt8(ascii: "0") + UInt8(fraction / 10 % 10))
        lines.append(UInt8(ascii: "0") + UInt8(fraction % 10))
        lines.append(contentsOf: "Z\"".utf8)
        body(&lines)
        lines.append(UInt8(ascii: "\n"))
        lineCount += 1
        if lines.count >= Self.batchBytesMax { handOver() }
    }

    /// Gives what there is to the writer.
    func handOver() {
        guard lineCount > 0 else { return }
        writer.take(lines, lineCount: lineCount)
        lines = []
        lineCount = 0
    }
}

extension [UInt8] {
    mutating func appendDecimal(_ value: UInt64) {
        if value < 10 { return append(UInt8(ascii: "0") + UInt8(value)) }
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { digits in
            var at = 20
            var rest = value
            while rest > 0 {
                at -= 1
                digits[at] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
            append(contentsOf: digits[at...])
        }
    }

    /// With three decimal places.
    mutating func appendMilliseconds(_ microseconds: UInt64) {
        appendDecimal(microseconds / 1000)
        append(UInt8(ascii: "."))
        let fraction = microseconds % 1000
        append(UInt8(ascii: "0") + UInt8(fraction / 100))
        append(UInt8(ascii: "0") + UInt8(fraction / 10 % 10))
        append(UInt8(ascii: "0") + UInt8(fraction % 10))
    }

    mutating func appendHex(_ value: UInt64) {
        var shift: UInt64 = 60
        for _ in 0..<16 {
            append(ByteClass.hexDigits.utf8Start[Int(value &>> shift & 15)])
            shift = shift &- 4
        }
    }

    /// The inside of a JSON string; bytes that are no ASCII are escaped as Latin-1, so that the line is always UTF-8.
    mutating func appendEscaped(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
        for index in 0..<count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") {
                append(UInt8(ascii: "\\"))
                append(byte)
            } else if byte >= 0x20, byte < 0x7F {
                append(byte)
            } else {
                append(contentsOf: "\\u00".utf8)
                append(ByteClass.hexDigits.utf8Start[Int(byte >> 4)])
                append(ByteClass.hexDigits.utf8Start[Int(byte & 15)])
            }
        }
    }
}
