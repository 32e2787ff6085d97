import Host
public import Model
import ResourceKit
import Synchronization

/// A bucket of requests, by name.
public struct RequestLimit: Sendable, Equatable {
    var name: String
    var perMinute: Int64
}

/// How many requests a key, and all keys of a brand together, may make: a bucket of a minute's worth, filled evenly.
final class RequestLimits: Sendable {
    /// For what anybody may ask without a key: logins, and requests to the OpenID provider.
    static let attemptsPerMinute: Int64 = 300

    /// For those that name no limit of their own.
    static let standardPerMinute: Int64 = 60_000
    private static let namesMax = 50_000

    private struct Bucket {
        var left: Double
        var at: Duration
    }

    private let buckets = Mutex<[String: Bucket]>([:])

    /// Takes one request out of each bucket, or of none.
    ///
    /// - Parameter limits: names with the requests a minute that each may make.
    /// - Throws: `rate_limited` with the time until the next one fits.
    func admit(_ limits: [RequestLimit], at now: Duration) throws(Problem) {
        let wait = buckets.withLock { buckets -> Duration? in
            if buckets.count > Self.namesMax { buckets.removeAll() }
            var filled: [(String, Bucket)] = []
            for limit in limits {
                let (name, perMinute) = (limit.name, limit.perMinute)
                let perSecond = Double(perMinute) / 60
                var bucket = buckets[name] ?? Bucket(left: Double(perMinute), at: now)
                let gained = Double((now - bucket.at).milliseconds) / 1000 * perSecond
                bucket = Bucket(left: min(Double(perMinute), bucket.left + max(0, gained)), at: now)
                guard bucket.left >= 1 else {
                    buckets[name] = bucket
                    return .milliseconds(Int64((1 - bucket.left) / perSecond * 1000) + 1)
                }
                bucket.left -= 1
                filled.append((name, bucket))
            }
            for (name, bucket) in filled { buckets[name] = bucket }
            return nil
        }
        guard let wait else { return }
        throw Problem(
            .rateLimited, "Too many requests; try again in \(max(1, (wait.milliseconds + 999) / 1000)) seconds.",
            retryAfter: wait)
    }
}

extension Hub {
    /// Counts what is asked without a key or a session, right or wrong, by where it comes from.
    /// - Throws: `rate_limited` with the time until the next one fits.
    public func countAttempt(_ what: String, from address: String) throws(Problem) {
        try requestLimits.admit(
            [RequestLimit(name: "\(what) from \(address)", perMinute: RequestLimits.attemptsPerMinute)],
            at: world.clock.monotonic())
    }
}
