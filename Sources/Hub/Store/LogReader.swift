/// Puts the pieces of a log together for one read.
struct LogReader {
    private let from: Int64
    private let bytesMax: Int
    private var begin: Int64?
    private var position: Int64
    private var bytes: [UInt8] = []
    private var isCut = false

    init(from: Int64, bytesMax: Int) {
        self.from = from
        self.bytesMax = bytesMax
        position = from
    }

    /// Adds a piece; false when there is no room for more.
    mutating func take(start: Int64, gap: Int64, _ data: [UInt8]) -> Bool {
        let pieceEnd = start + Int64(data.count)
        guard pieceEnd > from else { return true }
        var piece = data
        piece.removeFirst(Int(max(0, from - start)))
        if begin == nil {
            begin = max(from, start)
            // A read from the middle, or a cut of old text, may start inside a character.
            piece.removeFirst(min(piece.prefix { $0 & 0xC0 == 0x80 }.count, 3))
        }
        if gap > 0, start >= from {
            bytes.append(contentsOf: "\n[\(gap) bytes of output are missing here]\n".utf8)
        }
        let room = max(bytesMax - bytes.count, 0)
        let taken = piece.count > room ? Self.wholeCharacters(piece, room) : piece
        bytes.append(contentsOf: taken)
        isCut = taken.count < piece.count
        position = pieceEnd - Int64(piece.count - taken.count)
        return !isCut
    }

    /// At most `count` bytes, without a half character at the end.
    private static func wholeCharacters(_ bytes: [UInt8], _ count: Int) -> [UInt8] {
        var end = count
        while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
        return Array(bytes.prefix(end))
    }

    func finished(streamEnd: Int64) -> LogText {
        LogText(
            offset: begin ?? from, text: String(decoding: bytes, as: UTF8.self), end: isCut ? position : streamEnd)
    }
}
