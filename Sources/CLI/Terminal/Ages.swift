import Glibc
import Model

/// Points in time as people say them.
enum Ages {
    /// The wall clock; ages are for showing, never for measuring.
    static func now() -> Timestamp {
        Timestamp(millisecondsSinceEpoch: Int64(time(nil)) * 1000)
    }

    /// `12s`, `5m`, `3h`, `9d`; the text as it is when it is no time.
    static func text(since rfc3339: String, now: Timestamp) -> String {
        guard let time = Timestamp(rfc3339: rfc3339) else { return rfc3339 }
        return text(now.since(time))
    }

    static func text(_ span: Duration) -> String {
        let seconds = max(0, span.milliseconds / 1000)
        return switch seconds {
        case ..<120: "\(seconds)s"
        case ..<7200: "\(seconds / 60)m"
        case ..<172_800: "\(seconds / 3600)h"
        default: "\(seconds / 86_400)d"
        }
    }

    /// A measured span: `640ms`, `12.4s`, `3m 5s`.
    static func measured(_ span: Duration) -> String {
        let milliseconds = max(0, span.milliseconds)
        return switch milliseconds {
        case ..<1000: "\(milliseconds)ms"
        case ..<60_000: "\(milliseconds / 1000).\(milliseconds % 1000 / 100)s"
        default: "\(milliseconds / 60_000)m \(milliseconds / 1000 % 60)s"
        }
    }
}
