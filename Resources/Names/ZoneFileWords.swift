/// Content of records in words, as zone files write it (RFC 1035 section 5.1).
enum ZoneFileWords {
    /// One word: its bytes, and whether it stood in quotes.
    struct Word: Equatable {
        var bytes: [UInt8]
        var isQuoted: Bool

        /// The text of a word that has only visible ASCII.
        var text: String? {
            bytes.allSatisfy { (0x21...0x7E).contains($0) } ? String(decoding: bytes, as: UTF8.self) : nil
        }
    }

    /// Splits at blanks; `"…"` is one word, `\"` and `\123` stand for a byte. What would begin a comment or a group is
    /// refused outside of quotes.
    static func split(_ text: String) throws(RecordFlaw) -> [Word] {
        var words: [Word] = []
        var bytes = Array(text.utf8)[...]
        while let first = bytes.first {
            if first == 0x20 || first == 0x09 {
                bytes.removeFirst()
                continue
            }
            let isQuoted = first == UInt8(ascii: "\"")
            if isQuoted { bytes.removeFirst() }
            words.append(Word(bytes: try word(&bytes, isQuoted: isQuoted), isQuoted: isQuoted))
            if isQuoted, let next = bytes.first, next != 0x20, next != 0x09, next != UInt8(ascii: "\"") {
                throw .content("has text right after a closing quote")
            }
        }
        return words
    }

    private static func word(_ bytes: inout ArraySlice<UInt8>, isQuoted: Bool) throws(RecordFlaw) -> [UInt8] {
        var result: [UInt8] = []
        while let byte = bytes.first {
            switch byte {
            case UInt8(ascii: "\""):
                guard isQuoted else { throw .content("has a quote in the middle of a word") }
                bytes.removeFirst()
                return result
            case 0x20, 0x09:
                if !isQuoted { return result }
                bytes.removeFirst()
                result.append(byte)
            case UInt8(ascii: "\\"):
                bytes.removeFirst()
                result.append(try escaped(&bytes))
            case UInt8(ascii: ";"), UInt8(ascii: "("), UInt8(ascii: ")"):
                guard isQuoted else { throw .content("must have ; ( and ) inside quotes only") }
                bytes.removeFirst()
                result.append(byte)
            default:
                bytes.removeFirst()
                result.append(byte)
            }
        }
        guard !isQuoted else { throw .content("has an opening quote without a closing one") }
        return result
    }

    private static func escaped(_ bytes: inout ArraySlice<UInt8>) throws(RecordFlaw) -> UInt8 {
        guard let first = bytes.popFirst() else { throw .content("ends with a backslash") }
        guard (0x30...0x39).contains(first) else { return first }
        guard let second = bytes.popFirst(), let third = bytes.popFirst(), (0x30...0x39).contains(second),
            (0x30...0x39).contains(third)
        else { throw .content("has a backslash and digits that are not three") }
        let value = Int(first - 0x30) * 100 + Int(second - 0x30) * 10 + Int(third - 0x30)
        guard let byte = UInt8(exactly: value) else { throw .content("has a backslash and a number above 255") }
        return byte
    }

    /// One character-string in quotes; what is not visible ASCII as `\123`.
    static func quoted(_ bytes: some Collection<UInt8>) -> String {
        var text: [UInt8] = [UInt8(ascii: "\"")]
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): text += [UInt8(ascii: "\\"), byte]
            case 0x20...0x7E: text.append(byte)
            default:
                let digits = String(byte)
                text += Array(("\\" + String(repeating: "0", count: 3 - digits.count) + digits).utf8)
            }
        }
        return String(decoding: text + [UInt8(ascii: "\"")], as: UTF8.self)
    }
}
