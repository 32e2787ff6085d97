import AgentProtocol
import Model

/// Contents that are keys and fingerprints.
enum KeyContent {
    static func read(_ type: RecordType, _ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        switch type {
        case .ds: try delegationSigner(words)
        case .sshfp: try hostKey(words)
        case .tlsa, .smimea: try association(words)
        default: try openPGPKey(words)
        }
    }

    /// RFC 4034 section 5.1: key tag, algorithm, digest type, digest.
    private static func delegationSigner(_ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        guard words.count >= 4 else { throw .content("must be a key tag, an algorithm, a digest type and a digest") }
        let tag = try RecordContent.number(words[0], "a key tag", 0...65535)
        let algorithm = try RecordContent.number(words[1], "an algorithm", 0...255)
        let type = try RecordContent.number(words[2], "a digest type", 0...255)
        // SHA-1, SHA-256 and SHA-384 (RFC 3658, RFC 4509, RFC 6605).
        let digest = try hex(words[3...], bytes: [1: 20, 2: 32, 4: 48][type])
        return RecordContent("\(tag) \(algorithm) \(type) \(digest)")
    }

    /// RFC 4255 section 3.1: algorithm, fingerprint type, fingerprint.
    private static func hostKey(_ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        guard words.count >= 3 else { throw .content("must be an algorithm, a fingerprint type and a fingerprint") }
        let algorithm = try RecordContent.number(words[0], "an algorithm", 0...255)
        let type = try RecordContent.number(words[1], "a fingerprint type", 0...255)
        let print = try hex(words[2...], bytes: [1: 20, 2: 32][type])
        return RecordContent("\(algorithm) \(type) \(print)")
    }

    /// RFC 6698 section 2.1 and RFC 8162 section 2: usage, selector, matching type, data.
    private static func association(_ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        guard words.count >= 4 else { throw .content("must be a usage, a selector, a matching type and data") }
        let usage = try RecordContent.number(words[0], "a usage", 0...255)
        let selector = try RecordContent.number(words[1], "a selector", 0...255)
        let type = try RecordContent.number(words[2], "a matching type", 0...255)
        let data = try hex(words[3...], bytes: [1: 32, 2: 64][type])
        return RecordContent("\(usage) \(selector) \(type) \(data)")
    }

    /// RFC 7929 section 2.1: a key in Base64.
    private static func openPGPKey(_ words: [ZoneFileWords.Word]) throws(RecordFlaw) -> RecordContent {
        let text = words.compactMap(\.text).joined()
        guard !words.contains(where: \.isQuoted), words.allSatisfy({ $0.text != nil }),
            let bytes = Base64.decode(text), !bytes.isEmpty
        else { throw .content("must be a key in Base64") }
        return RecordContent(Base64.encode(bytes))
    }

    /// Hexadecimal in lower case; zone files may write it in groups.
    private static func hex(_ words: ArraySlice<ZoneFileWords.Word>, bytes: Int?) throws(RecordFlaw) -> String {
        let text = words.compactMap(\.text).joined().lowercased()
        let isHex = text.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }
        guard isHex, !words.contains(where: \.isQuoted), words.allSatisfy({ $0.text != nil }), !text.isEmpty,
            text.utf8.count % 2 == 0
        else { throw .content("must end with bytes in hexadecimal") }
        if let bytes, text.utf8.count != bytes * 2 {
            throw .content("must have \(bytes) bytes for this type, not \(text.utf8.count / 2)")
        }
        return text
    }
}
