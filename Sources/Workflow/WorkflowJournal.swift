public import Model

/// Where runs and their journals are kept. Every call is one transaction that a power cut cannot lose once it has
/// returned; stores commit the calls of many runs together.
public protocol WorkflowJournal: Sendable {
    /// Stores a new run unless there is one with this id; answers the stored one.
    func start(_ run: NewRun) async throws -> StartedRun
    /// Adds to a run's journal and changes the run, if the hub still holds it. Repeating a write changes nothing.
    /// - Throws: `lease_lost`.
    func write(_ write: JournalWrite) async throws -> RunMail
    /// Prolongs the hub's lease and takes runs whose time has come, or whose hub's lease has ended.
    func claim(_ request: ClaimRequest) async throws -> [RunHistory]
    /// The signals of a run that nothing has taken yet.
    /// - Throws: `not_found`.
    func mailbox(of runId: String) async throws -> RunMailbox
    /// Prolongs the hub's lease; answers the mail of all runs that it holds and that have any.
    func renew(_ lease: HubLease) async throws -> [String: RunMail]
    /// Puts a signal into the mailbox of a run; false when one with the same id was sent before.
    /// - Throws: `not_found`; `conflict` when the run has ended; `too_large` when its mailbox is full.
    func send(_ signal: SignalRecord, to runId: String) async throws -> Bool
    /// Asks a run to stop and to undo what it did.
    /// - Throws: `not_found`; `conflict` when it has ended.
    func cancel(_ runId: String) async throws
    /// Ends a run at once and leaves everything as it is.
    /// - Throws: `not_found`; `conflict` when it has ended.
    func abandon(_ runId: String) async throws
    /// Lets a failed or stalled run go on from the step that failed; what was undone is done again.
    /// - Throws: `not_found`; `conflict` when it neither failed nor stalled.
    func retry(_ runId: String) async throws

    func run(_ id: String) async throws -> RunRecord?
    func history(of runId: String) async throws -> RunHistory?
    func runs(_ filter: RunFilter) async throws -> [RunRecord]
    /// Removes runs that ended before this, with their journals; answers how many, at most `limit`.
    func removeEnded(before: Timestamp, limit: Int) async throws -> Int
}

/// A run to be stored.
public struct NewRun: Sendable, Equatable {
    public var id: String
    public var workflow: String
    /// 0: the newest of the hub that takes it first.
    public var version: Int
    public var input: JSONValue
    public var seed: Int64
    /// The hub that begins with it at once; nil leaves it to whichever comes first.
    public var owner: String?

    /// - Throws: `invalid`, `too_large`.
    public init(
        id: String, workflow: String, version: Int = 0, input: JSONValue, seed: Int64, owner: String? = nil
    ) throws {
        try WorkflowLimits.check(name: id, "id of a run")
        try WorkflowLimits.check(name: workflow, "name of a workflow")
        try WorkflowLimits.check(input, "input")
        self.id = id
        self.workflow = workflow
        self.version = version
        self.input = input
        self.seed = seed
        self.owner = owner
    }
}

extension NewRun {
    /// The run as it is stored first.
    package func record(at now: Timestamp) -> RunRecord {
        let isHeld = owner != nil
        return RunRecord(
            id: id, workflow: workflow, version: version, state: isHeld ? .running : .pending, input: input,
            owner: owner, fence: isHeld ? 1 : 0, wakeAt: isHeld ? nil : now, seed: seed, createdAt: now,
            startedAt: isHeld ? now : nil, updatedAt: now)
    }
}

/// The answer to a ``NewRun``.
public struct StartedRun: Sendable, Equatable {
    public var run: RunRecord
    public var isNew: Bool

    public init(run: RunRecord, isNew: Bool) {
        self.run = run
        self.isNew = isNew
    }
}

/// Proof that a hub holds a run.
public struct RunHold: Sendable, Equatable {
    public var runId: String
    public var owner: String
    public var fence: Int64

    public init(runId: String, owner: String, fence: Int64) {
        self.runId = runId
        self.owner = owner
        self.fence = fence
    }
}

/// One transaction of a run's journal.
public struct JournalWrite: Sendable, Equatable {
    public var hold: RunHold
    /// Inserted, or put in place of the line with the same path.
    public var steps: [StepRecord]
    /// Id of the signal that the first of the steps has taken.
    public var takenSignal: String?
    public var change: RunChange?

    public init(hold: RunHold, steps: [StepRecord] = [], takenSignal: String? = nil, change: RunChange? = nil) {
        self.hold = hold
        self.steps = steps
        self.takenSignal = takenSignal
        self.change = change
    }
}

/// A change of the run itself.
public enum RunChange: Sendable, Equatable {
    /// It got further, after it was taken over.
    case progress
    case undoing(Problem)
    /// The hub lets go of it until then, or until there is more mail than it has seen.
    case park(wakeAt: Timestamp?, mailboxSeen: Int64, isUndoing: Bool)
    case end(RunState, output: JSONValue?, error: Problem?)
}

/// What came in for a run meanwhile.
public struct RunMail: Sendable, Equatable {
    public var mailbox: Int64
    public var isCancelRequested: Bool

    public init(mailbox: Int64, isCancelRequested: Bool) {
        self.mailbox = mailbox
        self.isCancelRequested = isCancelRequested
    }
}

/// The mailbox of a run.
public struct RunMailbox: Sendable, Equatable {
    public var mail: RunMail
    /// Not taken yet, oldest first.
    public var signals: [SignalRecord]

    public init(mail: RunMail, signals: [SignalRecord]) {
        self.mail = mail
        self.signals = signals
    }
}

/// A hub that is alive until its lease ends.
public struct HubLease: Sendable, Equatable {
    public var hub: String
    public var duration: Duration

    public init(hub: String, duration: Duration) {
        self.hub = hub
        self.duration = duration
    }
}

/// What a hub is ready to take.
public struct ClaimRequest: Sendable, Equatable {
    public var lease: HubLease
    /// Name → versions that this program has.
    public var workflows: [String: Set<Int>]
    public var limit: Int
    /// Take runs that this hub is said to hold already: it has just started and knows nothing of them.
    public var takesOwn: Bool
    /// Runs that it knows of all the same: taken a moment ago.
    public var holding: Set<String>

    public init(
        lease: HubLease, workflows: [String: Set<Int>], limit: Int, takesOwn: Bool, holding: Set<String> = []
    ) {
        self.holding = holding
        self.lease = lease
        self.workflows = workflows
        self.limit = limit
        self.takesOwn = takesOwn
    }
}

/// Which runs, newest first.
public struct RunFilter: Sendable, Equatable {
    public var workflow: String?
    public var states: Set<RunState>?
    /// Only runs that are older than this one: where the page before ended.
    public var before: RunRecord?
    public var limit: Int

    public init(
        workflow: String? = nil, states: Set<RunState>? = nil, before: RunRecord? = nil, limit: Int = 50
    ) {
        self.workflow = workflow
        self.states = states
        self.before = before
        self.limit = limit
    }
}
