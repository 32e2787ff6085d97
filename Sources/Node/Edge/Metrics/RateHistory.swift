import Model

/// Counts of the last minute, from which rates and percentiles are made.
struct RateHistory {
    static let intervalNanoseconds: UInt64 = 10_000_000_000
    private static let intervalsMax = 6

    private struct Interval {
        var seconds: Double
        var counts: [String: SeriesSample]
    }

    private var intervals: [Interval] = []
    private var last: [String: SeriesSample] = [:]
    private var lastAt: UInt64

    init(now: UInt64) { lastAt = now }

    /// Closes an interval if it is time.
    mutating func add(_ totals: [String: SeriesSample], now: UInt64) {
        guard now &- lastAt >= Self.intervalNanoseconds * 9 / 10 else { return }
        intervals.append(open(totals, now))
        if intervals.count > Self.intervalsMax { intervals.removeFirst(intervals.count - Self.intervalsMax) }
        last = totals
        lastAt = now
    }

    private func open(_ totals: [String: SeriesSample], _ now: UInt64) -> Interval {
        var counts: [String: SeriesSample] = [:]
        for (id, total) in totals {
            let since = last[id].map { total.since($0) } ?? total
            if since[.started] > 0 || since[.finished] > 0 { counts[id] = since }
        }
        return Interval(seconds: Double(now &- lastAt) / 1e9, counts: counts)
    }

    /// What each upstream did in the last minute.
    func statuses(_ totals: [String: SeriesSample], now: UInt64) -> [String: EdgeUpstreamStatus] {
        let all = intervals + [open(totals, now)]
        // Just after the start a fraction of a second would make one request a storm.
        let seconds = max(1, all.reduce(0) { $0 + $1.seconds })
        var statuses: [String: EdgeUpstreamStatus] = [:]
        for (id, total) in totals {
            var minute = SeriesSample.zero
            for interval in all {
                if let counts = interval.counts[id] { minute.add(counts) }
            }
            var status = EdgeUpstreamStatus()
            let lastAt = total[.lastAt]
            if lastAt > 0 { status.lastRequestAt = Timestamp(millisecondsSinceEpoch: Int64(lastAt)) }
            status.inFlight = Int(total[.started] - min(total[.started], total[.finished]))
            status.requestsPerSecond = Self.rounded(Double(minute[.finished]) / seconds)
            status.errorsPerSecond = Self.rounded(Double(minute[.class5]) / seconds)
            status.p50Milliseconds = minute.percentile(0.5).map(Self.rounded)
            status.p95Milliseconds = minute.percentile(0.95).map(Self.rounded)
            status.p99Milliseconds = minute.percentile(0.99).map(Self.rounded)
            statuses[id] = status
        }
        return statuses
    }

    private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
