import Dispatch
import Glibc

/// Where a callback goes: names are looked up here, so that what was judged is what is connected to.
enum CallbackAddress {
    /// An address as text, for a connection.
    static func resolve(_ host: String, _ reach: CallbackReach) async throws -> String {
        try await withCheckedThrowingContinuation { continuation in
            // The system's resolver blocks.
            DispatchQueue.global().async { continuation.resume(with: Result { try lookUp(host, reach) }) }
        }
    }

    /// Why nothing is sent.
    enum Refusal: Error, Equatable {
        case unknown
        /// It means this network link, or what a cloud tells a machine of itself.
        case linkLocal
        /// It means this machine, or one of a private network, and those are not to be called.
        case privateNetwork
    }

    /// Judges a host that is an address already; a name is judged when it is looked up.
    /// - Throws: ``Refusal``.
    static func judge(literal host: String, _ reach: CallbackReach) throws {
        guard host.utf8.allSatisfy({ $0 != 0x25 }) else { throw Refusal.linkLocal }
        var hints = addrinfo()
        // Asks nobody: what is no address in numbers is not found.
        hints.ai_flags = AI_NUMERICHOST
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { return }
        defer { freeaddrinfo(list) }
        if let address = list?.pointee.ai_addr { try judge(address, reach) }
    }

    private static func judge(_ address: UnsafeMutablePointer<sockaddr>, _ reach: CallbackReach) throws {
        guard !isAny(address, isForbidden(v4:), isForbidden(v6:)) else { throw Refusal.linkLocal }
        guard case .internet = reach else { return }
        guard !isAny(address, isPrivate(v4:), isPrivate(v6:)) else { throw Refusal.privateNetwork }
    }

    /// The first address of a host, if none of them is one that callbacks must not reach.
    private static func lookUp(_ host: String, _ reach: CallbackReach) throws -> String {
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(host, nil, &hints, &list) == 0 else { throw Refusal.unknown }
        defer { freeaddrinfo(list) }
        var texts: [String] = []
        var next = list
        while let entry = next {
            next = entry.pointee.ai_next
            guard let address = entry.pointee.ai_addr else { continue }
            try judge(address, reach)
            var text = [CChar](repeating: 0, count: 128)
            let code = getnameinfo(
                address, entry.pointee.ai_addrlen, &text, socklen_t(text.count), nil, 0, NI_NUMERICHOST)
            let bytes = text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
            if code == 0 { texts.append(String(decoding: bytes, as: UTF8.self)) }
        }
        guard let first = texts.first else { throw Refusal.unknown }
        return first
    }

    private static func isAny(
        _ address: UnsafeMutablePointer<sockaddr>, _ v4: ([UInt8]) -> Bool, _ v6: ([UInt8]) -> Bool
    ) -> Bool {
        switch Int32(address.pointee.sa_family) {
        case AF_INET:
            return address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) {
                withUnsafeBytes(of: $0.pointee.sin_addr) { v4(Array($0)) }
            }
        case AF_INET6:
            return address.withMemoryRebound(to: sockaddr_in6.self, capacity: 1) {
                withUnsafeBytes(of: $0.pointee.sin6_addr) { v6(Array($0)) }
            }
        default: return true
        }
    }

    /// Link-local (RFC 3927), nowhere, many at once, and where one large cloud has its metadata outside of these.
    static func isForbidden(v4 bytes: [UInt8]) -> Bool {
        bytes.starts(with: [169, 254]) || bytes[0] == 0 || bytes[0] >= 224 || bytes == [100, 100, 100, 200]
    }

    /// Link-local, nowhere, many at once, the metadata address of one large cloud, and IPv4 in disguise
    /// (RFC 4291 section 2.5.5, RFC 6052).
    static func isForbidden(v6 bytes: [UInt8]) -> Bool {
        let last = Array(bytes.suffix(4))
        if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10..<12].elementsEqual([0xFF, 0xFF]) {
            return isForbidden(v4: last)
        }
        if bytes.starts(with: [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) { return isForbidden(v4: last) }
        if bytes.prefix(12).allSatisfy({ $0 == 0 }) { return !last.elementsEqual([0, 0, 0, 1]) }
        return (bytes[0] == 0xFE && bytes[1] & 0xC0 == 0x80) || bytes[0] == 0xFF
            || bytes == [0xFD, 0, 0x0E, 0xC2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54]
    }

    /// This machine and private networks: RFC 1122 section 3.2.1.3, RFC 1918, RFC 6598, RFC 2544.
    static func isPrivate(v4 bytes: [UInt8]) -> Bool {
        switch (bytes[0], bytes[1]) {
        case (10, _), (127, _), (172, 16...31), (192, 168), (100, 64...127), (198, 18...19): true
        default: false
        }
    }

    /// RFC 4291 section 2.5.3, RFC 4193, and IPv4 in disguise.
    static func isPrivate(v6 bytes: [UInt8]) -> Bool {
        let last = Array(bytes.suffix(4))
        if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10..<12].elementsEqual([0xFF, 0xFF]) {
            return isPrivate(v4: last)
        }
        if bytes.starts(with: [0, 0x64, 0xFF, 0x9B, 0, 0, 0, 0, 0, 0, 0, 0]) { return isPrivate(v4: last) }
        return bytes.prefix(15).allSatisfy({ $0 == 0 }) || bytes[0] & 0xFE == 0xFC
    }
}
