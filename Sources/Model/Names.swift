/// Checks of names that people type. Each answers why the text is refused, or nil when it is fine, so that the caller
/// can put the path of the field in front.
public enum Names {
    /// A DNS label (RFC 1035 section 2.3.1, digits allowed first as in RFC 1123): what services and nodes are called.
    public static func dnsLabelFlaw(_ text: String) -> String? {
        guard !text.isEmpty else { return "must not be empty" }
        guard text.utf8.count <= 63 else { return "must have at most 63 characters" }
        guard text.utf8.allSatisfy({ isLowerAlphanumeric($0) || $0 == UInt8(ascii: "-") }) else {
            return "must consist of a–z, 0–9 and hyphens"
        }
        guard text.utf8.first != UInt8(ascii: "-"), text.utf8.last != UInt8(ascii: "-") else {
            return "must not begin or end with a hyphen"
        }
        return nil
    }

    /// A host name of at least one label, optionally with a trailing dot, optionally with a leading `*.`.
    public static func hostnameFlaw(_ text: String, wildcard: Bool = false) -> String? {
        var name = text[...]
        if wildcard, name.hasPrefix("*.") { name = name.dropFirst(2) }
        if name.hasSuffix(".") { name = name.dropLast() }
        guard !name.isEmpty, name.utf8.count <= 253 else { return "must be a host name of at most 253 characters" }
        // Before the change of case: the sign for kelvin becomes a plain k.
        guard name.utf8.allSatisfy({ $0 < 0x80 }) else {
            return "has a label that must consist of a–z, 0–9 and hyphens"
        }
        for label in name.split(separator: ".", omittingEmptySubsequences: false) {
            if let flaw = dnsLabelFlaw(label.lowercased()) { return "has a label that \(flaw)" }
        }
        return nil
    }

    /// A host name as it is compared: lower case, no trailing dot.
    public static func normalizedHost(_ text: String) -> String {
        let lower = text.lowercased()
        return lower.hasSuffix(".") ? String(lower.dropLast()) : lower
    }

    /// A slug: what stacks and labels are called.
    public static func slugFlaw(_ text: String) -> String? { dnsLabelFlaw(text) }

    /// An environment variable's name (POSIX.1-2017 section 8.1).
    public static func environmentNameFlaw(_ text: String) -> String? {
        guard let first = text.utf8.first, text.utf8.count <= 255 else { return "must have 1 to 255 characters" }
        let rest = text.utf8.allSatisfy { isAlphanumeric($0) || $0 == UInt8(ascii: "_") }
        guard rest, !isDigit(first) else { return "must consist of letters, digits and _, and not begin with a digit" }
        return nil
    }

