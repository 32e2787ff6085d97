import Model
import NIOCore

/// Proxies in front of this edge, whose word about the client counts.
struct TrustedProxies: Sendable {
    private static let hopsMax = 64
    private static let chainBytesMax = 4096
    private let networks: [Network]

    /// Nil when nobody is trusted.
    init?(_ networks: [String]?) {
        self.networks = (networks ?? []).compactMap { Network($0) }
        if self.networks.isEmpty { return nil }
    }

    func holds(_ address: ClientAddress) -> Bool { networks.contains { $0.holds(address) } }

    /// What a request from a trusted proxy says of its client.
    struct Claim {
        var client: ClientAddress
        var isSecure: Bool
        /// ``ForwardedLines`` for the upstream: the chain as it came, and the proxy that it came from.
        var lines: [UInt8]
    }

    /// The claim of a request, or nil when its peer is not trusted.
    func claim(
        peer: ClientAddress?, isSecure: Bool, _ bytes: UnsafePointer<UInt8>, _ head: borrowing RequestHead
    ) -> Claim? {
        guard let peer, holds(peer) else { return nil }
        var hops: [[UInt8]] = []
        var scheme: [UInt8]?
        for index in 0..<head.fieldCount where head.fields[index].id == .claimed {
            let (name, value) = (head.fields[index].name, head.fields[index].value)
            let isChain = (bytes + name.start).equalsIgnoringCase("x-forwarded-for", count: name.count)
            let isScheme = (bytes + name.start).equalsIgnoringCase("x-forwarded-proto", count: name.count)
            guard isChain || isScheme else { continue }
            let start = bytes + value.start
            start.forEachListElement(count: value.count) { offset, length in
                let element = Array(UnsafeBufferPointer(start: start + offset, count: length))
                if isChain { hops.append(element) } else { scheme = element }
            }
        }
        hops = Array(hops.suffix(Self.hopsMax))
        let claimsSecure = scheme.map { $0.elementsEqual("https".utf8) } ?? isSecure
        return Claim(
            client: client(hops, peer), isSecure: claimsSecure, lines: Self.lines(hops, peer, isSecure: claimsSecure))
    }

    /// The right-most hop that is no proxy of ours; what stands left of it could be anybody's invention.
    private func client(_ hops: [[UInt8]], _ peer: ClientAddress) -> ClientAddress {
        var client = peer
        for hop in hops.reversed() {
            guard let address = ClientAddress(text: hop) else { break }
            client = address
            if !holds(address) { break }
        }
        return client
    }

    private static func lines(_ hops: [[UInt8]], _ peer: ClientAddress, isSecure: Bool) -> [UInt8] {
        var chain = Array(hops.joined(separator: ", ".utf8))
        if chain.count > chainBytesMax { chain = [] }
        if !chain.isEmpty { chain += ", ".utf8 }
        let named = chain.isEmpty ? [] : hops.map { ClientAddress(text: $0)?.text }
        return ForwardedLines.make(
            chain: chain + peer.text.utf8, hops: named + [peer.text], isSecure ? "https" : "http")
    }
}
