/// The one spelling that addresses are compared in.
extension Names {
    /// The 4 or 16 bytes of an address; nil for what ``addressFlaw(_:)`` refuses.
    public static func addressBytes(_ text: String) -> [UInt8]? {
        if isIPv4(text) { return text.split(separator: ".").compactMap { UInt8($0) } }
        guard isIPv6(text) else { return nil }
        let halves = text.components(splitBy: "::").map(bytes)
        guard halves.count == 2 else { return halves[0] }
        return halves[0] + [UInt8](repeating: 0, count: 16 - halves[0].count - halves[1].count) + halves[1]
    }

    /// The bytes of groups without a gap.
    private static func bytes(_ groups: String) -> [UInt8] {
        groups.split(separator: ":").flatMap { group -> [UInt8] in
            if group.contains(".") { return group.split(separator: ".").compactMap { UInt8($0) } }
            let number = UInt16(group, radix: 16) ?? 0
            return [UInt8(number >> 8), UInt8(number & 0xFF)]
        }
    }

    /// An address in one spelling, that of RFC 5952 for IPv6; nil for what ``addressFlaw(_:)`` refuses.
    public static func canonicalAddress(_ text: String) -> String? {
        guard let bytes = addressBytes(text) else { return nil }
        let dotted = bytes.suffix(4).map { String($0) }.joined(separator: ".")
        if bytes.count == 4 { return dotted }
        // Section 5: what stands for an IPv4 address shows it.
        if bytes.starts(with: mappedPrefix) { return "::ffff:\(dotted)" }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        let gap = longestGap(groups)
        let texts = groups.map { String($0, radix: 16) }
        guard gap.count > 1 else { return texts.joined(separator: ":") }
        return texts[..<gap.lowerBound].joined(separator: ":") + "::"
            + texts[gap.upperBound...].joined(separator: ":")
    }

    /// Section 4.2.3: of the longest runs of zeros, the first.
    private static func longestGap(_ groups: [UInt16]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for (index, group) in groups.enumerated() {
            if group != 0 { start = index + 1 }
            if index + 1 - start > longest.count { longest = start..<(index + 1) }
        }
        return longest
    }

    private static let mappedPrefix: [UInt8] = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]

    /// The IPv4 address that an IPv6 address only wraps (RFC 4291 section 2.5.5); nil for any other. Nobody can be
    /// reached under it over IPv6.
    public static func wrappedIPv4(_ text: String) -> String? {
        guard let bytes = addressBytes(text), bytes.count == 16 else { return nil }
        // `::` and `::1` are addresses of their own.
        let isCompatible = bytes.prefix(12).allSatisfy { $0 == 0 } && bytes[12...].reduce(0) { $0 << 8 | Int($1) } > 1
        guard isCompatible || bytes.starts(with: mappedPrefix) else { return nil }
        return bytes.suffix(4).map { String($0) }.joined(separator: ".")
    }
}
