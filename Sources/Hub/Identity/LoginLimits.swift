import Model
import Synchronization

/// Counts failed logins per address and per account, so that passwords cannot be guessed.
final class LoginLimits: Sendable {
    static let window: Duration = .seconds(900)
    static let failuresMaxPerAccount = 10
    static let failuresMaxPerAddress = 50
    /// Names remembered at once; beyond this the oldest are forgotten.
    private static let namesMax = 20_000

    private struct Failures {
        var count: Int
        /// When the count starts anew.
        var until: Duration
    }

    private let failures = Mutex<[String: Failures]>([:])

    /// - Throws: `rate_limited` with the time to wait.
    func admit(account: String, address: String, at now: Duration) throws(Problem) {
        let wait = failures.withLock { failures -> Duration? in
            for (name, limit) in Self.names(account, address) {
                if let entry = failures[name], entry.until > now, entry.count >= limit { return entry.until - now }
            }
            return nil
        }
        guard let wait else { return }
        throw Problem(
            .rateLimited, "Too many failed logins; try again in \(wait.milliseconds / 60_000 + 1) minutes.",
            retryAfter: wait)
    }

    func noteFailure(account: String, address: String, at now: Duration) {
        failures.withLock { failures in
            if failures.count > Self.namesMax {
                failures = failures.filter { $0.value.until > now }
                if failures.count > Self.namesMax { failures.removeAll() }
            }
            for (name, _) in Self.names(account, address) {
                var entry = failures[name] ?? Failures(count: 0, until: now + Self.window)
                if entry.until <= now { entry = Failures(count: 0, until: now + Self.window) }
                entry.count += 1
                failures[name] = entry
            }
        }
    }

    func noteSuccess(account: String) {
        failures.withLock { _ = $0.removeValue(forKey: "account " + account.lowercased()) }
    }

    private static func names(_ account: String, _ address: String) -> [(String, Int)] {
        [
            ("account " + account.lowercased(), failuresMaxPerAccount), ("address " + address, failuresMaxPerAddress),
        ]
    }
}
