import Model
import Workflow

/// A store that runs transactions on rows; all that hub and workflows ask of it follows from these two.
protocol RowStore: Store, WorkflowJournal {
    /// Runs a body on one consistent snapshot.
    func readRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result

    /// Runs a body in a transaction. It may run again when the commit that it shared was lost.
    func writeRows<Result: Sendable>(
        _ body: @escaping @Sendable (SQLTransaction) throws -> Result
    ) async throws -> Result
}

extension RowStore {
    public func read<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try await readRows { try body($0) }
    }

    public func write<Result: Sendable>(
        _ body: @escaping @Sendable (any StoreTransaction) throws -> Result
    ) async throws -> Result {
        try await writeRows { try body($0) }
    }
}

/// The journal of workflows, each call a transaction like any other.
extension RowStore {
    public func start(_ run: NewRun) async throws -> StartedRun {
        try await writeRows { try $0.startRun(run) }
    }

    public func write(_ write: JournalWrite) async throws -> RunMail {
        try await writeRows { try $0.writeJournal(write) }
    }

    public func claim(_ request: ClaimRequest) async throws -> [RunHistory] {
        try await writeRows { try $0.claimRuns(request) }
    }

    public func mailbox(of runId: String) async throws -> RunMailbox {
        try await readRows { try $0.workflowMailbox(runId) }
    }

    public func renew(_ lease: HubLease) async throws -> [String: RunMail] {
        try await writeRows { try $0.renewLease(lease) }
    }

    public func send(_ signal: SignalRecord, to runId: String) async throws -> Bool {
        try await writeRows { try $0.sendSignal(signal, to: runId) }
    }

    public func cancel(_ runId: String) async throws { try await writeRows { try $0.cancelRun(runId) } }

    public func abandon(_ runId: String) async throws { try await writeRows { try $0.abandonRun(runId) } }

    public func retry(_ runId: String) async throws { try await writeRows { try $0.retryRun(runId) } }

    public func run(_ id: String) async throws -> RunRecord? { try await readRows { try $0.workflowRun(id) } }

    public func history(of runId: String) async throws -> RunHistory? {
        try await readRows { rows in try rows.workflowRun(runId).map { try rows.workflowHistory($0) } }
    }

    public func runs(_ filter: RunFilter) async throws -> [RunRecord] {
        try await readRows { try $0.workflowRuns(filter) }
    }

    public func removeEnded(before: Timestamp, limit: Int) async throws -> Int {
        try await writeRows { try $0.removeEndedRuns(before: before, limit: limit) }
    }
}
