import Model
import Synchronization

/// The `Date` of answers (RFC 9110 section 5.6.7), made once a second.
final class AnswerDates: Sendable {
    private let last = Mutex<(second: Int64, text: String)>((-1, ""))

    func text(at time: Timestamp) -> String {
        let second = time.millisecondsSinceEpoch / 1000
        return last.withLock { last in
            if last.second != second { last = (second, time.httpDate) }
            return last.text
        }
    }
}
