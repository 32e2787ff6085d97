/// When what did not work is tried again: after longer and longer pauses.
struct Backoff<Key: Hashable & Sendable>: Sendable {
    private struct Entry {
        var attempts: Int
        var until: Duration
        var message: String
    }

    private static var pauseMax: Duration { .seconds(30) }
    private var entries: [Key: Entry] = [:]

    /// What to say of a key that is not to be tried yet; nil when it may be.
    func message(_ key: Key, now: Duration) -> String? {
        entries[key].flatMap { $0.until > now ? $0.message : nil }
    }

    mutating func failed(_ key: Key, _ message: String, now: Duration) {
        var entry = entries[key] ?? Entry(attempts: 0, until: now, message: message)
        // Many at once that fail together are one attempt.
        guard entry.attempts == 0 || entry.until <= now else { return }
        entry.attempts += 1
        entry.message = message
        entry.until = now + min(.milliseconds(500) * (1 << min(entry.attempts, 10)), Self.pauseMax)
        entries[key] = entry
    }

    mutating func succeeded(_ key: Key) { entries[key] = nil }
    mutating func forget() { entries = [:] }

    /// Until the first of them may be tried.
    func next(now: Duration) -> Duration? { entries.values.map { $0.until - now }.filter { $0 > .zero }.min() }
}
