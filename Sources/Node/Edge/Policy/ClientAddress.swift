import Glibc
import NIOCore

/// A client's address as 128 bits; IPv4 as `::ffff:a.b.c.d` (RFC 4291 section 2.5.5.2).
struct ClientAddress: Hashable, Sendable {
    private static let mappedPrefix: UInt128 = 0xFFFF << 32
    private static let low64 = UInt128(UInt64.max)
    let bits: UInt128

    var isIPv4: Bool { bits >> 32 == 0xFFFF }

    /// What counts as one client: an IPv4 address, or the /64 that a provider gives one customer.
    var limited: ClientAddress { isIPv4 ? self : ClientAddress(bits: bits & ~Self.low64) }

    init(bits: UInt128) { self.bits = bits }

    init?(_ address: SocketAddress?) {
        guard let address, address.protocol != .unix else { return nil }
        let bits = address.withSockAddr { pointer, size -> UInt128? in
            let raw = UnsafeRawBufferPointer(start: pointer, count: size)
            // Offsets of the address in sockaddr_in and sockaddr_in6, the same on every Linux.
            switch address.protocol {
            case .inet where size >= 8: return Self.mappedPrefix | Self.number(raw[4..<8])
            case .inet6 where size >= 24: return Self.number(raw[8..<24])
            default: return nil
            }
        }
        guard let bits else { return nil }
        self.bits = bits
    }

    private static func number(_ bytes: some Sequence<UInt8>) -> UInt128 {
        bytes.reduce(UInt128(0)) { $0 << 8 | UInt128($1) }
    }

    /// An address in text, as `X-Forwarded-For` holds it: with a port or in brackets, too.
    init?(text: some Collection<UInt8>) {
        guard (2...64).contains(text.count) else { return nil }
        var bytes = Array(text)
        if bytes.first == UInt8(ascii: "[") {
            guard let end = bytes.firstIndex(of: UInt8(ascii: "]")) else { return nil }
            bytes = Array(bytes[1..<end])
        } else if bytes.contains(UInt8(ascii: ".")), let colon = bytes.firstIndex(of: ByteClass.colon),
            bytes[colon...].dropFirst().allSatisfy(ByteClass.isDigit)
        {
            bytes = Array(bytes[..<colon])
        }
        guard !bytes.contains(0) else { return nil }
        let terminated = bytes.map { CChar(bitPattern: $0) } + [0]
        var parsed = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, terminated, &parsed) == 1 {
            bits = Self.mappedPrefix | Self.number(parsed[..<4])
        } else if inet_pton(AF_INET6, terminated, &parsed) == 1 {
            bits = Self.number(parsed)
        } else {
            return nil
        }
    }

    /// The usual text of the address.
    var text: String {
        var buffer = [CChar](repeating: 0, count: 64)
        let bytes = (0..<16).map { UInt8(truncatingIfNeeded: bits >> UInt128((15 - $0) * 8)) }
        if isIPv4 {
            inet_ntop(AF_INET, Array(bytes[12...]), &buffer, 64)
        } else {
            inet_ntop(AF_INET6, bytes, &buffer, 64)
        }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// A network in CIDR notation, or one address.
struct Network: Hashable, Sendable {
    private let prefix: UInt128
    private let mask: UInt128
    private let isIPv4: Bool

    /// Nil for what `Names.cidrFlaw` and `Names.addressFlaw` would refuse.
    init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count <= 2, let address = ClientAddress(text: Array(parts[0].utf8)) else { return nil }
        isIPv4 = !parts[0].contains(":")
        let bitsMax = isIPv4 ? 32 : 128
        guard let length = parts.count == 2 ? Int(parts[1]) : bitsMax, (0...bitsMax).contains(length) else {
            return nil
        }
        let hostBits = UInt128(bitsMax - length)
        mask = hostBits == 128 ? 0 : ~UInt128(0) << hostBits
        prefix = address.bits & mask
    }

    /// Whether the address is in this network. IPv4 and IPv6 are kept apart: `::/0` holds no IPv4 address.
    func holds(_ address: ClientAddress) -> Bool { address.isIPv4 == isIPv4 && address.bits & mask == prefix }
}
