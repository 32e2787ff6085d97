import Host
import HubStore
import HubWorkflows
import Logging
import Model
import PlatformResources
import ResourceKit
import Synchronization
public import Workflow

/// The hub's workflows: the engine of this hub over the store that all hubs share.
final class OpenedWorkflows: Sendable {
    struct Parts: Sendable {
        var engine: WorkflowEngine
        var announcer: RunAnnouncer
    }

    private let parts = Mutex<Parts?>(nil)

    var opened: Parts? { parts.withLock { $0 } }
    func open(_ opened: Parts) { parts.withLock { $0 = opened } }
}

extension Hub {
    /// Makes the engine for the workflows of all kinds. Once, before the first request.
    ///
    /// - Parameters:
    ///   - journal: the store again.
    ///   - name: of this hub, unlike every other hub on the store, and the same when it starts again.
    public func openWorkflows(journal: any WorkflowJournal, name: String) {
        // The engine and the hub hold one another for as long as the process lives.
        let desk = HubDesk(hub: self)
        let announcer = RunAnnouncer(store: store, changes: changes, clock: world.clock, logger: logger)
        var options = WorkflowEngine.Options(hub: name)
        options.retention = { try await self.runRetention() }
        let engine = WorkflowEngine(
            journal: AnnouncedJournal(inner: journal, announcer: announcer),
            definitions: kinds.flatMap(\.workflows).flatMap { $0.definitions(desk) }, options: options,
            clock: world.clock, random: world.random, logger: logger)
        workflows.open(.init(engine: engine, announcer: announcer))
    }

    /// How long ended runs are kept: as the settings of the platform say, else 30 days.
    public func runRetention() async throws -> Duration {
        let config = try await store.read { try $0.get("platform-config", "platform-config") }
        return PlatformConfig.retention(of: "workflow_runs", config) ?? .seconds(30 * 86_400)
    }

    /// Works on runs until the task is cancelled. What it leaves unfinished is in the journal.
    public func runWorkflows() async {
        guard let parts = workflows.opened else { return }
        let started = changes.subscribe(to: .kinds([HubChange.workflowRun]))
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await parts.engine.run() }
            group.addTask { await parts.announcer.run() }
            // A run that a transaction has started is looked for at once; of its own the engine knows.
            group.addTask {
                for await change in started where !parts.engine.holds(change.id) { parts.engine.lookNow() }
            }
            await group.waitForAll()
        }
    }

    /// Runs that are in the memory of this hub, for the metrics.
    public var activeRuns: Int { workflows.opened?.engine.activeRuns ?? 0 }

    private func engine() throws -> WorkflowEngine {
        guard let engine = workflows.opened?.engine else {
            throw Problem(.unavailable, "This hub runs no workflows.")
        }
        return engine
    }

    // MARK: what people see and do

    /// The scope word of runs.
    public static let runsPlural = "workflow-runs"

    /// Runs, newest first.
    /// - Throws: `forbidden`.
    public func workflowRuns(_ filter: RunFilter, as principal: Principal) async throws -> [RunRecord] {
        try requireRuns("read", principal)
        return try await engine().runs(filter)
    }

    /// A run with all of its steps, and the step that this hub does right now.
    /// - Throws: `forbidden`, `not_found`.
    public func workflowRun(
        _ id: String, as principal: Principal
    ) async throws -> (history: RunHistory, currentStep: String?) {
        try requireRuns("read", principal)
        let engine = try engine()
        return (try await engine.history(of: id), engine.currentStep(of: id))
    }

    /// Asks a run to stop and to undo what it did.
    /// - Throws: `forbidden`, `not_found`; `conflict` when it has ended.
    public func cancelRun(
        _ id: String, options: MutationOptions = .init(), as principal: Principal
    ) async throws -> MutationAnswer {
        try await changeRun(id, "cancel", options, principal) { run in
            guard !run.state.isFinal else {
                throw Problem(.conflict, "The run has ended already: it is \(run.state.rawValue).")
            }
            return true
        } body: {
            try await $0.cancel(id)
        }
    }

    /// Lets a failed or stalled run go on from the step that failed; a run that works or has succeeded is left alone.
    /// - Throws: `forbidden`, `not_found`.
    public func retryRun(
        _ id: String, options: MutationOptions = .init(), as principal: Principal
    ) async throws -> MutationAnswer {
        func goesOn(_ run: RunRecord) -> Bool { [.failed, .stalled, .cancelled].contains(run.state) }
        return try await changeRun(id, "retry", options, principal, foresee: goesOn) { engine in
            if goesOn(try await engine.history(of: id).run) { try await engine.retry(id) }
        }
    }

    /// Decides whether the caller may change this run, before anything that it sent is looked at.
    /// - Throws: `forbidden`, `not_found`.
    public func admitChange(ofRun id: String, as principal: Principal) async throws {
        try requireRuns("write", principal)
        _ = try await engine().history(of: id)
    }

    private func requireRuns(_ action: String, _ principal: Principal) throws {
        try principal.require(action, Self.runsPlural)
        try principal.requirePlatform()
    }

    private func changeRun(
        _ id: String, _ action: String, _ options: MutationOptions, _ principal: Principal,
        foresee: (RunRecord) throws -> Bool, body: (WorkflowEngine) async throws -> Void
    ) async throws -> MutationAnswer {
        let change = UnlistedChange(
            subject: HubChange.workflowRun, action: action, id: String(id.prefix(200)), change: "update",
            changed: HubChange.workflowRun, options: options, principal: principal
        ) { [self] in try requireRuns("write", principal) }
        return try await make(change) {
            try foresee(try await engine().history(of: id).run)
        } _: {
            let engine = try engine()
            try await body(engine)
            return MutationAnswer(code: 202, body: RunJSON.run(try await engine.history(of: id).run))
        }
    }
}
