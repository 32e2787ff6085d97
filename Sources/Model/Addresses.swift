/// Checks and readings of network addresses, without a resolver.
extension Names {
    /// An IPv4 or IPv6 address.
    public static func addressFlaw(_ text: String) -> String? {
        isIPv4(text) || isIPv6(text) ? nil : "must be an IPv4 or IPv6 address"
    }

    /// An IPv4 address.
    public static func ipv4Flaw(_ text: String) -> String? { isIPv4(text) ? nil : "must be an IPv4 address" }

    /// An IPv6 address.
    public static func ipv6Flaw(_ text: String) -> String? { isIPv6(text) ? nil : "must be an IPv6 address" }

    /// A network in CIDR notation (RFC 4632, RFC 4291 section 2.3).
    public static func cidrFlaw(_ text: String) -> String? {
        let flaw = "must be a network such as 203.0.113.0/24"
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let bits = Int(parts[1]), String(bits) == parts[1], bits >= 0 else { return flaw }
        let address = String(parts[0])
        return isIPv4(address) && bits <= 32 || isIPv6(address) && bits <= 128 ? nil : flaw
    }

    static func isIPv4(_ text: String) -> Bool {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                guard let value = Int(part), value <= 255 else { return false }
                return String(value) == part
            }
    }

    static func isIPv6(_ text: String) -> Bool {
        guard text.utf8.count <= 45, text.contains(":"), !text.contains(":::") else { return false }
        let halves = text.components(splitBy: "::")
        guard halves.count <= 2 else { return false }
        var count = 0
        for (position, half) in halves.enumerated() where !half.isEmpty {
            let groups = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, group) in groups.enumerated() {
                if group.contains(".") {
                    guard index == groups.count - 1, position == halves.count - 1,
                        isIPv4(String(group))
                    else { return false }
                    count += 2
                } else {
                    guard (1...4).contains(group.count), group.allSatisfy({ $0.isASCII && $0.isHexDigit }) else {
                        return false
                    }
                    count += 1
                }
            }
        }
        return halves.count == 2 ? count <= 7 : count == 8
    }
}

extension String {
    func components(splitBy separator: String) -> [String] {
        var parts: [String] = []
        var current = ""
        var rest = self[...]
        while !rest.isEmpty {
            if rest.hasPrefix(separator) {
                parts.append(current)
                current = ""
                rest = rest.dropFirst(separator.count)
            } else {
                current.append(rest.removeFirst())
            }
        }
        return parts + [current]
    }
}
