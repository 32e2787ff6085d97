/// The one error type of the project: what went wrong, said for the person who must act on it.
///
/// It becomes an HTTP answer or terminal text only at the edge of the program. `context` is for the log alone and may
/// name internals; no part of a problem ever holds a secret.
public struct Problem: Error, Sendable, Equatable {
    /// A stable word that programs may match on.
    public struct Code: RawRepresentable, Sendable, Hashable {
        public let rawValue: String
        public init(rawValue: String) { self.rawValue = rawValue }
        public init(_ rawValue: String) { self.rawValue = rawValue }
    }

    public var code: Code
    /// One sentence that a person can act on.
    public var message: String
    /// What to do next, where that is not in the message.
    public var hint: String?
    /// Path of each offending field, and why it was refused.
    public var fields: [String: String]
    /// For the log only.
    public var context: String?
    /// How long the caller should wait before it tries again; set with ``Code/rateLimited``.
    public var retryAfter: Duration?

    public init(
        _ code: Code, _ message: String, hint: String? = nil, fields: [String: String] = [:], context: String? = nil,
        retryAfter: Duration? = nil
    ) {
        self.code = code
        self.message = message
        self.hint = hint
        self.fields = fields
        self.context = context
        self.retryAfter = retryAfter
    }

    /// A problem with one field, named by its path.
    public static func invalid(_ field: String, _ why: String) -> Problem {
        Problem(.invalid, "\(field) \(why).", fields: [field: why])
    }
}

extension Problem.Code {
    /// The request could not be read at all.
    public static let malformedJSON = Self("malformed_json")
    /// A value is not acceptable; `fields` says which.
    public static let invalid = Self("invalid")
    public static let unauthenticated = Self("unauthenticated")
    /// A request is proven by a session that the hub does not know; signed, it may be sent again.
    public static let sessionRefused = Self("session_refused")
    public static let forbidden = Self("forbidden")
    public static let notFound = Self("not_found")
    /// Something else already has the name, or the resource is in a state that does not allow this.
    public static let conflict = Self("conflict")
    /// `If-Match` named another version than the stored one.
    public static let stale = Self("stale")
    public static let tooLarge = Self("too_large")
    public static let rateLimited = Self("rate_limited")
    /// A part that is needed is away; trying again later may work.
    public static let unavailable = Self("unavailable")
    /// The store could not write: read-only, full, or broken.
    public static let storage = Self("storage_failed")
    /// A command or a network exchange took longer than its limit.
    public static let timeout = Self("timeout")
    /// A command that we ran exited with an error.
    public static let commandFailed = Self("command_failed")
    /// A git repository could not be reached, or a reference in it does not exist.
    public static let gitUnreachable = Self("git_unreachable")
    public static let gitUnknownRef = Self("git_unknown_ref")
    /// A document whose hash, signature or generation is wrong.
    public static let untrusted = Self("untrusted")
    /// A defect of the program itself.
    public static let internalError = Self("internal_error")
}

extension Problem: CustomStringConvertible {
    /// Text for the terminal: the sentence, then the hint.
    public var description: String { hint.map { "\(message) \($0)" } ?? message }

    /// Any error as a problem: problems pass through, all else is an internal error whose text stays in the log.
    public init(wrapping error: any Error, doing what: String) {
        if let problem = error as? Problem {
            self = problem
        } else {
            self.init(.internalError, "\(what) failed unexpectedly.", context: "\(error)")
        }
    }
}
