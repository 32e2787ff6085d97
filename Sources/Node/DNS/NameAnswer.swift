/// Builds one answer. All names in it are written by pointing into the question, so it stays far below 512 bytes.
struct NameAnswer {
    static let typeA: UInt16 = 1
    static let typeNS: UInt16 = 2
    static let typeSOA: UInt16 = 6
    static let typeANY: UInt16 = 255

    private let query: NameQuery
    private var records: [UInt8] = []
    private var answerCount: UInt16 = 0
    private var authorityCount: UInt16 = 0
    /// RFC 1035 section 4.1.1, with the high bits of RFC 6891.
    var rcode: UInt16 = 0
    var isAuthoritative = false
    /// Where the zone's name is in the packet.
    var zone = 12

    init(_ query: NameQuery) { self.query = query }

    mutating func addA(_ address: [UInt8]) {
        appendOwner(12, Self.typeA)
        append(UInt16(4))
        records.append(contentsOf: address)
        answerCount += 1
    }

    mutating func addNS() {
        appendOwner(zone, Self.typeNS)
        append(UInt16(5))
        appendLabel("ns")
        answerCount += 1
    }

    mutating func addSOA(serial: UInt32, toAuthority: Bool) {
        appendOwner(zone, Self.typeSOA)
        append(UInt16(5 + 13 + 20))
        appendLabel("ns")
        appendLabel("hostmaster")
        for value in [serial, 3600, 600, 86_400, NameZone.ttlSeconds] { append(value) }
        if toAuthority { authorityCount += 1 } else { answerCount += 1 }
    }

    func bytes() -> [UInt8] { assemble(isTruncated: false) }

    /// Header and question with TC set: the client asks again over TCP.
    func truncated() -> [UInt8] {
        var bare = NameAnswer(query)
        bare.isAuthoritative = true
        return bare.assemble(isTruncated: true)
    }

    /// An answer to what could not be read.
    static func header(id: UInt16, flags: UInt16, rcode: UInt8) -> [UInt8] {
        let word = 0x8000 | flags & 0x7900 | UInt16(rcode)
        return [UInt8(id >> 8), UInt8(id & 0xFF), UInt8(word >> 8), UInt8(word & 0xFF), 0, 0, 0, 0, 0, 0, 0, 0]
    }

    private func assemble(isTruncated: Bool) -> [UInt8] {
        var flags: UInt16 = 0x8000 | query.flags & 0x0100 | rcode & 0xF
        if isAuthoritative { flags |= 0x0400 }
        if isTruncated { flags |= 0x0200 }
        var out: [UInt8] = []
        out.reserveCapacity(64 + query.question.count + records.count)
        for word in [query.id, flags, 1, answerCount, authorityCount, query.edns == nil ? 0 : 1] {
            out.append(UInt8(word >> 8))
            out.append(UInt8(word & 0xFF))
        }
        out.append(contentsOf: query.question)
        out.append(contentsOf: records)
        if query.edns != nil {
            let size = UInt16(NameZone.payloadBytesMax)
            out.append(contentsOf: [
                0, 0, UInt8(NameQuery.typeOPT), UInt8(size >> 8), UInt8(size & 0xFF), UInt8(rcode >> 4), 0, 0, 0, 0, 0,
            ])
        }
        return out
    }

    private mutating func appendOwner(_ offset: Int, _ type: UInt16) {
        append(0xC000 | UInt16(offset))
        append(type)
        append(UInt16(1))
        append(NameZone.ttlSeconds)
    }

    /// A label in front of the zone's name.
    private mutating func appendLabel(_ label: String) {
        records.append(UInt8(label.utf8.count))
        records.append(contentsOf: label.utf8)
        append(0xC000 | UInt16(zone))
    }

    private mutating func append(_ value: UInt16) {
        records.append(UInt8(value >> 8))
        records.append(UInt8(value & 0xFF))
    }

    private mutating func append(_ value: UInt32) {
        append(UInt16(value >> 16))
        append(UInt16(value & 0xFFFF))
    }
}
