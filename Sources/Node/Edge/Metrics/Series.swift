import Model

/// Counters of one route of one service on one event loop: a row of plain numbers, so that counting costs an addition
/// and reading is a copy.
struct Series {
    /// What is counted. Histogram borders come after the last.
    enum Field: Int {
        case started, finished
        case class1, class2, class3, class4, class5
        case microseconds, bytesIn, bytesOut
        case upstreamFailures, retries, held, refused
        /// Milliseconds since the epoch; the greatest counts.
        case lastAt
        case buckets
    }

    /// Upper borders in microseconds; one more bucket holds the rest.
    static let borders: [UInt64] = [
        250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
        5_000_000, 10_000_000, 30_000_000,
    ]
    static let bucketCount = borders.count + 1
    static let count = Field.buckets.rawValue + bucketCount

    private let values: UnsafeMutablePointer<UInt64>

    /// Memory that the caller keeps until the event loop is gone.
    static func allocate() -> Series {
        let values = UnsafeMutablePointer<UInt64>.allocate(capacity: count)
        values.initialize(repeating: 0, count: count)
        return Series(values: values)
    }

    func deallocate() { values.deallocate() }

    @inline(__always)
    func add(_ field: Field, _ amount: UInt64 = 1) { values[field.rawValue] &+= amount }

    @inline(__always)
    func begin(at milliseconds: Int64) {
        values[Field.started.rawValue] &+= 1
        values[Field.lastAt.rawValue] = UInt64(max(0, milliseconds))
    }

    /// A request is over.
    func finish(status: UInt16, microseconds: UInt64, bytesIn: UInt64, bytesOut: UInt64) {
        values[Field.finished.rawValue] &+= 1
        let statusClass = Int(status / 100)
        if (1...5).contains(statusClass) { values[Field.class1.rawValue - 1 + statusClass] &+= 1 }
        values[Field.microseconds.rawValue] &+= microseconds
        values[Field.bytesIn.rawValue] &+= bytesIn
        values[Field.bytesOut.rawValue] &+= bytesOut
        var bucket = 0
        while bucket < Self.borders.count, microseconds > Self.borders[bucket] { bucket &+= 1 }
        values[Field.buckets.rawValue &+ bucket] &+= 1
    }

    var isIdle: Bool { values[Field.started.rawValue] == values[Field.finished.rawValue] }
    var sample: SeriesSample { SeriesSample(values: Array(UnsafeBufferPointer(start: values, count: Self.count))) }
}

/// A copy of counters, of one event loop or added up.
struct SeriesSample: Sendable, Equatable {
    var values: [UInt64]

    static let zero = SeriesSample(values: [UInt64](repeating: 0, count: Series.count))

    subscript(_ field: Series.Field) -> UInt64 { values[field.rawValue] }
    subscript(bucket index: Int) -> UInt64 { values[Series.Field.buckets.rawValue + index] }

    mutating func add(_ other: SeriesSample) {
        let last = max(self[.lastAt], other[.lastAt])
        for index in values.indices { values[index] &+= other.values[index] }
        values[Series.Field.lastAt.rawValue] = last
    }

    /// What was counted since `earlier`.
    func since(_ earlier: SeriesSample) -> SeriesSample {
        var difference = self
        for index in values.indices { difference.values[index] &-= min(earlier.values[index], values[index]) }
        difference.values[Series.Field.lastAt.rawValue] = self[.lastAt]
        return difference
    }

    /// Milliseconds below which a share of the requests stayed, interpolated within its bucket; nil for no requests.
    func percentile(_ share: Double) -> Double? {
        let total = (0..<Series.bucketCount).reduce(UInt64(0)) { $0 + self[bucket: $1] }
        guard total > 0 else { return nil }
        let rank = share * Double(total)
        var below: Double = 0
        for index in 0..<Series.bucketCount {
            let count = Double(self[bucket: index])
            if count > 0, below + count >= rank {
                let lower = index == 0 ? 0 : Double(Series.borders[index - 1])
                let upper = Double(index < Series.borders.count ? Series.borders[index] : Series.borders.last! * 2)
                return (lower + (upper - lower) * max(0, rank - below) / count) / 1000
            }
            below += count
        }
        return Double(Series.borders.last!) / 1000
    }
}

/// Which counters they are.
struct SeriesKey: Hashable, Sendable {
    var upstreamId: String
    var service: String
    var route: String
    /// The site that the route is of; nil for one of a service's own.
    var siteId: String?
}
