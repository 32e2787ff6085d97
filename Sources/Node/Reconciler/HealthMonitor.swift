import AgentProtocol
import Host
import Model

/// Counts the outcomes of checks per instance, and says what follows from them. Holds no clock: time is handed in.
struct HealthMonitor {
    private struct Record {
        var firstSeen: Duration
        var nextCheck: Duration
        var checks = 0
        var successes = 0
        var failures = 0
        var everHealthy = false
        var isHealthy = false
        var lastFailure: String?
    }

    private var records: [String: Record] = [:]
    /// A new instance is asked this often at first; the pause grows to the interval of the check.
    private static let firstPause: Duration = .milliseconds(10)

    mutating func forget(except units: Set<String>) { records = records.filter { units.contains($0.key) } }

    /// Units whose check is due, out of those that run.
    mutating func due(_ units: [String], now: Duration) -> [String] {
        for unit in units where records[unit] == nil {
            records[unit] = Record(firstSeen: now, nextCheck: now)
        }
        return units.filter { records[$0]!.nextCheck <= now }
    }

    /// Time until the next check; nil when there is nothing to check.
    func pause(now: Duration) -> Duration? { records.values.map { max(.zero, $0.nextCheck - now) }.min() }

    /// - Parameter failure: nil for a success.
    mutating func record(_ unit: String, failure: String?, check: DesiredHealthCheck, now: Duration) {
        guard var record = records[unit] else { return }
        record.checks += 1
        if let failure {
            record.failures += 1
            record.successes = 0
            record.lastFailure = failure
            if record.failures >= check.unhealthyThreshold { record.isHealthy = false }
        } else {
            record.successes += 1
            record.failures = 0
            if record.successes >= check.healthyThreshold {
                record.isHealthy = true
                record.everHealthy = true
            }
        }
        let interval: Duration = .milliseconds(check.intervalMs)
        if record.everHealthy {
            record.nextCheck = now + interval
        } else {
            let growing = Self.firstPause * (1 << min(record.checks / 8, 12))
            record.nextCheck = now + min(growing, interval)
        }
        records[unit] = record
    }

    /// What is known of an instance.
    ///
    /// - Parameter status: of its unit; one that keeps ending has failed before its grace is over.
    func verdict(_ unit: String, status: UnitStatus?, check: DesiredHealthCheck, now: Duration) -> HealthVerdict {
        guard let record = records[unit] else { return .waiting }
        if record.everHealthy {
            return record.isHealthy ? .healthy : .unhealthy(record.lastFailure ?? "no answer")
        }
        if let status, status.restarts >= 2 || status.state == .crashLoop || status.state == .exited {
            return .late("it \(status.lastError ?? "ended") before it was healthy")
        }
        if now - record.firstSeen > .milliseconds(check.graceMs) {
            let why = record.lastFailure ?? status?.lastError ?? "no answer"
            return .late("it was not healthy within \(Duration.milliseconds(check.graceMs).shortText): \(why)")
        }
        return .waiting
    }
}
