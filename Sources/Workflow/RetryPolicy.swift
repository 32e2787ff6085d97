public import Model

/// How often a step is tried, and how long is waited in between.
public struct RetryPolicy: Sendable, Equatable {
    /// All attempts, the first one included.
    public var attemptsMax: Int
    /// Wait after the first failure; each further wait is `factor` times as long, up to `delayMax`.
    public var delay: Duration
    public var factor: Double
    public var delayMax: Duration
    /// Problems with these codes end the step at once: trying again cannot help.
    public var finalCodes: Set<Problem.Code>

    public init(
        attemptsMax: Int = 5, delay: Duration = .seconds(1), factor: Double = 2, delayMax: Duration = .seconds(60),
        finalCodes: Set<Problem.Code> = RetryPolicy.usualFinalCodes
    ) {
        self.attemptsMax = min(max(attemptsMax, 1), WorkflowLimits.attemptsMax)
        self.delay = max(delay, .zero)
        self.factor = max(factor, 1)
        self.delayMax = max(delayMax, delay)
        self.finalCodes = finalCodes
    }

    /// The sender's mistakes: equal input fails in the same way again.
    public static let usualFinalCodes: Set<Problem.Code> = [
        .invalid, .malformedJSON, .notFound, .conflict, .forbidden, .unauthenticated, .untrusted, .tooLarge, .stale,
        .gitUnknownRef,
    ]

    /// One attempt.
    public static let never = RetryPolicy(attemptsMax: 1)
    /// For undoing, which should rather be late than not happen: about a quarter of an hour.
    public static let patient = RetryPolicy(attemptsMax: 20, delayMax: .seconds(60), finalCodes: [])

    /// How long to wait after this many failed attempts; nil when the step has failed for good. A problem that says
    /// itself how long to wait is waited for at least as long.
    /// - Parameter unit: a random number in 0..<1; the wait is shortened by up to a fifth of it, so that many that
    ///   failed together do not come back together.
    public func wait(afterAttempts attempts: Int, _ problem: Problem, unit: Double) -> Duration? {
        guard attempts < attemptsMax, !finalCodes.contains(problem.code) else { return nil }
        var wait = delay
        for _ in 1..<max(attempts, 1) where wait < delayMax { wait = min(wait * factor, delayMax) }
        return max(wait * (1 - unit / 5), problem.retryAfter ?? .zero)
    }
}

/// What a workflow may use at most. What has no limit has one that someone else chose.
public enum WorkflowLimits {
    public static let attemptsMax = 1000
    /// Steps, timers, signals and groups of one run.
    public static let stepsMax = 10_000
    /// Bytes of a journaled input, result or signal, as JSON.
    public static let valueBytesMax = 262_144
    /// Bytes of the name of a workflow, step, signal or of a run's id.
    public static let nameBytesMax = 200
    /// Signals of one run that nothing has taken yet.
    public static let signalsMax = 1000
    /// Branches of one parallel group, and how many of them may run at once.
    public static let branchesMax = 1000
    public static let branchesAtOnceMax = 64
    /// Bytes of an error's message in the journal.
    public static let messageBytesMax = 4096
    /// Starts of a run without any progress: one that brings down its hub each time is put aside after so many.
    public static let idleStartsMax = 10

    /// - Throws: `invalid`.
    static func check(name: String, _ what: String) throws {
        guard !name.isEmpty, name.utf8.count <= nameBytesMax, !name.unicodeScalars.contains("\0") else {
            throw Problem(.invalid, "The \(what) must have 1 to \(nameBytesMax) bytes and no NUL.")
        }
    }

    /// - Throws: `too_large`.
    static func check(_ value: JSONValue, _ what: String) throws {
        if case .null = value { return }
        let size = value.canonicalBytes.count
        guard size <= valueBytesMax else {
            throw Problem(.tooLarge, "The \(what) has \(size) bytes; \(valueBytesMax) are allowed.")
        }
    }
}
