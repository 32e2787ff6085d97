/// Server-Sent Events (WHATWG HTML, section 9.2), read piece by piece. Pure: bytes in, events out.
struct EventStreamReader {
    /// One event of a stream.
    struct Event: Equatable {
        /// `message` when the stream names none.
        var name = "message"
        var data = ""
        var id: String?
    }

    /// A line longer than this ends the stream: it is no event of ours.
    static let lineBytesMax = 1_048_576

    private var line: [UInt8] = []
    private var lastWasReturn = false
    private var name: String?
    private var data: [String] = []
    private var id: String?
    /// Whether a line was too long to be kept.
    private(set) var isBroken = false

    /// Takes the next piece; answers the events that it completes.
    mutating func read(_ bytes: some Sequence<UInt8>) -> [Event] {
        var events: [Event] = []
        for byte in bytes where !isBroken {
            defer { lastWasReturn = byte == 0x0D }
            if byte == 0x0A, lastWasReturn { continue }
            if byte == 0x0A || byte == 0x0D {
                if let event = endLine() { events.append(event) }
            } else {
                line.append(byte)
                isBroken = line.count > Self.lineBytesMax
            }
        }
        return events
    }

    private mutating func endLine() -> Event? {
        let text = String(decoding: line, as: UTF8.self)
        line.removeAll(keepingCapacity: true)
        guard !text.isEmpty else {
            defer {
                name = nil
                data = []
            }
            return data.isEmpty ? nil : Event(name: name ?? "message", data: data.joined(separator: "\n"), id: id)
        }
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        var value = parts.count == 2 ? parts[1] : ""
        if value.hasPrefix(" ") { value.removeFirst() }
        switch parts[0] {
        case "event": name = String(value)
        case "data": data.append(String(value))
        case "id": id = String(value)
        default: break
        }
        return nil
    }
}
