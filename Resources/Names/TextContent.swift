import Model

/// Contents that are text.
enum TextContent {
    /// RFC 1035 section 3.3.14: text as it is, or character-strings in quotes. Text as it is goes out in strings of 255
    /// bytes, which readers put together again (RFC 7208 section 3.3).
    static func strings(_ content: String) throws(RecordFlaw) -> String {
        guard !content.isEmpty else { throw .content("must not be empty") }
        guard content.hasPrefix("\"") else { return chunks(Array(content.utf8)) }
        let words = try ZoneFileWords.split(content)
        guard words.allSatisfy(\.isQuoted) else { throw .content("must have all of its strings in quotes, or none") }
        return words.map { chunks($0.bytes) }.joined(separator: " ")
    }

    private static func chunks(_ bytes: [UInt8]) -> String {
        guard !bytes.isEmpty else { return "\"\"" }
        return stride(from: 0, to: bytes.count, by: 255)
            .map { ZoneFileWords.quoted(bytes[$0..<min($0 + 255, bytes.count)]) }.joined(separator: " ")
    }

    /// CAA (RFC 8659 section 4.1): flags, tag and value.
    static func authorization(_ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        guard words.count == 3 else { throw .content("must be flags, a tag and a value: 0 issue \"ca.example.net\"") }
        let flags = try RecordContent.number(words[0], "flags", 0...255)
        guard !words[1].isQuoted, let tag = words[1].text?.lowercased(), (1...15).contains(tag.utf8.count),
            tag.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0) })
        else { throw .content("must have a tag of letters and digits, such as issue") }
        guard words[2].bytes.count <= 1024, words[2].bytes.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw .content("must have a value of at most 1024 ASCII characters")
        }
        return RecordContent("\(flags) \(tag) \(ZoneFileWords.quoted(words[2].bytes))")
    }

    /// URI (RFC 7553 section 4): weight and target.
    static func uri(_ priority: Int, _ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        guard words.count == 2 else { throw .content("must be a weight and a URI: 1 \"https://example.org/\"") }
        let weight = try RecordContent.number(words[0], "a weight", 0...65535)
        let target = words[1].bytes
        guard !target.isEmpty, target.count <= 1024, target.allSatisfy({ (0x21...0x7E).contains($0) }),
            target.contains(UInt8(ascii: ":"))
        else { throw .content("must have a URI of at most 1024 ASCII characters") }
        return RecordContent("\(priority) \(weight) \(ZoneFileWords.quoted(target))")
    }

    /// NAPTR (RFC 3403 section 4.1): order, preference, flags, services, regular expression, replacement.
    static func namingAuthority(_ words: [ZoneFileWords.Word], _ zone: String) throws(RecordFlaw) -> RecordContent {
        guard words.count == 6 else {
            throw .content("must be: 100 10 \"u\" \"E2U+sip\" \"!^.*$!sip:info@example.org!\" .")
        }
        let order = try RecordContent.number(words[0], "an order", 0...65535)
        let preference = try RecordContent.number(words[1], "a preference", 0...65535)
        for word in words[2...4] where word.bytes.count > 255 {
            throw .content("must have texts of at most 255 bytes")
        }
        guard words[2].bytes.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x7A).contains($0 | 0x20) }) else {
            throw .content("must have flags of letters and digits")
        }
        let replacement = words[5].text == "." ? "." : try NameContent.name(words[5], zone) + "."
        // Either the expression or the replacement (section 4.1).
        guard words[4].bytes.isEmpty || replacement == "." else {
            throw .content("must not have both a regular expression and a replacement")
        }
        let texts = words[2...4].map { ZoneFileWords.quoted($0.bytes) }.joined(separator: " ")
        return RecordContent("\(order) \(preference) \(texts) \(replacement)")
    }
}
