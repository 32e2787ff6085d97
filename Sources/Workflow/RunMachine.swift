import Model

/// A run in memory: the journal, and how far the program has come in it. Decides what each call of the program means;
/// does nothing itself.
struct RunMachine: Sendable {
    /// Where the next call of the program stands.
    enum Call: Sendable {
        /// Not in the journal: to be done.
        case new(path: String)
        /// In the journal.
        case known(StepRecord)
    }

    private(set) var run: RunRecord
    private(set) var steps: [String: StepRecord]
    private(set) var signals: [SignalRecord]
    /// Set when the program and the journal do not fit; nothing more is done then.
    private(set) var fault: Problem?
    /// Why the run is being undone.
    var undoing: Problem?
    /// Whether the program was told that it is cancelled.
    private(set) var hasSeenCancel = false

    private var counters: [String: Int] = [:]
    private var busy: Set<String> = []
    private var visited: Set<String> = []
    private var nextSequence: Int
    /// The newest number that was heard of; ``RunRecord/mailbox`` is the one up to which signals were read.
    private var mailboxKnown: Int64
    private var times: [String: Timestamp] = [:]
    /// Only replays: a call that is not in the journal is the end of it.
    let isCheck: Bool

    init(_ history: RunHistory, isCheck: Bool = false) {
        run = history.run
        steps = Dictionary(uniqueKeysWithValues: history.steps.map { ($0.path, $0) })
        signals = history.signals
        mailboxKnown = history.run.mailbox
        undoing = run.state == .undoing ? run.error ?? Problem(.internalError, "The run failed.") : nil
        nextSequence = (history.steps.map(\.sequence).max() ?? 0) + 1
        self.isCheck = isCheck
    }

    /// The next call in a scope. Calls of one scope come one after the other; ``end(scope:at:)`` ends each.
    mutating func begin(_ kind: StepKind, _ name: String, scope: String, isInterrupted: Bool) throws -> Call {
        if let fault { throw fault }
        guard busy.insert(scope).inserted else {
            throw fail("\"\(name)\" began while another step of the same scope ran; use parallel for that.")
        }
        do {
            return try place(kind, name, scope, isInterrupted: isInterrupted)
        } catch {
            busy.remove(scope)
            throw error
        }
    }

    private mutating func place(
        _ kind: StepKind, _ name: String, _ scope: String, isInterrupted: Bool
    ) throws -> Call {
        let number = (counters[scope] ?? 0) + 1
        let path = scope + String(number)
        if let record = steps[path] {
            guard record.kind == kind, record.name == name else {
                throw fail(
                    "At step \(path) the journal has the \(record.kind.rawValue) \"\(record.name)\" and the program "
                        + "the \(kind.rawValue) \"\(name)\".")
            }
            if record.state == .succeeded || record.state == .failed {
                counters[scope] = number
                visited.insert(path)
                return .known(record)
            }
        }
        // A group does nothing itself; what is inside it must be met again even when nothing new may begin.
        if kind != .group, kind != .parallel { try checkThatNewIsAllowed(isInterrupted: isInterrupted) }
        try WorkflowLimits.check(name: name, "name of a step")
        guard steps.count < WorkflowLimits.stepsMax else {
            throw Problem(.tooLarge, "A run may have \(WorkflowLimits.stepsMax) steps.")
        }
        counters[scope] = number
        visited.insert(path)
        return steps[path].map(Call.known) ?? .new(path: path)
    }

    /// - Throws: why nothing that is not in the journal may begin.
    mutating func checkThatNewIsAllowed(isInterrupted: Bool) throws {
        if isCheck { throw Interruption.endOfHistory }
        if let undoing { throw undoing }
        if run.isCancelRequested {
            hasSeenCancel = true
            throw Self.cancelled
        }
        if isInterrupted { throw CancellationError() }
    }

    static let cancelled = Problem(.cancelled, "The run was cancelled.")

    mutating func end(scope: String, at time: Timestamp?) {
        busy.remove(scope)
        if let time { times[scope] = time }
    }

    /// Notes that the program and the journal do not fit.
    mutating func fail(_ message: String) -> Problem {
        let problem = Problem(
            .historyChanged, message,
            hint: "Register the definition that the run began with under its version, or abandon the run.")
        fault = fault ?? problem
        return problem
    }

    /// To be called when the program has ended by itself: everything in the journal must have been met.
    mutating func checkEnd() throws {
        guard let missed = steps.values.filter({ !visited.contains($0.path) }).min(by: StepRecord.precedes) else {
            return
        }
        throw fail("The program ended without step \(missed.path) \"\(missed.name)\", which the journal has.")
    }

    /// Steps that ended well, the last one first, and are not undone yet.
    func standing(_ paths: Set<String>) -> [StepRecord] {
        steps.values
            .filter { $0.state == .succeeded && $0.undo != .done && paths.contains($0.path) }
            .sorted { $0.sequence > $1.sequence }
    }

    mutating func sequence() -> Int {
        defer { nextSequence += 1 }
        return nextSequence
    }

    mutating func keep(_ record: StepRecord) { steps[record.path] = record }

    /// The oldest signal of a name that was read and not taken.
    func signal(named name: String) -> SignalRecord? { signals.first { $0.name == name } }
    mutating func forget(signal id: String) { signals.removeAll { $0.id == id } }

    mutating func keep(_ change: RunChange) {
        if case .progress = change { run.idleStarts = 0 }
        if case .undoing(let problem) = change {
            run.state = .undoing
            undoing = problem
        }
    }

    /// Whether there is mail that was not looked at yet.
    var hasMail: Bool { mailboxKnown > run.mailbox }

    /// Whether the run is asked to stop and does not do so yet; notes that the program is told.
    mutating func seesCancel() -> Bool {
        guard run.isCancelRequested, undoing == nil else { return false }
        hasSeenCancel = true
        return true
    }

    mutating func take(_ mail: RunMail) {
        mailboxKnown = max(mailboxKnown, mail.mailbox)
        run.isCancelRequested = run.isCancelRequested || mail.isCancelRequested
    }

    mutating func read(_ mailbox: RunMailbox) {
        take(mailbox.mail)
        run.mailbox = max(run.mailbox, mailbox.mail.mailbox)
        signals = mailbox.signals
    }

    /// Time of the program: when the last step of the scope, or of those around it, ended.
    func now(scope: String) -> Timestamp {
        var scope = scope
        while true {
            if let time = times[scope] { return time }
            guard !scope.isEmpty else { return run.createdAt }
            scope.removeLast()
            scope = String(scope[..<(scope.lastIndex(of: ".").map { scope.index(after: $0) } ?? scope.startIndex)])
        }
    }
}

/// Why a program is left although it did nothing wrong.
enum Interruption: Error {
    /// All of it waits; it will be run again when there is something to do.
    case parked
    /// Another hub has it, or may have it.
    case lost
    /// A check has come to the end of the journal.
    case endOfHistory
}
