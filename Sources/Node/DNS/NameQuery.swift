/// A DNS query (RFC 1035 section 4, RFC 6891) as far as an authoritative responder needs it. Knows nothing of sockets.
public struct NameQuery: Equatable, Sendable {
    /// What reading a packet came to.
    public enum Outcome: Equatable, Sendable {
        case query(NameQuery)
        /// Not to be answered at all: too short, or an answer itself.
        case drop
        /// To be answered with this code and nothing else.
        case refuse(id: UInt16, flags: UInt16, rcode: UInt8)
    }

    /// What the client said about EDNS.
    public struct EDNS: Equatable, Sendable {
        public var payloadSize: UInt16
        public var version: UInt8
    }

    public static let nameBytesMax = 255
    public static let typeOPT: UInt16 = 41

    public var id: UInt16
    /// The second word of the header, as it came.
    public var flags: UInt16
    /// The name's labels in lower case, without the root.
    public var labels: [[UInt8]]
    /// Name, type and class as they came, to be echoed in the same letters.
    public var question: [UInt8]
    public var type: UInt16
    public var recordClass: UInt16
    public var edns: EDNS?

    public static let formatError: UInt8 = 1
    public static let notImplemented: UInt8 = 4

    /// What the client takes in one datagram (RFC 1035 section 4.2.1, RFC 6891 section 6.2.3).
    var datagramBytesMax: Int { max(512, Int(edns?.payloadSize ?? 512)) }

    /// What is left of another resolver's answer that is too large for a datagram: its header with TC set and the
    /// question, so that the client asks again over TCP.
    func truncated(_ answer: [UInt8]) -> [UInt8] {
        var out = Array(answer[..<(12 + question.count)])
        out[2] |= 0x02
        for index in 6..<12 { out[index] = 0 }
        guard edns != nil else { return out }
        out[11] = 1
        let size = NameZone.payloadBytesMax
        return out + [0, 0, UInt8(Self.typeOPT), UInt8(size >> 8), UInt8(size & 0xFF), 0, 0, 0, 0, 0, 0]
    }

    public static func parse(_ packet: [UInt8]) -> Outcome {
        var reader = PacketReader(packet)
        guard let id = reader.word(), let flags = reader.word(), let questions = reader.word(),
            let answers = reader.word(), let authorities = reader.word(), let additionals = reader.word(),
            flags & 0x8000 == 0
        else { return .drop }
        func refuse(_ rcode: UInt8) -> Outcome { .refuse(id: id, flags: flags, rcode: rcode) }
        guard flags >> 11 & 0xF == 0 else { return refuse(notImplemented) }
        guard questions == 1, answers == 0, authorities == 0, additionals <= 8 else { return refuse(formatError) }
        let start = reader.offset
        guard let labels = reader.uncompressedName(), let type = reader.word(), let recordClass = reader.word() else {
            return refuse(formatError)
        }
        var query = NameQuery(
            id: id, flags: flags, labels: labels, question: Array(packet[start..<reader.offset]), type: type,
            recordClass: recordClass, edns: nil)
        for _ in 0..<additionals {
            guard let record = reader.additional() else { return refuse(formatError) }
            guard record.type == typeOPT else { continue }
            // RFC 6891 section 6.1.1: one OPT, owned by the root.
            guard query.edns == nil, record.isRoot else { return refuse(formatError) }
            query.edns = EDNS(payloadSize: record.recordClass, version: UInt8(record.ttl >> 16 & 0xFF))
        }
        return .query(query)
    }
}

/// Bounds-checked reading of a packet.
private struct PacketReader {
    private let bytes: [UInt8]
    private(set) var offset = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    mutating func word() -> UInt16? {
        guard offset + 2 <= bytes.count else { return nil }
        defer { offset += 2 }
        return UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
    }

    /// Pointers have nothing to point at in a question and are refused.
    mutating func uncompressedName() -> [[UInt8]]? {
        var labels: [[UInt8]] = []
        var total = 1
        while offset < bytes.count {
            let length = Int(bytes[offset])
            offset += 1
            if length == 0 { return labels }
            total += length + 1
            guard length <= 63, total <= NameQuery.nameBytesMax, offset + length <= bytes.count else { return nil }
            labels.append(bytes[offset..<offset + length].map { $0 &- 0x41 < 26 ? $0 | 0x20 : $0 })
            offset += length
        }
        return nil
    }

    mutating func additional() -> (isRoot: Bool, type: UInt16, recordClass: UInt16, ttl: UInt32)? {
        let isRoot = offset < bytes.count && bytes[offset] == 0
        guard skipName(), let type = word(), let recordClass = word(), let high = word(), let low = word(),
            let length = word(), offset + Int(length) <= bytes.count
        else { return nil }
        offset += Int(length)
        return (isRoot, type, recordClass, UInt32(high) << 16 | UInt32(low))
    }

    private mutating func skipName() -> Bool {
        while offset < bytes.count {
            let length = Int(bytes[offset])
            if length & 0xC0 == 0xC0 {
                offset += 2
                return offset <= bytes.count
            }
            guard length <= 63 else { return false }
            offset += 1 + length
            if length == 0 { return true }
        }
        return false
    }
}
