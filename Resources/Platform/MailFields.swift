import AgentProtocol
import CryptoExtras
import Model

/// What a brand says of its mail in DNS: who may send it (SPF), with which key (DKIM), and what becomes of other mail
/// (DMARC).
enum MailFields {
    private static let policies = ["none", "quarantine", "reject"]

    /// One of the policies, or a whole record (RFC 7489 section 6.3).
    @Sendable static func dmarcFlaw(_ text: String) -> String? {
        if policies.contains(text) { return nil }
        let flaw = "must be none, quarantine, reject, or a record such as v=DMARC1; p=reject"
        guard text.utf8.count <= 1000, let tags = tags(text), tags.first?.name == "v", tags[0].value == "DMARC1",
            let policy = tags.first(where: { $0.name == "p" }), policies.contains(policy.value.lowercased())
        else { return flaw }
        return nil
    }

    /// Domain names, or mechanisms with one (RFC 7208 section 5), with blanks between them.
    @Sendable static func spfFlaw(_ text: String) -> String? {
        if let flaw = Names.lineFlaw(text, bytesMax: 1000) { return flaw }
        let terms = text.split(separator: " ")
        // Section 4.6.4: whoever checks looks up no more.
        guard (1...10).contains(terms.count) else { return "must be 1 to 10 domain names" }
        for term in terms {
            if let flaw = spfTermFlaw(term) { return "has \(term.prefix(80)), which \(flaw)" }
        }
        return nil
    }

    private static func spfTermFlaw(_ term: Substring) -> String? {
        let parts = term.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2 else { return DomainName.flaw(String(term), underscores: true) }
        switch parts[0].lowercased() {
        case "include", "a", "mx", "exists": return DomainName.flaw(parts[1], underscores: true)
        case "ip4": return parts[1].contains("/") ? Names.cidrFlaw(parts[1]) : Names.ipv4Flaw(parts[1])
        case "ip6": return parts[1].contains("/") ? Names.cidrFlaw(parts[1]) : Names.ipv6Flaw(parts[1])
        default: return "is not a domain name, nor include:, a:, mx:, exists:, ip4: or ip6: with what belongs there"
        }
    }

    /// A public key in Base64, a PEM block of one, or the whole record (RFC 6376 section 3.6.1).
    static func dkimFlaw(_ text: String) -> String? {
        if text.contains("PRIVATE KEY") { return "is a private key; give the public one" }
        var key = text
        if text.contains("-----BEGIN PUBLIC KEY-----") {
            key = text.split(whereSeparator: \.isNewline).filter { !$0.contains("-----") }.joined()
        } else if let tags = tags(text), let value = tags.first(where: { $0.name == "p" })?.value {
            key = value
        }
        let flaw = "must be an RSA or Ed25519 public key in Base64, in PEM form, or a whole record"
        guard let bytes = Base64.decode(String(key.filter { !$0.isWhitespace })) else { return flaw }
        // The bare bytes of an Ed25519 key (RFC 8463 section 4).
        if bytes.count == 32 { return nil }
        do {
            // 1024 bits are the least that those who check must take (RFC 8301 section 3.2).
            _ = try _RSA.Signing.PublicKey(unsafeDERRepresentation: bytes)
            return nil
        } catch {
            return flaw
        }
    }

    /// `name=value` with semicolons between them (RFC 6376 section 3.2); nil for anything else.
    private static func tags(_ text: String) -> [(name: String, value: String)]? {
        var result: [(name: String, value: String)] = []
        for part in text.split(separator: ";", omittingEmptySubsequences: false) {
            let words = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let name = words[0].filter { !$0.isWhitespace }
            // One semicolon may stand at the end.
            if words.count == 1, name.isEmpty, !result.isEmpty { continue }
            guard words.count == 2, !name.isEmpty, name.utf8.allSatisfy(Names.isAlphanumeric) else { return nil }
            result.append((name, String(words[1].drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())))
        }
        return result
    }
}
