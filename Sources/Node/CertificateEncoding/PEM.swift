/// Textual form of keys and certificates (RFC 7468).
public enum PEM {
    /// `-----BEGIN label-----`, lines of 64 characters, `-----END label-----`.
    public static func encode(_ label: String, _ der: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: der.count, by: 3) {
            if start % 48 == 0, start > 0 { text.append(UInt8(ascii: "\n")) }
            let group = der[start..<min(start + 3, der.count)]
            let word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for position in 0..<4 {
                let isContent = position <= group.count
                text.append(isContent ? alphabet[Int(word >> UInt32(18 - 6 * position) & 63)] : UInt8(ascii: "="))
            }
        }
        return "-----BEGIN \(label)-----\n\(String(decoding: text, as: UTF8.self))\n-----END \(label)-----\n"
    }
}
