/// Appends to memory whose size was bounded beforehand.
struct ByteWriter {
    let start: UnsafeMutablePointer<UInt8>
    private(set) var count = 0

    init(_ start: UnsafeMutablePointer<UInt8>) { self.start = start }

    @inline(__always)
    mutating func append(_ bytes: UnsafePointer<UInt8>, _ length: Int) {
        (start + count).update(from: bytes, count: length)
        count &+= length
    }

    @inline(__always)
    mutating func append(_ text: StaticString) { append(text.utf8Start, text.utf8CodeUnitCount) }

    mutating func append(_ bytes: [UInt8]) {
        bytes.withUnsafeBufferPointer { buffer in
            if let base = buffer.baseAddress { append(base, buffer.count) }
        }
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        start[count] = byte
        count &+= 1
    }

    /// 16 lower-case hexadecimal digits.
    mutating func appendHex(_ value: UInt64) {
        var shift: UInt64 = 60
        for _ in 0..<16 {
            append(ByteClass.hexDigits.utf8Start[Int(value &>> shift & 15)])
            shift = shift &- 4
        }
    }
}
