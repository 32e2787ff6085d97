import Glibc
import Synchronization

/// A switch that tests and upstreams share.
final class SharedFlag: Sendable {
    struct NotSet: Error {}

    private let flag: Mutex<Bool>

    init(_ value: Bool = false) { flag = Mutex(value) }

    var value: Bool {
        get { flag.withLock { $0 } }
        set { flag.withLock { $0 = newValue } }
    }

    /// Waits for a moment, as who sets it may be held up.
    func isSetSoon() -> Bool {
        for _ in 0..<2000 where !value { usleep(1000) }
        return value
    }

    /// Keeps the thread of an upstream until it is set: what lasts as long as a test wants, not for a time.
    func wait(seconds: Int = 60) throws {
        for _ in 0..<seconds * 1000 {
            if value { return }
            usleep(1000)
        }
        throw NotSet()
    }
}