    /// Text that is shown or passed on as one line: no control characters, no line breaks, nothing that turns the
    /// direction of what follows (Unicode Standard Annex 9 sections 2.2 and 2.4) and so hides what a text says.
    public static func lineFlaw(_ text: String, bytesMax: Int) -> String? {
        guard text.utf8.count <= bytesMax else { return "must have at most \(bytesMax) bytes" }
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case ..<0x20, 0x7F...0x9F, 0x2028, 0x2029: return "must not contain control characters or line breaks"
            case 0x202A...0x202E, 0x2066...0x2069: return "must not contain characters that turn the direction of text"
            default: break
            }
        }
        return nil
    }

    /// Why a text may read otherwise by characters than by bytes: a sign with an accent on it is another character, but
    /// whatever is given the bytes still sees the sign.
    private static func disguiseFlaw(_ text: String) -> String? {
        let isDisguised = text.contains { character in
            guard let first = character.unicodeScalars.first, first.isASCII else { return false }
            return character.unicodeScalars.count > 1 && !isAlphanumeric(UInt8(first.value))
        }
        return isDisguised ? "must not contain a sign with a mark on it" : nil
    }

    /// Where git may fetch from: `https`, `http`, `ssh`, `git`, `file` URLs and `user@host:path`.
    ///
    /// Everything that git could take for an option or for a helper (`ext::…`) is refused.
    public static func gitURLFlaw(_ text: String) -> String? {
        if let flaw = lineFlaw(text, bytesMax: 2048) ?? disguiseFlaw(text) { return flaw }
        guard !text.isEmpty else { return "must not be empty" }
        guard !text.hasPrefix("-"), !text.contains(" "), !text.contains("\\") else {
            return "must be a URL without spaces or backslashes that does not begin with a hyphen"
        }
        if let colons = text.range(of: "://") {
            let scheme = text[..<colons.lowerBound]
            guard ["https", "http", "ssh", "git", "file"].contains(scheme) else {
                return "must be an https, ssh, git or file URL"
            }
            let rest = text[colons.upperBound...]
            if scheme == "file" { return rest.hasPrefix("/") ? traversalFlaw(rest) : "must name an absolute path" }
            let authority = rest.prefix { $0 != "/" }
            let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
            guard !host.isEmpty, !host.hasPrefix("-"), !authority.hasPrefix("-") else { return "must name a host" }
            guard hasSoundPort(host) else { return "must name a host, with a port of 1 to 65535 if any" }
            if scheme != "ssh", authority.contains(":"), authority.contains("@") {
                return "must not contain a password; use a deploy key"
            }
            return nil
        }
        guard !text.contains("::") else { return "must not name a remote helper" }
        // scp-like: user@host:path
        guard let at = text.firstIndex(of: "@"), let colon = text[at...].firstIndex(of: ":") else {
            return "must be an https, ssh, git or file URL, or user@host:path"
        }
        let user = text[..<at]
        let host = text[text.index(after: at)..<colon]
        guard !user.isEmpty, user.utf8.allSatisfy({ isAlphanumeric($0) || $0 == 0x2D || $0 == 0x5F || $0 == 0x2E }),
            hostnameFlaw(String(host)) == nil, !text[text.index(after: colon)...].hasPrefix("-")
        else { return "must be an https, ssh, git or file URL, or user@host:path" }
        return nil
    }

    /// `host`, `host:port` or `[address]:port`.
    private static func hasSoundPort(_ host: Substring) -> Bool {
        var rest = host
        if host.hasPrefix("[") {
            guard let end = host.firstIndex(of: "]") else { return false }
            rest = host[host.index(after: end)...]
        } else {
            rest = host.drop { $0 != ":" }
        }
        guard !rest.isEmpty else { return true }
        guard rest.hasPrefix(":"), rest.utf8.dropFirst().allSatisfy(isDigit) else { return false }
        return (1...65535).contains(Int(rest.dropFirst()) ?? 0)
    }

    /// A branch, tag, full reference name or commit; the rules of git-check-ref-format(1), and no leading hyphen.
    public static func gitRefFlaw(_ text: String) -> String? {
        let flaw = "must be a branch, tag or commit"
        guard disguiseFlaw(text) == nil, !text.isEmpty, text.utf8.count <= 255, !text.hasPrefix("-"),
            !text.hasPrefix("/"), !text.hasSuffix("/"),
            !text.hasSuffix("."), !text.contains(".."), !text.contains("//"), !text.contains("@{"), text != "@"
        else { return flaw }
        let banned = Set(" ~^:?*[\\".unicodeScalars)
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F || banned.contains($0) })
        else { return flaw }
        for part in text.split(separator: "/") where part.hasPrefix(".") || part.hasSuffix(".lock") { return flaw }
        return nil
    }

    /// A URL path prefix: begins with `/`, no query, no dot segments, no encoded separators.
    public static func pathPrefixFlaw(_ text: String) -> String? {
        guard text.hasPrefix("/"), text.utf8.count <= 1024 else {
            return "must begin with / and have at most 1024 bytes"
        }
        let banned = Set("?#%\\ \"<>".unicodeScalars)
        guard !text.unicodeScalars.contains(where: { $0.value < 0x21 || $0.value > 0x7E || banned.contains($0) }) else {
            return "must be plain ASCII without spaces, %, ? and #"
        }
        guard zip(text.utf8, text.utf8.dropFirst()).allSatisfy({ $0 != UInt8(ascii: "/") || $1 != UInt8(ascii: "/") })
        else { return "must not contain empty segments" }
        return traversalFlaw(text[...])
    }

    /// A path below some folder of ours: relative, no dot segments.
    public static func relativePathFlaw(_ text: String) -> String? {
        if let flaw = lineFlaw(text, bytesMax: 1024) ?? disguiseFlaw(text) { return flaw }
        guard !text.isEmpty, !text.hasPrefix("/") else { return "must be a relative path" }
        return traversalFlaw(text[...])
    }

    private static func traversalFlaw(_ text: Substring) -> String? {
        text.split(separator: "/").contains { $0 == ".." || $0 == "." } ? "must not contain . or .. segments" : nil
    }

    /// Whether a byte is an ASCII digit.
    public static func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    static func isLowerAlphanumeric(_ byte: UInt8) -> Bool {
        isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    }
    /// Whether a byte is an ASCII letter or digit.
    public static func isAlphanumeric(_ byte: UInt8) -> Bool { isLowerAlphanumeric(byte | 0x20) || isDigit(byte) }
}

extension String {
    /// Where `needle` first occurs. The standard library's own needs Foundation, which costs 60 MB when linked in.
    fileprivate func range(of needle: String) -> Range<String.Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(needle) { return start..<index(start, offsetBy: needle.count) }
            start = index(after: start)
        }
        return nil
    }
}
