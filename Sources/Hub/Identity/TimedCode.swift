import AgentProtocol
import Crypto
public import Model

/// Time-based one-time passwords (RFC 6238) of six digits, a new one each 30 seconds, as authenticator apps make them.
public enum TimedCode {
    static let stepSeconds: Int64 = 30
    /// Steps before and after now that are taken: clocks differ, and people type slowly.
    private static let tolerance: Int64 = 1

    /// The code of a step (RFC 4226 section 5.3, with HMAC-SHA-1).
    public static func code(secret: [UInt8], step: Int64) -> String {
        let counter = withUnsafeBytes(of: step.bigEndian) { Array($0) }
        let digest = Array(
            HMAC<Insecure.SHA1>.authenticationCode(for: counter, using: SymmetricKey(data: secret)))
        let offset = Int(digest[19] & 0x0F)
        let number =
            UInt32(digest[offset] & 0x7F) << 24 | UInt32(digest[offset + 1]) << 16
            | UInt32(digest[offset + 2]) << 8 | UInt32(digest[offset + 3])
        let digits = String(number % 1_000_000)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }

    /// The step at a time.
    public static func step(at time: Timestamp) -> Int64 { time.millisecondsSinceEpoch / 1000 / stepSeconds }

    /// The step whose code this is; nil for a wrong one, and for one that is not after the last that was used.
    static func match(_ text: String, secret: [UInt8], at time: Timestamp, after last: Int64) -> Int64? {
        let now = step(at: time)
        return (now - tolerance...now + tolerance).first { step in
            step > last && constantTimeEqual(code(secret: secret, step: step), text)
        }
    }

    /// Bytes in base32 without padding (RFC 4648 section 6), as apps take secrets.
    public static func base32(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        var text: [UInt8] = []
        var buffer = 0
        var bits = 0
        for byte in bytes {
            buffer = (buffer << 8 | Int(byte)) & 0xFFFF
            bits += 8
            while bits >= 5 {
                bits -= 5
                text.append(alphabet[buffer >> bits & 31])
            }
        }
        if bits > 0 { text.append(alphabet[buffer << (5 - bits) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// The bytes of a base32 text; nil for any other.
    public static func bytes(base32 text: String) -> [UInt8]? {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)
        var bytes: [UInt8] = []
        var buffer = 0
        var bits = 0
        for character in text.utf8 {
            guard let value = alphabet.firstIndex(of: character) else { return nil }
            buffer = (buffer << 5 | value) & 0xFFFF
            bits += 5
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(buffer >> bits & 0xFF))
            }
        }
        return bytes
    }
}
