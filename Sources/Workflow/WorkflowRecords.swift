public import Model

/// Where a run is.
public enum RunState: String, Sendable, CaseIterable {
    /// Accepted; no hub has begun yet.
    case pending
    /// A hub works on it.
    case running
    /// Waits for a time or a signal; no hub holds it.
    case waiting
    /// What was done is being undone.
    case undoing
    case succeeded
    /// It failed, and what was done is undone.
    case failed
    /// It failed, or could not be undone, and waits for a person.
    case stalled
    /// It was asked to stop, and what was done is undone.
    case cancelled

    /// Whether nothing more will happen.
    public var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
}

/// One run of a workflow.
public struct RunRecord: Sendable, Equatable {
    public var id: String
    public var workflow: String
    /// Version of the definition; 0 until the first hub has taken the run: it chooses the newest.
    public var version: Int
    public var state: RunState
    public var input: JSONValue
    public var output: JSONValue?
    public var error: Problem?
    /// The hub that works on it.
    public var owner: String?
    /// Grows each time a hub takes the run; writes with an older number are refused.
    public var fence: Int64
    /// When a hub shall take it; nil while one has it, or when only a signal or a person can wake it.
    public var wakeAt: Timestamp?
    /// Grows with each signal and each wish to cancel.
    public var mailbox: Int64
    public var isCancelRequested: Bool
    /// How often a hub has taken it since it last got any further.
    public var idleStarts: Int
    /// Seeds ``WorkflowContext/random``.
    public var seed: Int64
    /// How often it was tried again after it had been undone.
    public var round: Int
    public var createdAt: Timestamp
    public var startedAt: Timestamp?
    public var updatedAt: Timestamp
    public var finishedAt: Timestamp?

    public init(
        id: String, workflow: String, version: Int, state: RunState, input: JSONValue, output: JSONValue? = nil,
        error: Problem? = nil, owner: String? = nil, fence: Int64 = 0, wakeAt: Timestamp? = nil, mailbox: Int64 = 0,
        isCancelRequested: Bool = false, idleStarts: Int = 0, seed: Int64, round: Int = 0, createdAt: Timestamp,
        startedAt: Timestamp? = nil, updatedAt: Timestamp, finishedAt: Timestamp? = nil
    ) {
        self.id = id
        self.workflow = workflow
        self.version = version
        self.state = state
        self.input = input
        self.output = output
        self.error = error
        self.owner = owner
        self.fence = fence
        self.wakeAt = wakeAt
        self.mailbox = mailbox
        self.isCancelRequested = isCancelRequested
        self.idleStarts = idleStarts
        self.seed = seed
        self.round = round
        self.createdAt = createdAt
        self.startedAt = startedAt
        self.updatedAt = updatedAt
        self.finishedAt = finishedAt
    }
}

/// What a line of the journal is about.
public enum StepKind: String, Sendable, CaseIterable {
    case step, timer, signal, group, parallel
    /// Something to undo that belongs to no step.
    case undo
}

/// How far a step is.
public enum StepState: String, Sendable, CaseIterable {
    /// An attempt failed; the next one is at `wakeAt`.
    case retrying
    /// Waits for a time or a signal.
    case waiting
    case succeeded, failed
}

/// How far the undoing of a step is.
public enum UndoState: String, Sendable, CaseIterable {
    case retrying, done, failed
}

/// A line of the journal: one step, timer, signal or group.
public struct StepRecord: Sendable, Equatable {
    /// Place in the program: numbers from 1, one level for each group and branch, e.g. `3.2.1`.
    public var path: String
    /// Order in which steps ended; undoing goes backwards.
    public var sequence: Int
    public var kind: StepKind
    public var name: String
    public var state: StepState
    public var attempts: Int
    public var result: JSONValue?
    public var error: Problem?
    public var wakeAt: Timestamp?
    public var startedAt: Timestamp
    public var finishedAt: Timestamp?
    public var undo: UndoState?
    public var undoAttempts: Int
    public var undoError: Problem?

    public init(
        path: String, sequence: Int, kind: StepKind, name: String, state: StepState, attempts: Int = 0,
        result: JSONValue? = nil, error: Problem? = nil, wakeAt: Timestamp? = nil, startedAt: Timestamp,
        finishedAt: Timestamp? = nil, undo: UndoState? = nil, undoAttempts: Int = 0, undoError: Problem? = nil
    ) {
        self.path = path
        self.sequence = sequence
        self.kind = kind
        self.name = name
        self.state = state
        self.attempts = attempts
        self.result = result
        self.error = error
        self.wakeAt = wakeAt
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.undo = undo
        self.undoAttempts = undoAttempts
        self.undoError = undoError
    }

    /// Order of the program: by number at each level.
    public static func precedes(_ left: StepRecord, _ right: StepRecord) -> Bool {
        func numbers(_ path: String) -> [Int] { path.split(separator: ".").map { Int($0) ?? 0 } }
        return numbers(left.path).lexicographicallyPrecedes(numbers(right.path))
    }
}

/// A message to a run that nothing has taken yet.
public struct SignalRecord: Sendable, Equatable {
    /// Chosen by the sender; the second one with the same id is dropped.
    public var id: String
    public var number: Int64
    public var name: String
    public var payload: JSONValue
    public var sentAt: Timestamp

    public init(id: String, number: Int64 = 0, name: String, payload: JSONValue, sentAt: Timestamp) {
        self.id = id
        self.number = number
        self.name = name
        self.payload = payload
        self.sentAt = sentAt
    }

    /// - Throws: `invalid`, `too_large`.
    package func check() throws {
        try WorkflowLimits.check(name: id, "id of a signal")
        try WorkflowLimits.check(name: name, "name of a signal")
        try WorkflowLimits.check(payload, "payload of the signal")
    }
}

/// A run with all of its journal.
public struct RunHistory: Sendable, Equatable {
    public var run: RunRecord
    /// In the order of the program.
    public var steps: [StepRecord]
    /// Not taken yet, oldest first.
    public var signals: [SignalRecord]

    public init(run: RunRecord, steps: [StepRecord], signals: [SignalRecord]) {
        self.run = run
        self.steps = steps
        self.signals = signals
    }
}

extension Problem {
    /// The problem as the journal keeps it; long texts are cut.
    package var journaled: JSONValue {
        func cut(_ text: String) -> JSONValue {
            .string(String(decoding: text.utf8.prefix(WorkflowLimits.messageBytesMax), as: UTF8.self))
        }
        var members: [String: JSONValue] = ["code": .string(code.rawValue), "message": cut(message)]
        if let hint { members["hint"] = cut(hint) }
        if let context { members["context"] = cut(context) }
        return .object(members)
    }

    package init(journaled value: JSONValue) {
        self.init(
            Code(value["code"]?.stringValue ?? "internal_error"), value["message"]?.stringValue ?? "",
            hint: value["hint"]?.stringValue, context: value["context"]?.stringValue)
    }
}
