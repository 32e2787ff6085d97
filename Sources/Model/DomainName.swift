/// A domain name in one spelling: lower case, without the dot at its end (RFC 1035 section 2.3.1, RFC 4343).
public enum DomainName {
    /// The spelling that names are compared in.
    public static func canonical(_ text: String) -> String {
        let lower = text.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    /// Why a text is no domain name of at least two labels, with or without the dot at its end; nil when it is one.
    /// - Parameter underscores: whether labels may hold them, as those of services do (RFC 8552).
    public static func flaw(_ text: String, underscores: Bool = false) -> String? {
        let name = text.hasSuffix(".") ? text.dropLast() : text[...]
        let labels = name.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count >= 2 else { return "must be a full domain name such as example.org" }
        return labelsFlaw(labels, underscores: underscores) ?? lengthFlaw(name) ?? numberFlaw(name)
    }

    /// Why a name of several labels would be taken for an address: its last label is a number (RFC 3696 section 2).
    public static func numberFlaw(_ name: some StringProtocol) -> String? {
        let labels = name.split(separator: ".")
        guard labels.count > 1, labels[labels.count - 1].utf8.allSatisfy(Names.isDigit) else { return nil }
        return "must not end in a number, as only addresses do"
    }

    /// Why a name is too long (RFC 1035 section 2.3.4); nil when it is not.
    public static func lengthFlaw(_ name: some StringProtocol) -> String? {
        name.utf8.count <= 253 ? nil : "must have at most 253 characters"
    }

    /// Why one of the labels of a name is none; nil when all are fine.
    /// - Parameter underscores: whether labels may hold them.
    public static func labelsFlaw(_ labels: [Substring], underscores: Bool) -> String? {
        for label in labels { if let flaw = labelFlaw(label, underscores: underscores) { return flaw } }
        return nil
    }

    private static func labelFlaw(_ label: Substring, underscores: Bool) -> String? {
        guard label.utf8.allSatisfy({ $0 < 0x80 }) else {
            return "must be in ASCII; write other letters in their xn-- form"
        }
        var text = label.lowercased()
        if underscores { text = String(text.map { $0 == "_" ? "a" : $0 }) }
        if let flaw = Names.dnsLabelFlaw(text) { return "has a label that \(flaw)" }
        // What has hyphens in the third and fourth place is an A-label or nothing (RFC 5891 section 4.2.3.1).
        let bytes = Array(text.utf8)
        guard bytes.count >= 4, bytes[2] == UInt8(ascii: "-"), bytes[3] == UInt8(ascii: "-") else { return nil }
        guard text.hasPrefix("xn--"), Punycode.isDecodable(bytes.dropFirst(4)) else {
            return "has a label that begins like one of other letters, but is none"
        }
        return nil
    }

    /// The names above a name, the nearest first, down to two labels: of `a.b.example.org` they are `b.example.org`
    /// and `example.org`.
    public static func above(_ canonical: String) -> [String] {
        let labels = canonical.split(separator: ".", omittingEmptySubsequences: false)
        guard labels.count > 2 else { return [] }
        return (1...(labels.count - 2)).map { labels[$0...].joined(separator: ".") }
    }

    /// Whether a name is this one or below it; both canonical.
    public static func isWithin(_ name: String, _ top: String) -> Bool { name == top || name.hasSuffix(".\(top)") }
}

/// The encoding of other letters in A-labels (RFC 3492).
enum Punycode {
    /// Whether the text after `xn--` stands for letters.
    static func isDecodable(_ text: some Collection<UInt8>) -> Bool {
        let bytes = Array(text)
        guard !bytes.isEmpty, bytes.count <= 59 else { return false }
        let split = bytes.lastIndex(of: UInt8(ascii: "-"))
        var count = split ?? 0
        var (point, index, bias) = (128, 0, 72)
        var rest = bytes[(split.map { $0 + 1 } ?? 0)...]
        guard !rest.isEmpty else { return false }
        while !rest.isEmpty {
            let start = index
            var (weight, k) = (1, 36)
            while true {
                guard let byte = rest.popFirst(), let digit = digit(byte) else { return false }
                index += digit * weight
                guard index < 1 << 30 else { return false }
                let threshold = min(max(k - bias, 1), 26)
                if digit < threshold { break }
                weight *= 36 - threshold
                guard weight < 1 << 30 else { return false }
                k += 36
            }
            count += 1
            bias = adapted(index - start, count, isFirst: start == 0)
            point += index / count
            index = index % count + 1
            guard point <= 0x10FFFF, !(0xD800...0xDFFF).contains(point) else { return false }
        }
        return true
    }

    private static func digit(_ byte: UInt8) -> Int? {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"): Int(byte - UInt8(ascii: "a"))
        case UInt8(ascii: "0")...UInt8(ascii: "9"): Int(byte - UInt8(ascii: "0")) + 26
        default: nil
        }
    }

    /// Section 6.1.
    private static func adapted(_ delta: Int, _ count: Int, isFirst: Bool) -> Int {
        var delta = isFirst ? delta / 700 : delta / 2
        delta += delta / count
        var k = 0
        while delta > 455 {
            delta /= 35
            k += 36
        }
        return k + 36 * delta / (delta + 38)
    }
}
