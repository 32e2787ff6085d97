import AgentProtocol
import CRoost
import Dispatch
import Host
import Model
import Synchronization

/// bcrypt, on a queue of its own: a hash takes a quarter of a second of CPU, which nothing else should wait for.
final class PasswordHashing: Sendable {
    static let cost = 12
    /// Hashes that may wait; more are refused, so that a flood of logins cannot take the machine.
    private static let waitingMax = 16
    /// bcrypt takes no more of a phrase.
    static let phraseBytesMax = 72

    private let queue = DispatchQueue(label: "roost.passwords")
    private let waiting = Mutex(0)

    /// A new hash, `$2b$12$…`.
    /// - Throws: `invalid` for a phrase that bcrypt would cut; `rate_limited` when too many wait.
    func hash(_ phrase: String, random: any RandomSource) async throws -> String {
        guard phrase.utf8.count <= Self.phraseBytesMax, !phrase.utf8.contains(0) else {
            throw Problem.invalid("password", "must have at most \(Self.phraseBytesMax) bytes and no NUL")
        }
        let setting = "$2b$\(Self.cost)$" + Self.salt(random.bytes(16))
        guard let hash = try await crypt(phrase, setting) else {
            throw Problem(.internalError, "The password could not be hashed.")
        }
        return hash
    }

    /// Whether the phrase has this hash. With no hash the same time is spent and the answer is false.
    /// - Throws: `rate_limited` when too many wait.
    func verify(_ phrase: String, hash: String?) async throws -> Bool {
        let known = hash ?? "$2b$\(Self.cost)$" + Self.salt([UInt8](repeating: 7, count: 16))
        guard phrase.utf8.count <= Self.phraseBytesMax, !phrase.utf8.contains(0) else { return false }
        let computed = try await crypt(phrase, known)
        guard let hash, let computed else { return false }
        return constantTimeEqual(computed, hash)
    }

    private func crypt(_ phrase: String, _ setting: String) async throws -> String? {
        let isAdmitted = waiting.withLock { count in
            guard count < Self.waitingMax else { return false }
            count += 1
            return true
        }
        guard isAdmitted else {
            throw Problem(
                .rateLimited, "Too many passwords are being checked right now.", retryAfter: .seconds(5))
        }
        defer { waiting.withLock { $0 -= 1 } }
        return await withCheckedContinuation { continuation in
            queue.async { continuation.resume(returning: Self.bcrypt(phrase, setting)) }
        }
    }

    private static func bcrypt(_ phrase: String, _ setting: String) -> String? {
        var out = [CChar](repeating: 0, count: 128)
        guard croost_bcrypt(phrase, setting, &out, out.count) == 0 else { return nil }
        return String(decoding: out.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// 16 bytes in the base64 of bcrypt.
    private static func salt(_ bytes: [UInt8]) -> String {
        let alphabet = Array("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        var text: [UInt8] = []
        var buffer = 0
        var bits = 0
        for byte in bytes {
            buffer = buffer << 8 | Int(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(alphabet[buffer >> bits & 63])
            }
        }
        text.append(alphabet[buffer << (6 - bits) & 63])
        return String(decoding: text, as: UTF8.self)
    }
}
