import Glibc
import Model
import Synchronization

/// Counts requests, in the text format of Prometheus.
final class RequestMetrics: Sendable {
    private static let boundsMs: [Int64] = [1, 5, 10, 50, 100, 500, 1000, 5000]

    private struct Numbers {
        var byClass = [Int](repeating: 0, count: 6)
        var buckets = [Int](repeating: 0, count: RequestMetrics.boundsMs.count)
        var totalMs: Double = 0
        var knownHeartbeats = 0
    }

    private let numbers = Mutex(Numbers())

    func note(status: Int, duration: Duration) {
        let ms = Double(duration.components.attoseconds) / 1e15 + Double(duration.components.seconds) * 1000
        numbers.withLock { numbers in
            numbers.byClass[min(max(status / 100, 0), 5)] += 1
            numbers.totalMs += ms
            for (index, bound) in Self.boundsMs.enumerated() where ms <= Double(bound) { numbers.buckets[index] += 1 }
        }
    }

    /// Counts a heartbeat that said nothing new.
    func noteKnownHeartbeat() { numbers.withLock { $0.knownHeartbeats += 1 } }

    func text(subscribers: Int) -> String {
        let numbers = numbers.withLock { $0 }
        var text = "# HELP roost_http_requests_total API requests.\n# TYPE roost_http_requests_total counter\n"
        for (index, count) in numbers.byClass.enumerated() where index > 0 {
            text += "roost_http_requests_total{status=\"\(index)xx\"} \(count)\n"
        }
        text += "# HELP roost_http_request_duration_seconds Time until the answer began.\n"
        text += "# TYPE roost_http_request_duration_seconds histogram\n"
        for (bound, count) in zip(Self.boundsMs, numbers.buckets) {
            text += "roost_http_request_duration_seconds_bucket{le=\"\(Double(bound) / 1000)\"} \(count)\n"
        }
        let total = numbers.byClass.reduce(0, +)
        text += "roost_http_request_duration_seconds_bucket{le=\"+Inf\"} \(total)\n"
        text += "roost_http_request_duration_seconds_sum \(numbers.totalMs / 1000)\n"
        text += "roost_http_request_duration_seconds_count \(total)\n"
        text += "# HELP roost_known_heartbeats_total Heartbeats that said nothing new.\n"
        text += "# TYPE roost_known_heartbeats_total counter\n"
        text += "roost_known_heartbeats_total \(numbers.knownHeartbeats)\n"
        text += "# HELP roost_change_subscribers Open streams and long polls.\n"
        text += "# TYPE roost_change_subscribers gauge\nroost_change_subscribers \(subscribers)\n"
        if let bytes = Self.residentBytes() {
            text += "# HELP process_resident_memory_bytes Resident memory.\n"
            text += "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes \(bytes)\n"
        }
        return text
    }

    private static func residentBytes() -> Int? {
        guard let file = fopen("/proc/self/statm", "re") else { return nil }
        defer { fclose(file) }
        var buffer = [CChar](repeating: 0, count: 128)
        guard fgets(&buffer, 127, file) != nil else { return nil }
        let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        let words = text.split(separator: " ")
        return words.count > 1 ? Int(words[1]).map { $0 * Int(sysconf(Int32(_SC_PAGESIZE))) } : nil
    }
}
