import Host
import Model
import Synchronization

/// Replays stored journals against the program of today, without doing anything: a test that keeps the journals of past
/// runs finds a change that running workflows could not survive.
public enum HistoryCheck {
    /// - Throws: `history_changed` when the definition would not go the way that the journal went.
    public static func replay(_ history: RunHistory, with definition: WorkflowDefinition) async throws {
        let execution = RunExecution(
            checking: history, definition,
            .init(journal: NoJournal(), clock: StandingClock(), random: NoRandom(), parkAfter: .seconds(1)))
        let context = WorkflowContext(execution: execution, scope: "")
        do {
            _ = try await definition.body(context, history.run.input)
            try execution.state.withLock { try $0.machine.checkEnd() }
        } catch {
            // A program may throw whatever its steps threw; only the fault of the machine counts.
        }
        if let fault = execution.state.withLock({ $0.machine.fault }) { throw fault }
    }

    private static let unreachable = Problem(.internalError, "A check has no effects.")

    private struct StandingClock: HostClock {
        func now() -> Timestamp { Timestamp(millisecondsSinceEpoch: 0) }
        func monotonic() -> Duration { .zero }
        func sleep(for duration: Duration) async throws { throw unreachable }
    }

    private struct NoRandom: RandomSource {
        func bytes(_ count: Int) -> [UInt8] { [UInt8](repeating: 0, count: count) }
    }

    private struct NoJournal: WorkflowJournal {
        func start(_ run: NewRun) async throws -> StartedRun { throw unreachable }
        func write(_ write: JournalWrite) async throws -> RunMail { throw unreachable }
        func claim(_ request: ClaimRequest) async throws -> [RunHistory] { throw unreachable }
        func mailbox(of runId: String) async throws -> RunMailbox { throw unreachable }
        func renew(_ lease: HubLease) async throws -> [String: RunMail] { throw unreachable }
        func send(_ signal: SignalRecord, to runId: String) async throws -> Bool { throw unreachable }
        func cancel(_ runId: String) async throws { throw unreachable }
        func abandon(_ runId: String) async throws { throw unreachable }
        func retry(_ runId: String) async throws { throw unreachable }
        func run(_ id: String) async throws -> RunRecord? { throw unreachable }
        func history(of runId: String) async throws -> RunHistory? { throw unreachable }
        func runs(_ filter: RunFilter) async throws -> [RunRecord] { throw unreachable }
        func removeEnded(before: Timestamp, limit: Int) async throws -> Int { throw unreachable }
    }
}
