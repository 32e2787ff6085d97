import Synchronization

/// The names that are answered: `<name>.<suffix>`, all with the address of the internal proxy. Replaced whole.
public final class NameZone: Sendable {
    private struct Content {
        var suffix: [[UInt8]] = []
        var names: Set<[UInt8]> = []
        var serial: UInt32 = 1
    }

    public static let ttlSeconds: UInt32 = 5
    /// RFC 9715 and the DNS flag day of 2020: no fragments.
    public static let payloadBytesMax = 1232

    private let address: [UInt8]
    private let responderAddress: [UInt8]
    private let content = Mutex(Content())

    /// - Parameters:
    ///   - address: IPv4 address of the internal proxy, four bytes.
    ///   - responderAddress: IPv4 address of the responder, which `ns.<suffix>` answers.
    public init(address: [UInt8], responderAddress: [UInt8]) {
        precondition(address.count == 4 && responderAddress.count == 4, "an IPv4 address has four bytes")
        self.address = address
        self.responderAddress = responderAddress
    }

    /// Puts other names in force.
    public func replace(suffix: String, names: some Sequence<String>) {
        let labels = suffix.lowercased().split(separator: ".").map { Array($0.utf8) }
        let set = Set(names.map { Array($0.lowercased().utf8) })
        content.withLock { content in
            if content.suffix != labels || content.names != set { content.serial &+= 1 }
            content.suffix = labels
            content.names = set
        }
    }

    /// The answer to a packet; nil for one that is not to be answered.
    /// - Parameter isStream: over TCP nothing is cut short.
    public func answer(_ packet: [UInt8], isStream: Bool) -> [UInt8]? {
        switch NameQuery.parse(packet) {
        case .drop: return nil
        case .refuse(let id, let flags, let rcode): return NameAnswer.header(id: id, flags: flags, rcode: rcode)
        case .query(let query):
            let full = content.withLock { answer(query, $0) }
            let room = isStream ? 65_535 : min(query.datagramBytesMax, Self.payloadBytesMax)
            return full.count <= room ? full : NameAnswer(query).truncated()
        }
    }

    /// The question of a packet for another resolver: outside the zone, and by a client that asks for recursion.
    /// Nil when the zone has the answer, be it that there is none.
    public func foreignQuestion(_ packet: [UInt8]) -> NameQuery? {
        guard case .query(let query) = NameQuery.parse(packet), query.recordClass == 1, query.flags & 0x0100 != 0,
            query.edns?.version ?? 0 == 0
        else { return nil }
        return content.withLock { Self.isInside(query, $0) } ? nil : query
    }

    private static func isInside(_ query: NameQuery, _ content: Content) -> Bool {
        !content.suffix.isEmpty && query.labels.count >= content.suffix.count
            && query.labels.suffix(content.suffix.count).elementsEqual(content.suffix)
    }

    private func answer(_ query: NameQuery, _ content: Content) -> [UInt8] {
        var answer = NameAnswer(query)
        if let edns = query.edns, edns.version != 0 {
            answer.rcode = 16
            return answer.bytes()
        }
        let depth = query.labels.count - content.suffix.count
        guard query.recordClass == 1, Self.isInside(query, content) else {
            answer.rcode = 5
            return answer.bytes()
        }
        answer.isAuthoritative = true
        answer.zone = query.labels.prefix(depth).reduce(12) { $0 + $1.count + 1 }
        if depth == 0 {
            apex(query, content, &answer)
        } else {
            name(query, depth, content, &answer)
        }
        return answer.bytes()
    }

    private func apex(_ query: NameQuery, _ content: Content, _ answer: inout NameAnswer) {
        switch query.type {
        case NameAnswer.typeSOA, NameAnswer.typeANY: answer.addSOA(serial: content.serial, toAuthority: false)
        case NameAnswer.typeNS: answer.addNS()
        default: answer.addSOA(serial: content.serial, toAuthority: true)
        }
    }

    private func name(_ query: NameQuery, _ depth: Int, _ content: Content, _ answer: inout NameAnswer) {
        let label = query.labels[0]
        let isService = depth == 1 && content.names.contains(label)
        let isServer = depth == 1 && !isService && label.elementsEqual("ns".utf8)
        if isService || isServer, query.type == NameAnswer.typeA || query.type == NameAnswer.typeANY {
            return answer.addA(isService ? address : responderAddress)
        }
        if !isService, !isServer { answer.rcode = 3 }
        answer.addSOA(serial: content.serial, toAuthority: true)
    }
}
