public import Host
public import Model

/// What a workflow's body works with. One context is one scope: its calls come one after the other.
public struct WorkflowContext: Sendable {
    let execution: RunExecution
    /// Path of the group, with a dot at its end; empty for the body itself.
    let scope: String

    public var runId: String { execution.runId }

    /// The time, as the program may know it: the end of the last step. The same when it is run again.
    public var now: Timestamp { execution.now(scope: scope) }

    /// Random numbers that are the same when the program is run again. For names and choices, never for secrets: make
    /// those inside a step.
    public func random(_ purpose: String) -> any RandomSource {
        ReplayedRandom(seed: execution.seed, "\(scope)\(purpose)")
    }

    /// Does something to the world, once as far as the journal can tell: a power cut between the deed and its line in
    /// the journal lets it be done again, which it must bear. ``StepAttempt/key`` helps where the other side can tell.
    /// - Parameters:
    ///   - timeout: of one attempt, which is cancelled then; it must heed that, and is waited for.
    ///   - undo: takes the deed back when the run fails or is cancelled later. Must bear being repeated, too.
    /// - Throws: the problem of the last attempt.
    @discardableResult
    public func step<Value: WorkflowValue>(
        _ name: String, retry: RetryPolicy = RetryPolicy(), timeout: Duration = .seconds(60),
        undo: (@Sendable (Value, StepAttempt) async throws -> Void)? = nil,
        _ body: @escaping @Sendable (StepAttempt) async throws -> Value
    ) async throws -> Value {
        let plan = StepPlan(name: name, retry: retry, timeout: timeout)
        let result = try await execution.step(plan, scope) {
            try await body($0).journaled()
        } undo: {
            guard let undo else { return nil }
            return { result, attempt in try await undo(try Value(journaled: result), attempt) }
        }
        return try Value(journaled: result)
    }

    /// A step that answers nothing.
    public func step(
        _ name: String, retry: RetryPolicy = RetryPolicy(), timeout: Duration = .seconds(60),
        undo: (@Sendable (StepAttempt) async throws -> Void)? = nil,
        _ body: @escaping @Sendable (StepAttempt) async throws -> Void
    ) async throws {
        let plan = StepPlan(name: name, retry: retry, timeout: timeout)
        _ = try await execution.step(plan, scope) { attempt in
            try await body(attempt)
            return .null
        } undo: {
            guard let undo else { return nil }
            return { _, attempt in try await undo(attempt) }
        }
    }

    /// Something to do if the run fails or is cancelled from here on; for steps that may be left half done.
    public func onUndo(_ name: String, _ body: @escaping @Sendable (StepAttempt) async throws -> Void) async throws {
        try await execution.onUndo(name, scope) { _, attempt in try await body(attempt) }
    }

    /// Waits; also across restarts.
    public func sleep(_ name: String, for duration: Duration) async throws {
        try await execution.sleep(name, scope, duration)
    }

    /// Takes the oldest signal of this name, which may have come at any time since the start, or waits for one.
    /// - Returns: nil when none came in time.
    public func signal<Value: WorkflowValue>(
        _ name: String, as type: Value.Type = Value.self, timeout: Duration? = nil
    ) async throws -> Value? {
        try await execution.signal(name, scope, timeout: timeout).map { try Value(journaled: $0) }
    }

    /// Steps that belong together under a name.
    public func group<Value: WorkflowValue>(
        _ name: String, _ body: @Sendable (WorkflowContext) async throws -> Value
    ) async throws -> Value {
        let result = try await execution.group(name, scope) { inner in
            try await body(WorkflowContext(execution: execution, scope: inner)).journaled()
        }
        return try Value(journaled: result)
    }

    /// Does the same for each item, several at once. When one branch fails, the others are stopped.
    /// - Parameter limit: branches that run at once.
    /// - Returns: the results in the order of the items.
    public func parallel<Item: Sendable, Value: WorkflowValue>(
        _ name: String, _ items: [Item], limit: Int = 8,
        _ body: @escaping @Sendable (WorkflowContext, Item) async throws -> Value
    ) async throws -> [Value] {
        let results = try await execution.parallel(name, scope, count: items.count, limit: limit) { index, inner in
            try await body(WorkflowContext(execution: execution, scope: inner), items[index]).journaled()
        }
        return try results.map { try Value(journaled: $0) }
    }
}

/// One try of a step.
public struct StepAttempt: Sendable {
    public var runId: String
    /// The same for all attempts of the step: an idempotency key.
    public var key: String
    /// From 1.
    public var number: Int
}

/// Numbers from a seed and a purpose: FNV-1a makes the state, splitmix64 the numbers.
private final class ReplayedRandom: RandomSource {
    private let start: UInt64
    private let place = Counter()

    init(seed: Int64, _ purpose: String) {
        var hash = UInt64(bitPattern: seed) ^ 0xCBF2_9CE4_8422_2325
        for byte in purpose.utf8 { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
        start = hash
    }

    func bytes(_ count: Int) -> [UInt8] {
        var out: [UInt8] = []
        while out.count < count {
            var z = start &+ place.next() &* 0x9E37_79B9_7F4A_7C15
            z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
            z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
            z ^= z >> 31
            for shift in stride(from: 0, to: 64, by: 8) where out.count < count {
                out.append(UInt8(truncatingIfNeeded: z >> UInt64(shift)))
            }
        }
        return out
    }
}
